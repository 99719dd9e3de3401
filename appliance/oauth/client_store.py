"""Queries about clients; every function runs inside ``database.run``."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from peewee import fn

from appliance.core.clock import now
from appliance.oauth.model import AuthMethod, Client, ClientKind
from appliance.oauth.tables import AssertionRow, ClientRow, GrantRow

#: A use is noted once within it, so that asking for a token is not a write more.
NOTED_EVERY = timedelta(minutes=5)


def client_of(row: ClientRow) -> Client:
    """Return a row as the other modules know it."""
    return Client(
        client_id=row.client_id,
        kind=ClientKind(row.kind),
        name=row.name,
        redirect_uris=tuple(row.redirect_uris),
        grant_types=tuple(row.grant_types),
        auth_method=AuthMethod(row.auth_method),
        uri=row.uri,
        jwks=row.jwks,
        secret_hash=_bytes(row.secret_hash),
        old_secret_hash=_bytes(row.old_secret_hash),
        old_secret_until=row.old_secret_until,
        scope=tuple(row.scope.split()),
        user_id=row.user_id,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        fresh_until=row.fresh_until,
    )


def _bytes(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)


def _columns(client: Client) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "kind": client.kind.value,
        "name": client.name,
        "uri": client.uri,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "auth_method": client.auth_method.value,
        "jwks": client.jwks,
        "secret_hash": client.secret_hash,
        "scope": " ".join(client.scope),
        "user_id": client.user_id,
        "fresh_until": client.fresh_until,
    }


def find(client_id: str) -> Client | None:
    """Return the client of this id."""
    row = ClientRow.get_or_none(
        ClientRow.client_id == client_id, ClientRow.deleted_at.is_null()
    )
    return client_of(row) if row else None


def add(client: Client) -> Client:
    """Insert a client that registered itself, or that somebody made."""
    moment = now()
    ClientRow.insert({**_columns(client), "created_at": moment}).execute()
    return replace(client, created_at=moment)


def keep(client: Client) -> None:
    """Remember what a document says of its client now."""
    columns = _columns(client)
    changed = {name: columns[name] for name in columns if name != "client_id"}
    ClientRow.insert({**columns, "created_at": now()}).on_conflict(
        conflict_target=[ClientRow.client_id], update=changed
    ).execute()


def note_use(client_id: str) -> None:
    """Note that a client came, unless that was noted a moment ago."""
    ClientRow.update(last_used_at=now()).where(
        ClientRow.client_id == client_id,
        ClientRow.last_used_at.is_null()
        | (ClientRow.last_used_at < now() - NOTED_EVERY),
    ).execute()


def count_dynamic() -> int:
    """Return how many clients registered themselves and are kept."""
    return int(
        ClientRow.select().where(ClientRow.kind == ClientKind.DYNAMIC.value).count()
    )


def add_assertion(jti_hash: bytes, expires_at: datetime) -> bool:
    """Remember what a client signed; return whether it was not seen before."""
    taken = (
        AssertionRow.insert(jti_hash=jti_hash, expires_at=expires_at)
        .on_conflict_ignore()
        .returning(AssertionRow.jti_hash)
        .execute()
    )
    return bool(list(taken))


# -- clients that people made

_OF_PEOPLE = (ClientKind.MACHINE.value, ClientKind.MADE.value)


def made(user_id: int | None) -> list[Client]:
    """Return clients that people made, by name: a person's, or with ``None`` everybody's."""
    rows = ClientRow.select().where(
        ClientRow.kind.in_(_OF_PEOPLE), ClientRow.deleted_at.is_null()
    )
    if user_id is not None:
        rows = rows.where(ClientRow.user_id == user_id)
    return [client_of(row) for row in rows.order_by(fn.LOWER(ClientRow.name))]


def exchange_secret(client_id: str, secret_hash: bytes, *, old_until: datetime) -> None:
    """Give a client a new secret; the one before goes on until then."""
    ClientRow.update(
        old_secret_hash=ClientRow.secret_hash,
        old_secret_until=old_until,
        secret_hash=secret_hash,
    ).where(ClientRow.client_id == client_id).execute()


def delete(client_id: str) -> None:
    """Let nobody be this client any more; the row stays while tokens of it may be good."""
    ClientRow.update(deleted_at=now()).where(ClientRow.client_id == client_id).execute()


# -- upkeep


def prune(*, unused_before: datetime) -> int:
    """Remove clients that nobody granted anything, or not any more; return how many."""
    in_use = GrantRow.select(GrantRow.client_id)
    is_forgotten = ClientRow.kind.not_in(_OF_PEOPLE) | (
        ClientRow.deleted_at < unused_before
    )
    return int(
        ClientRow.delete()
        .where(
            is_forgotten,
            ClientRow.created_at < unused_before,
            ClientRow.last_used_at.is_null() | (ClientRow.last_used_at < unused_before),
            ClientRow.client_id.not_in(in_use),
        )
        .execute()
    )


def prune_assertions() -> None:
    """Forget what could not be shown again anyway."""
    AssertionRow.delete().where(AssertionRow.expires_at < now()).execute()
