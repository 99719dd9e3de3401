"""Queries about bundles; rows in, model objects out. Every function runs inside ``database.run``."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from peewee import IntegrityError

from appliance.accounts import sights
from appliance.accounts.access import Kind, Sight, Thing
from appliance.accounts.orgs.model import Holdings, Owner
from appliance.accounts.orgs.store import standings
from appliance.bundles.errors import BundleNameTakenError, BundleNotFoundError
from appliance.bundles.holding import may_hold
from appliance.bundles.model import (
    Bundle,
    Member,
    MemberConfig,
    NewBundle,
    Override,
)
from appliance.bundles.tables import BundleMemberRow, BundleRow
from appliance.core.clock import now
from appliance.governance import workflow_store
from appliance.observability.events import publish_in_transaction
from appliance.promotions import track_store
from appliance.servers.tables import ServerRow


def get(bundle_id: int) -> Bundle:
    """Return one bundle.

    Raises:
        BundleNotFoundError: There is none of this id.
    """
    row = BundleRow.get_or_none(BundleRow.id == bundle_id)
    if row is None:
        raise BundleNotFoundError(f"There is no bundle {bundle_id}.")
    return _bundles([row])[0]


def find(bundle: int | str) -> Bundle | None:
    """Return the bundle of this id or name, if there is one."""
    is_it = (
        BundleRow.id == bundle if isinstance(bundle, int) else BundleRow.name == bundle
    )
    row = BundleRow.get_or_none(is_it)
    return _bundles([row])[0] if row else None


def names(bundle_ids: Collection[int]) -> dict[int, str]:
    """Return the names of these bundles."""
    rows = BundleRow.select(BundleRow.id, BundleRow.name)
    return {row.id: row.name for row in rows.where(BundleRow.id.in_(bundle_ids))}


def lock(bundle_id: int) -> None:
    """Let nobody else change the bundle until the transaction ends: its members are checked together."""
    BundleRow.select(BundleRow.id).where(
        BundleRow.id == bundle_id
    ).for_update().execute()


def page(
    *, sight: Sight, query: str, after: str, limit: int, org_id: int | None = None
) -> list[Bundle]:
    """Return up to ``limit`` bundles in order of name, from the first name after ``after``.

    Args:
        sight: Only what this shows.
        query: Part of the name, any case; empty: all.
        after: A name.
        limit: At most so many.
        org_id: Only this organisation's; ``None``: all.
    """
    rows = (
        BundleRow.select()
        .where(BundleRow.name > after)
        .order_by(BundleRow.name)
        .limit(limit)
    )
    rows = sights.shown(rows, sight, owner=BundleRow.owner_id, org=BundleRow.org_id)
    if query:
        rows = rows.where(BundleRow.name.contains(query))
    if org_id is not None:
        rows = rows.where(BundleRow.org_id == org_id)
    return _bundles(list(rows))


def add(new: NewBundle, *, owner: Owner, key_hash: bytes, key_prefix: str) -> int:
    """Insert a bundle without members and return its id.

    Raises:
        BundleNameTakenError: Another bundle has the name.
    """
    try:
        row = BundleRow.create(
            name=new.name,
            owner_id=owner.user_id,
            org_id=owner.org_id,
            description=new.description,
            separator=new.separator,
            endpoint_key_hash=key_hash,
            endpoint_key_prefix=key_prefix,
            created_at=now(),
            updated_at=now(),
        )
    except IntegrityError as error:
        raise BundleNameTakenError(
            f"A bundle named {new.name} exists already.",
            hint="Choose another name or delete that bundle.",
        ) from error
    return int(row.id)


def change(bundle_id: int, *, description: str, separator: str) -> None:
    """Write what a bundle says and how it separates names."""
    BundleRow.update(
        description=description, separator=separator, updated_at=now()
    ).where(BundleRow.id == bundle_id).execute()


def set_members(bundle_id: int, members: Sequence[Member]) -> None:
    """Replace all members; their order is the list's."""
    BundleMemberRow.delete().where(BundleMemberRow.bundle_id == bundle_id).execute()
    for position, member in enumerate(members, 1):
        BundleMemberRow.insert(
            bundle_id=bundle_id,
            server_id=member.server_id,
            position=position,
            prefix=member.config.prefix,
            tools=None if member.config.tools is None else list(member.config.tools),
            overrides=_overrides_as_dict(member.config.overrides),
        ).execute()
    BundleRow.update(updated_at=now()).where(BundleRow.id == bundle_id).execute()


def set_key(bundle_id: int, *, key_hash: bytes, key_prefix: str) -> None:
    """Replace the endpoint key."""
    BundleRow.update(
        endpoint_key_hash=key_hash, endpoint_key_prefix=key_prefix, updated_at=now()
    ).where(BundleRow.id == bundle_id).execute()


def give(bundle_id: int, *, owner_id: int, org_id: int | None) -> None:
    """Write to whom a bundle belongs."""
    BundleRow.update(owner_id=owner_id, org_id=org_id, updated_at=now()).where(
        BundleRow.id == bundle_id
    ).execute()


def holdings(org_id: int) -> Holdings:
    """Return how much belongs to an organisation."""
    return Holdings(
        servers=ServerRow.select().where(ServerRow.org_id == org_id).count(),
        bundles=BundleRow.select().where(BundleRow.org_id == org_id).count(),
        tracks=track_store.names_of_org(org_id),
        workflows=workflow_store.names_of_org(org_id),
    )


def delete(bundle_id: int) -> None:
    """Remove a bundle; its members stay what they are."""
    BundleRow.delete().where(BundleRow.id == bundle_id).execute()


def tell(kind: str, bundle: Bundle) -> None:
    """Publish that something happened to a bundle."""
    publish_in_transaction(kind, None, {"bundle_id": bundle.id, "name": bundle.name})


def _bundles(rows: Sequence[BundleRow]) -> list[Bundle]:
    """Return the bundles with their members: three queries more, however many there are."""
    owners = standings([row.owner_id for row in rows])
    members = _members([row.id for row in rows])
    return [
        Bundle(
            id=row.id,
            name=row.name,
            owner_id=row.owner_id,
            description=row.description,
            separator=row.separator,
            endpoint_key_prefix=row.endpoint_key_prefix,
            created_at=row.created_at,
            updated_at=row.updated_at,
            members=tuple(
                _member(
                    item,
                    is_permitted=may_hold(
                        owners.get(row.owner_id), row.org_id, _thing_of(item)
                    ),
                )
                for item in members.get(row.id, [])
            ),
            org_id=row.org_id,
        )
        for row in rows
    ]


def _members(bundle_ids: Collection[int]) -> dict[int, list[Mapping[str, Any]]]:
    found: dict[int, list[Mapping[str, Any]]] = {}
    rows = (
        BundleMemberRow.select(
            BundleMemberRow,
            ServerRow.name,
            ServerRow.status,
            ServerRow.owner_id,
            ServerRow.org_id,
        )
        .join(ServerRow, on=(ServerRow.id == BundleMemberRow.server_id))
        .where(BundleMemberRow.bundle_id.in_(bundle_ids))
        .order_by(BundleMemberRow.bundle_id, BundleMemberRow.position)
        .dicts()
    )
    row: Any
    for row in rows:
        found.setdefault(row["bundle_id"], []).append(row)
    return found


def _thing_of(row: Mapping[str, Any]) -> Thing:
    server_id = row["server_id"]
    return Thing(Kind.SERVER, server_id, row["owner_id"], row["org_id"], server_id)


def _member(row: Mapping[str, Any], *, is_permitted: bool) -> Member:
    overrides = {
        tool: Override(said.get("name") or "", said.get("description") or "")
        for tool, said in row["overrides"].items()
    }
    return Member(
        server_id=row["server_id"],
        server=row["name"],
        status=row["status"],
        is_permitted=is_permitted,
        config=MemberConfig(
            prefix=row["prefix"],
            tools=None if row["tools"] is None else tuple(row["tools"]),
            overrides=overrides,
        ),
    )


def _overrides_as_dict(overrides: Mapping[str, Override]) -> dict[str, dict[str, str]]:
    return {
        tool: {"name": said.name, "description": said.description}
        for tool, said in overrides.items()
        if said.name or said.description
    }
