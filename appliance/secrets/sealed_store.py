"""Queries about sealed values that are no secrets of a server's own; every function runs inside ``database.run``."""

from collections.abc import Collection
from typing import Any

from peewee import fn

from appliance.secrets.envelope import Envelope, Place
from appliance.secrets.tables import SealedValueRow


def put(place: Place, sealed: Envelope, *, user_id: int | None) -> None:
    """Keep a value in place of the one that was there."""
    values = {
        "user_id": user_id,
        "version": place.version,
        "key_id": sealed.key_id,
        "wrapped_key": sealed.wrapped_key,
        "value": sealed.value,
    }
    SealedValueRow.insert(
        server_id=place.server_id, name=place.name, **values
    ).on_conflict(
        conflict_target=(SealedValueRow.server_id, SealedValueRow.name), update=values
    ).execute()


def get(server_id: int, name: str) -> tuple[Place, Envelope] | None:
    """Return a value and where it belongs."""
    row = SealedValueRow.get_or_none(
        SealedValueRow.server_id == server_id, SealedValueRow.name == name
    )
    return None if row is None else _of(row)


def remove(server_id: int, name: str) -> None:
    """Forget a value."""
    SealedValueRow.delete().where(
        SealedValueRow.server_id == server_id, SealedValueRow.name == name
    ).execute()


def keys_in_use() -> dict[str, int]:
    """Return how many values are sealed under each master key."""
    rows: Any = (
        SealedValueRow.select(SealedValueRow.key_id, fn.COUNT(SealedValueRow.id))
        .group_by(SealedValueRow.key_id)
        .tuples()
    )
    return dict(rows)


def under_keys(
    key_ids: Collection[str], *, after: int, limit: int
) -> list[tuple[int, Place, Envelope]]:
    """Return up to ``limit`` values under one of these keys, with their rows' numbers, above ``after``; they stay locked."""
    rows = (
        SealedValueRow.select()
        .where(SealedValueRow.key_id.in_(list(key_ids)), SealedValueRow.id > after)
        .order_by(SealedValueRow.id)
        .limit(limit)
        .for_update()
    )
    return [(row.id, *_of(row)) for row in rows]


def set_wrapping(row_id: int, sealed: Envelope) -> None:
    """Write down that a value's key is under another master key now."""
    SealedValueRow.update(key_id=sealed.key_id, wrapped_key=sealed.wrapped_key).where(
        SealedValueRow.id == row_id
    ).execute()


def _of(row: SealedValueRow) -> tuple[Place, Envelope]:
    return (
        Place(row.server_id, row.name, row.version),
        Envelope(row.key_id, bytes(row.wrapped_key), bytes(row.value)),
    )
