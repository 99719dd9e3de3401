"""What differs from what was approved, as rows. Every function runs inside ``database.run``."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from appliance.core.clock import now
from appliance.servers.pinning.model import Change, Difference, Kind, State, What
from appliance.servers.pinning.tables import ToolChangeRow


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


def drop(numbers: Collection[int]) -> None:
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
