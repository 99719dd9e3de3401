"""Queries about the audit trail. Every function runs inside ``database.run``."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from peewee import ModelSelect, fn

from appliance.core.chain import Place
from appliance.infra.database import proxy
from appliance.observability.audit_chain import line_hash
from appliance.observability.model import AuditEvent, AuditFilter, Outcome
from appliance.observability.tables import AuditChainRow, AuditEventRow

_FIELDS = tuple(item.name for item in fields(AuditEvent))
#: What a search for a text looks at.
_TEXTS = (
    AuditEventRow.actor,
    AuditEventRow.action,
    AuditEventRow.object_name,
    AuditEventRow.reason,
    AuditEventRow.request_id,
    AuditEventRow.address,
    AuditEventRow.details.cast("text"),
    AuditEventRow.before.cast("text"),
    AuditEventRow.after.cast("text"),
)
_CHAIN_ROWS = """
UPDATE audit_events e SET seq = v.seq, prev_hash = v.prev_hash, row_hash = v.row_hash
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[]) AS v(id, seq, prev_hash, row_hash) WHERE e.id = v.id
"""


@dataclass(frozen=True)
class ChainState:
    """Where the chain begins and ends, and what the last check found."""

    end: Place
    pruned: Place
    checked_at: datetime | None
    problem: str


def add(**values: Any) -> None:
    """Insert one line."""
    AuditEventRow.insert(**values).execute()


def newest(wanted: AuditFilter, *, before: int | None, limit: int) -> list[AuditEvent]:
    """Return lines, newest first; ``before``: only those older than the one of this id."""
    rows = _matching(wanted)
    if before is not None:
        rows = rows.where(AuditEventRow.id < before)
    return _events(rows.order_by(AuditEventRow.id.desc()).limit(limit))


def in_order(
    wanted: AuditFilter, *, after: int, up_to: int, limit: int
) -> list[AuditEvent]:
    """Return the lines of the chain that follow the place ``after``, as far as ``up_to``."""
    places = (AuditEventRow.seq > after) & (AuditEventRow.seq <= up_to)
    rows = _matching(wanted).where(places)
    return _events(rows.order_by(AuditEventRow.seq).limit(limit))


def _matching(wanted: AuditFilter) -> "ModelSelect[AuditEventRow]":
    rows = AuditEventRow.select()
    exact = {
        AuditEventRow.actor: wanted.actor,
        AuditEventRow.object_type: wanted.object_type,
        AuditEventRow.object_id: wanted.object_id,
        AuditEventRow.outcome: wanted.outcome,
    }
    for column, value in exact.items():
        if value is not None:
            rows = rows.where(column == value)
    if wanted.action is not None:
        part = AuditEventRow.action.startswith(f"{wanted.action}.")
        rows = rows.where((AuditEventRow.action == wanted.action) | part)
    if wanted.since is not None:
        rows = rows.where(AuditEventRow.at >= wanted.since)
    if wanted.until is not None:
        rows = rows.where(AuditEventRow.at < wanted.until)
    if wanted.text:
        everything = fn.concat_ws("\n", *_TEXTS)
        rows = rows.where(everything.contains(wanted.text))
    return rows


def state() -> ChainState:
    """Return where the chain begins and ends."""
    return _state(AuditChainRow.get())


def chain_more(limit: int) -> int:
    """Give up to ``limit`` lines that have none their place in the chain; return how many.

    Whoever does so holds the end of the chain until the transaction ends. Those who write lines never do.
    """
    end = _state(AuditChainRow.select().for_update().get()).end
    loose = AuditEventRow.select().where(AuditEventRow.seq.is_null())
    found = _events(loose.order_by(AuditEventRow.id).limit(limit))
    if not found:
        return 0
    chained: list[AuditEvent] = []
    for event in found:
        placed = replace(event, seq=end.seq + 1, prev_hash=end.row_hash)
        end = Place(end.seq + 1, line_hash(placed))
        chained.append(replace(placed, row_hash=end.row_hash))
    columns = ("id", "seq", "prev_hash", "row_hash")
    proxy.execute_sql(
        _CHAIN_ROWS, [[getattr(item, name) for item in chained] for name in columns]
    )
    AuditChainRow.update(events=end.seq, head_hash=end.row_hash).execute()
    return len(found)


def prune(before: datetime, limit: int) -> tuple[int, Place]:
    """Remove up to ``limit`` lines from the start of the chain that are older than ``before``.

    Returns:
        How many went, and the last that did, after which the chain begins now.
    """
    known = _state(AuditChainRow.select().for_update().get())
    rows = (
        AuditEventRow.select(
            AuditEventRow.seq, AuditEventRow.row_hash, AuditEventRow.at
        )
        .where(AuditEventRow.seq > known.pruned.seq)
        .order_by(AuditEventRow.seq)
        .limit(limit)
    )
    last, count = known.pruned, 0
    for row in rows:
        if row.at >= before:
            break
        last, count = Place(row.seq or 0, row.row_hash or ""), count + 1
    if count:
        # First: the table's guard lets nothing go that the chain does not begin after.
        AuditChainRow.update(pruned=last.seq, pruned_hash=last.row_hash).execute()
        AuditEventRow.delete().where(AuditEventRow.seq <= last.seq).execute()
    return count, last


def note_check(at: datetime, problem: str) -> None:
    """Keep what a check found."""
    AuditChainRow.update(checked_at=at, problem=problem).execute()


def _state(row: AuditChainRow) -> ChainState:
    return ChainState(
        end=Place(row.events, row.head_hash),
        pruned=Place(row.pruned, row.pruned_hash),
        checked_at=row.checked_at,
        problem=row.problem,
    )


def _events(rows: Iterable[AuditEventRow]) -> list[AuditEvent]:
    return [_event(row) for row in rows]


def _event(row: AuditEventRow) -> AuditEvent:
    values = {name: getattr(row, name) for name in _FIELDS}
    return AuditEvent(**values | {"outcome": Outcome(row.outcome)})
