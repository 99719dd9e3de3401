"""Pins, changes and decisions as rows. Every function runs inside ``database.run``."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from appliance.core.clock import now
from appliance.servers.pinning.model import (
    Action,
    Change,
    Decision,
    Difference,
    Item,
    Kind,
    Pin,
    State,
    What,
)
from appliance.servers.pinning.tables import (
    ToolChangeRow,
    ToolDecisionRow,
    ToolPinRow,
)

#: Of each server: decisions, and pins that hold no more, beyond which older ones go.
KEEP_DECISIONS = 200
KEEP_RETIRED = 2_000


def lock(server_id: int) -> None:
    """Keep others from what is pinned of a server until the transaction ends."""
    ToolPinRow.raw(
        "SELECT pg_advisory_xact_lock(hashtextextended('tool_pins', %s))", server_id
    ).execute()


# -- pins


def pins(server_id: int) -> list[Pin]:
    """Return what holds, by kind and name."""
    rows = (
        ToolPinRow.select()
        .where(ToolPinRow.server_id == server_id, ToolPinRow.retired_at.is_null())
        .order_by(ToolPinRow.kind.desc(), ToolPinRow.name)
    )
    return [_pin(row) for row in rows]


def add_pin(server_id: int, pin: Pin) -> int:
    """Have ``pin`` hold, and return its number; what held under its name must be retired."""
    row = ToolPinRow.create(
        server_id=server_id,
        kind=pin.kind.value,
        name=pin.name,
        definition=pin.value,
        hash=pin.hash,
        image=pin.image,
        deployment=pin.deployment,
        approved_by=pin.approved_by,
        approved_at=pin.approved_at,
    )
    return int(row.id)


def retire(server_id: int, named: Iterable[tuple[Kind, str]]) -> tuple[int, ...]:
    """Have what holds under these names hold no more, and return its numbers."""
    wanted = set(named)
    gone = tuple(
        pin.id for pin in pins(server_id) if (pin.kind, pin.name) in wanted and pin.id
    )
    if gone:
        ToolPinRow.update(retired_at=now()).where(ToolPinRow.id.in_(gone)).execute()
        _forget_retired(server_id)
    return gone


def drop_pins(numbers: Collection[int]) -> None:
    """Forget pins as if they had never been, so that nothing is recognised by them."""
    if numbers:
        ToolPinRow.delete().where(ToolPinRow.id.in_(list(numbers))).execute()


def pins_numbered(numbers: Collection[int]) -> list[Pin]:
    """Return pins by their numbers, whether they hold or not."""
    rows = ToolPinRow.select().where(ToolPinRow.id.in_(list(numbers)))
    return [_pin(row) for row in rows] if numbers else []


def reinstate(numbers: Collection[int]) -> None:
    """Have retired pins hold again; others under their names must be retired."""
    if numbers:
        ToolPinRow.update(retired_at=None).where(
            ToolPinRow.id.in_(list(numbers))
        ).execute()


def approved_with(server_id: int, image: str) -> list[Pin]:
    """Return what was approved while ``image`` ran, and holds no more; the newest first."""
    rows = (
        ToolPinRow.select()
        .where(
            ToolPinRow.server_id == server_id,
            ToolPinRow.image == image,
            ToolPinRow.retired_at.is_null(is_null=False),
        )
        .order_by(ToolPinRow.id.desc())
    )
    return [_pin(row) for row in rows]


def _forget_retired(server_id: int) -> None:
    kept = (
        ToolPinRow.select(ToolPinRow.id)
        .where(
            ToolPinRow.server_id == server_id,
            ToolPinRow.retired_at.is_null(is_null=False),
        )
        .order_by(ToolPinRow.id.desc())
        .limit(KEEP_RETIRED)
    )
    ToolPinRow.delete().where(
        ToolPinRow.server_id == server_id,
        ToolPinRow.retired_at.is_null(is_null=False),
        ToolPinRow.id.not_in(kept),
    ).execute()


def _pin(row: ToolPinRow) -> Pin:
    return Pin(
        id=row.id,
        kind=Kind(row.kind),
        name=row.name,
        value=row.definition,
        hash=row.hash,
        image=row.image,
        deployment=row.deployment,
        approved_by=row.approved_by,
        approved_at=row.approved_at,
    )


# -- changes


def changes(server_id: int, *, holds_back: bool = False) -> list[Change]:
    """Return what stands, in the order in which it was found.

    Args:
        server_id: Of the server.
        holds_back: Whether its setting is to hold back what waits.
    """
    rows = (
        ToolChangeRow.select()
        .where(ToolChangeRow.server_id == server_id)
        .order_by(ToolChangeRow.id)
    )
    return [_change(row, holds_back=holds_back) for row in rows]


def sync(
    server_id: int, found: Sequence[Difference], *, deployment: int, at: datetime
) -> list[Difference]:
    """Write what stands now, and return what was not there before.

    What was decided about the same difference stays. What was rejected stays rejected when it changes again: whoever said no
    to a tool did not say yes to its next disguise.
    """
    known = {_key(row): row for row in _rows(server_id)}
    new: list[Difference] = []
    for item in found:
        row = known.pop((item.kind.value, item.name), None)
        if row is not None and _is_same(row, item):
            continue
        if row is not None:
            row.delete_instance()
        _add(server_id, item, row, deployment=deployment, at=at)
        new.append(item)
    if known:
        gone = [row.id for row in known.values()]
        ToolChangeRow.delete().where(ToolChangeRow.id.in_(gone)).execute()
    return new


def drop_changes(numbers: Collection[int]) -> None:
    """Forget changes that hold from now on."""
    ToolChangeRow.delete().where(ToolChangeRow.id.in_(list(numbers))).execute()


def set_state(
    numbers: Collection[int], state: State, *, by: str = "", reason: str = ""
) -> None:
    """Write how changes stand, and who said so."""
    ToolChangeRow.update(
        state=state.value,
        decided_by=by,
        decided_at=now() if by else None,
        reason=reason,
    ).where(ToolChangeRow.id.in_(list(numbers))).execute()


def _rows(server_id: int) -> Iterable[ToolChangeRow]:
    found: Iterable[ToolChangeRow] = ToolChangeRow.select().where(
        ToolChangeRow.server_id == server_id
    )
    return found


def _key(row: ToolChangeRow) -> tuple[str, str]:
    return row.kind, row.name


def _is_same(row: ToolChangeRow, item: Difference) -> bool:
    return (row.what, row.renamed_from, row.hash, row.before) == (
        item.what.value,
        item.renamed_from,
        item.hash,
        item.before,
    )


def _add(
    server_id: int,
    item: Difference,
    replaced: ToolChangeRow | None,
    *,
    deployment: int,
    at: datetime,
) -> None:
    is_rejected = replaced is not None and replaced.state == State.REJECTED.value
    stays = is_rejected and item.what is not What.REMOVED
    ToolChangeRow.create(
        server_id=server_id,
        what=item.what.value,
        kind=item.kind.value,
        name=item.name,
        renamed_from=item.renamed_from,
        before=item.before,
        after=item.after,
        hash=item.hash,
        deployment=deployment,
        found_at=at,
        state=(State.REJECTED if stays else State.WAITING).value,
        decided_by=replaced.decided_by if stays and replaced else "",
        decided_at=replaced.decided_at if stays and replaced else None,
        reason=replaced.reason if stays and replaced else "",
    )


def _change(row: ToolChangeRow, *, holds_back: bool) -> Change:
    what, state = What(row.what), State(row.state)
    kind = Kind(row.kind)
    is_open = state is State.REJECTED or holds_back
    return Change(
        id=row.id,
        difference=Difference(
            what, kind, row.name, row.renamed_from, row.before, row.after, row.hash
        ),
        state=state,
        is_held=kind is Kind.TOOL and what is not What.REMOVED and is_open,
        deployment=row.deployment,
        found_at=row.found_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        reason=row.reason,
    )


# -- decisions


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
        .limit(KEEP_DECISIONS)
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
