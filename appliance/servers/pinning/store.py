"""Pins as rows. Every function runs inside ``database.run``."""

from collections.abc import Collection, Iterable

from appliance.core.clock import now
from appliance.servers.pinning.model import Kind, Pin
from appliance.servers.pinning.tables import ToolPinRow

#: Pins of a server that hold no more, beyond which older ones go.
KEEP_RETIRED = 2_000


def lock(server_id: int) -> None:
    """Keep others from what is pinned of a server until the transaction ends."""
    ToolPinRow.raw(
        "SELECT pg_advisory_xact_lock(hashtextextended('tool_pins', %s))", server_id
    ).execute()


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
