"""What people decided, as rows. Every function runs inside ``database.run``."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from appliance.core.clock import now
from appliance.servers.pinning.model import Action, Decision, Item, Kind
from appliance.servers.pinning.tables import ToolDecisionRow

#: Decisions of a server, beyond which older ones go.
KEEP = 200


def was_pinned(server_id: int) -> bool:
    """Whether anything was decided about the server yet; one without tools has no pins."""
    return (
        ToolDecisionRow.select().where(ToolDecisionRow.server_id == server_id).exists()
    )


def decide(
    server_id: int, actor: str, action: Action, items: Iterable[Item], *, reason: str
) -> int:
    """Write a decision, and return its number."""
    row = ToolDecisionRow.create(
        server_id=server_id,
        at=now(),
        actor=actor,
        action=action.value,
        reason=reason,
        items=[_item_as_dict(item) for item in items],
        is_undone=False,
    )
    kept = (
        ToolDecisionRow.select(ToolDecisionRow.id)
        .where(ToolDecisionRow.server_id == server_id)
        .order_by(ToolDecisionRow.id.desc())
        .limit(KEEP)
    )
    ToolDecisionRow.delete().where(
        ToolDecisionRow.server_id == server_id, ToolDecisionRow.id.not_in(kept)
    ).execute()
    return int(row.id)


def decisions(server_id: int, *, limit: int = 50) -> list[Decision]:
    """Return what was decided, newest first."""
    rows = (
        ToolDecisionRow.select()
        .where(ToolDecisionRow.server_id == server_id)
        .order_by(ToolDecisionRow.id.desc())
        .limit(limit)
    )
    return [_decision(row) for row in rows]


def decision(server_id: int, number: int) -> Decision | None:
    """Return one decision, if it is this server's."""
    row = ToolDecisionRow.get_or_none(
        ToolDecisionRow.id == number, ToolDecisionRow.server_id == server_id
    )
    return _decision(row) if row else None


def mark_undone(number: int) -> None:
    """Note that a decision was taken back."""
    ToolDecisionRow.update(is_undone=True).where(ToolDecisionRow.id == number).execute()


def _item_as_dict(item: Item) -> dict[str, Any]:
    return asdict(item) | {"kind": item.kind.value, "retired": list(item.retired)}


def _decision(row: ToolDecisionRow) -> Decision:
    items = (Item(**item | {"kind": Kind(item["kind"])}) for item in row.items)
    return Decision(
        id=row.id,
        at=row.at,
        actor=row.actor,
        action=Action(row.action),
        reason=row.reason,
        items=tuple(replace(item, retired=tuple(item.retired)) for item in items),
        is_undone=row.is_undone,
    )
