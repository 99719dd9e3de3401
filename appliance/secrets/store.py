"""Queries about secrets; every function runs inside ``database.run``. Values are sealed before they come here."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import fn

from appliance.core.clock import now
from appliance.infra.database import proxy
from appliance.secrets.envelope import Envelope, Place
from appliance.secrets.errors import SecretManagedError, SecretNotFoundError
from appliance.secrets.model import (
    Delivery,
    Keeper,
    Secret,
    SecretVersion,
    VaultPlace,
)
from appliance.secrets.tables import SecretRow, SecretVersionRow

#: Held shared by whoever seals, alone by whoever takes a key away.
_LOCK = "secrets.master_key"


@dataclass(frozen=True)
class Kept:
    """A value as it is kept: sealed, in Vault, or, with neither, forgotten."""

    place: Place
    delivery: Delivery
    sealed: Envelope | None
    vault: VaultPlace | None
    #: As the secret's.
    managed_by: str = ""


def lock_keys(*, alone: bool) -> None:
    """Keep the key file as it is until the transaction ends.

    Args:
        alone: Whether the caller is about to change it.
    """
    function = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
    proxy.execute_sql(f"SELECT {function}(hashtext(%s))", (_LOCK,))


def lock_secrets_of(server_id: int) -> None:
    """Let nobody else change this server's secrets until the transaction ends: versions count up, and limits hold."""
    proxy.execute_sql(
        "SELECT pg_advisory_xact_lock(hashtext('secrets.server'), %s)", (server_id,)
    )


def _dicts(rows: Any) -> Iterator[dict[str, Any]]:
    return iter(rows.dicts())


def find(server_id: int, name: str) -> Secret | None:
    """Return a secret that is there."""
    return next(iter(_secrets(server_id, name)), None)


def get(server_id: int, name: str) -> Secret:
    """Return a secret that is there.

    Raises:
        SecretNotFoundError: It is not.
    """
    found = find(server_id, name)
    if found is None:
        raise SecretNotFoundError(f"There is no secret named {name}.")
    return found


def of_server(server_id: int) -> list[Secret]:
    """Return a server's secrets by name."""
    return _secrets(server_id)


def _secrets(server_id: int, name: str | None = None) -> list[Secret]:
    rows = (
        SecretRow.select(SecretRow, SecretVersionRow.keeper)
        .join(
            SecretVersionRow,
            on=(SecretVersionRow.secret_id == SecretRow.id)
            & (SecretVersionRow.version == SecretRow.version),
        )
        .where(SecretRow.server_id == server_id, SecretRow.removed_at.is_null())
        .order_by(SecretRow.name)
    )
    if name is not None:
        rows = rows.where(SecretRow.name == name)
    return [
        Secret(
            id=row["id"],
            server_id=row["server_id"],
            name=row["name"],
            version=row["version"],
            delivery=Delivery(row["delivery"]),
            keeper=Keeper(row["keeper"]),
            managed_by=row["managed_by"],
            created_by=row["created_by"],
            created_at=row["created_at"],
            updated_by=row["updated_by"],
            updated_at=row["updated_at"],
        )
        for row in _dicts(rows)
    ]


def next_place(server_id: int, name: str) -> Place:
    """Return where the next value of a secret belongs; versions go on where a removed one ended."""
    version = (
        SecretRow.select(SecretRow.version)
        .where(SecretRow.server_id == server_id, SecretRow.name == name)
        .scalar()
        or 0
    )
    return Place(server_id, name, version + 1)


def put(
    place: Place,
    value: Envelope | VaultPlace,
    *,
    delivery: Delivery,
    by: str,
    managed_by: str = "",
) -> None:
    """Make this the newest value of a secret, which is made if it is not there.

    Raises:
        SecretManagedError: Something else looks after it.
    """
    require_own(place.server_id, place.name, managed_by)
    moment = now()
    values = {
        "version": place.version,
        "delivery": delivery.value,
        "managed_by": managed_by,
        "updated_by": by,
        "updated_at": moment,
        "removed_at": None,
    }
    secret_id = (
        SecretRow.insert(
            server_id=place.server_id,
            name=place.name,
            created_by=by,
            created_at=moment,
            **values,
        )
        .on_conflict(
            conflict_target=(SecretRow.server_id, SecretRow.name), update=values
        )
        .execute()
    )
    _end_versions(secret_id, moment)
    SecretVersionRow.create(
        secret_id=secret_id,
        version=place.version,
        set_by=by,
        set_at=moment,
        **_columns(value),
    )


def _columns(value: Envelope | VaultPlace) -> dict[str, Any]:
    if isinstance(value, VaultPlace):
        return {
            "keeper": Keeper.VAULT.value,
            "vault_path": value.path,
            "vault_version": value.version,
        }
    return {
        "keeper": Keeper.LOCAL.value,
        "key_id": value.key_id,
        "wrapped_key": value.wrapped_key,
        "value": value.value,
    }


def set_delivery(server_id: int, name: str, delivery: Delivery, *, by: str) -> None:
    """Change how a value reaches the server."""
    SecretRow.update(delivery=delivery.value, updated_by=by, updated_at=now()).where(
        SecretRow.server_id == server_id, SecretRow.name == name
    ).execute()


def remove(server_id: int, name: str, *, managed_by: str = "") -> Secret:
    """Take a secret away; its history stays, without values soon.

    Raises:
        SecretNotFoundError: It is not there.
        SecretManagedError: Something else looks after it.
    """
    found = get(server_id, name)
    require_own(server_id, name, managed_by)
    moment = now()
    SecretRow.update(removed_at=moment).where(SecretRow.id == found.id).execute()
    _end_versions(found.id, moment)
    return found


def require_own(server_id: int, name: str, managed_by: str) -> None:
    """Refuse to touch what somebody else looks after.

    Raises:
        SecretManagedError: Somebody does.
    """
    found = find(server_id, name)
    if found is not None and found.managed_by != managed_by:
        owner = found.managed_by.replace(":", " ") or "people"
        raise SecretManagedError(
            f"The secret {name} belongs to {owner}.",
            hint="Change it there, or choose another name.",
        )


def _end_versions(secret_id: int, moment: datetime) -> None:
    SecretVersionRow.update(ended_at=moment).where(
        SecretVersionRow.secret_id == secret_id, SecretVersionRow.ended_at.is_null()
    ).execute()


def versions(secret_id: int) -> list[SecretVersion]:
    """Return what a secret was, the newest first."""
    rows = (
        SecretVersionRow.select()
        .where(SecretVersionRow.secret_id == secret_id)
        .order_by(SecretVersionRow.version.desc())
    )
    return [
        SecretVersion(
            row.version, Keeper(row.keeper), row.set_by, row.set_at, row.ended_at
        )
        for row in rows
    ]


def current(server_id: int) -> list[Kept]:
    """Return the newest value of each of a server's secrets, as they are kept."""
    newest = SecretVersionRow.version == SecretRow.version
    return list(_kept(server_id, newest & SecretRow.removed_at.is_null()))


def remembered(server_id: int) -> list[Kept]:
    """Return all values of a server that are not forgotten, those of removed secrets and former ones among them."""
    return list(_kept(server_id, None))


def _kept(server_id: int, condition: Any) -> Iterator[Kept]:
    rows = (
        SecretVersionRow.select(
            SecretVersionRow, SecretRow.name, SecretRow.delivery, SecretRow.managed_by
        )
        .join(SecretRow, on=SecretVersionRow.secret_id == SecretRow.id)
        .where(SecretRow.server_id == server_id)
        .order_by(SecretRow.name, SecretVersionRow.version)
    )
    if condition is not None:
        rows = rows.where(condition)
    for row in _dicts(rows):
        yield Kept(
            place=Place(server_id, row["name"], row["version"]),
            delivery=Delivery(row["delivery"]),
            sealed=_envelope(row),
            vault=_vault_place(row),
            managed_by=row["managed_by"],
        )


def _envelope(row: dict[str, Any]) -> Envelope | None:
    if row["key_id"] is None:
        return None
    return Envelope(row["key_id"], bytes(row["wrapped_key"]), bytes(row["value"]))


def _vault_place(row: dict[str, Any]) -> VaultPlace | None:
    if row["vault_path"] is None:
        return None
    return VaultPlace(row["vault_path"], row["vault_version"])


def forget_values(*, ended_before: datetime) -> int:
    """Forget values that ended before then; return how many went. Their history stays."""
    return int(
        SecretVersionRow.update(key_id=None, wrapped_key=None, value=None)
        .where(
            SecretVersionRow.ended_at < ended_before,
            SecretVersionRow.key_id.is_null(is_null=False),
        )
        .execute()
    )


# -- the master key


def keys_in_use() -> dict[str, int]:
    """Return how many values are sealed under each master key."""
    rows: Any = (
        SecretVersionRow.select(SecretVersionRow.key_id, fn.COUNT(SecretVersionRow.id))
        .where(SecretVersionRow.key_id.is_null(is_null=False))
        .group_by(SecretVersionRow.key_id)
        .tuples()
    )
    return dict(rows)


def under_keys(
    key_ids: Collection[str], *, after: int, limit: int
) -> list[tuple[int, Kept]]:
    """Return up to ``limit`` values that are under one of these keys, with the numbers of their rows, above ``after``.

    The rows stay locked until the transaction ends.
    """
    rows = (
        SecretVersionRow.select(
            SecretVersionRow, SecretRow.server_id, SecretRow.name, SecretRow.delivery
        )
        .join(SecretRow, on=SecretVersionRow.secret_id == SecretRow.id)
        .where(SecretVersionRow.key_id.in_(list(key_ids)), SecretVersionRow.id > after)
        .order_by(SecretVersionRow.id)
        .limit(limit)
        .for_update(of=SecretVersionRow)
    )
    return [
        (
            row["id"],
            Kept(
                Place(row["server_id"], row["name"], row["version"]),
                Delivery(row["delivery"]),
                _envelope(row),
                None,
            ),
        )
        for row in _dicts(rows)
    ]


def set_wrapping(version_id: int, envelope: Envelope) -> None:
    """Write down that a value's key is under another master key now."""
    SecretVersionRow.update(
        key_id=envelope.key_id, wrapped_key=envelope.wrapped_key
    ).where(SecretVersionRow.id == version_id).execute()


def count_kept() -> dict[Keeper, int]:
    """Return how many secrets there are, by who keeps them."""
    rows: Any = (
        SecretRow.select(SecretVersionRow.keeper, fn.COUNT(SecretRow.id))
        .join(
            SecretVersionRow,
            on=(SecretVersionRow.secret_id == SecretRow.id)
            & (SecretVersionRow.version == SecretRow.version),
        )
        .where(SecretRow.removed_at.is_null())
        .group_by(SecretVersionRow.keeper)
        .tuples()
    )
    return {Keeper(keeper): count for keeper, count in rows}


def sealed_bytes(server_id: int, *, but: str) -> int:
    """Return how many bytes the values of a server have together, one secret excepted."""
    return sum(
        len(kept.sealed.value)
        for kept in current(server_id)
        if kept.sealed is not None and kept.place.name != but
    )


def server_ids() -> set[int]:
    """Return the servers that have, or had, secrets."""
    rows: Any = SecretRow.select(SecretRow.server_id).distinct().tuples()
    return {server_id for (server_id,) in rows}
