"""Queries about events. Every function runs inside ``database.run``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from peewee import fn

from appliance.core.clock import now
from appliance.infra import prepared
from appliance.observability.model import Event
from appliance.observability.redaction import redact_items
from appliance.observability.tables import EventRow

# Written with most changes: peewee takes as long to write such a statement as Postgres to do it.
_INSERT = "INSERT INTO events (at, kind, server_id, data) VALUES (%s, %s, %s, %s)"


def add(kind: str, server_id: int | None, data: Mapping[str, Any]) -> None:
    """Insert one event; its final id is decided when the transaction commits (migration 0004)."""
    told = msgspec.json.encode(redact_items(data)).decode()
    prepared.execute(_INSERT, (now(), kind, server_id, told))


def newest_id() -> int:
    """Return the id of the newest event, or 0."""
    return EventRow.select(fn.MAX(EventRow.id)).scalar() or 0


def exists(event_id: int) -> bool:
    """Return whether the event of this id is still kept."""
    return bool(EventRow.select().where(EventRow.id == event_id).exists())


def after(event_id: int, *, up_to: int | None = None, limit: int = 500) -> list[Event]:
    """Return events with a higher id, oldest first.

    Args:
        up_to: The highest id wanted; ``None``: whatever there is.
    """
    rows = EventRow.select().where(EventRow.id > event_id)
    if up_to is not None:
        rows = rows.where(EventRow.id <= up_to)
    return [_event(row) for row in rows.order_by(EventRow.id).limit(limit)]


def prune(before: datetime) -> int:
    """Remove events older than ``before`` and return how many went.

    The newest stays whatever its age: the order of ids (migration 0004) hangs on it.
    """
    newest = newest_id()
    old = EventRow.delete().where(EventRow.at < before, EventRow.id < newest)
    return int(old.execute())


def _event(row: EventRow) -> Event:
    return Event(
        id=row.id,
        at=row.at,
        kind=row.kind,
        server_id=row.server_id,
        data=row.data,
    )
