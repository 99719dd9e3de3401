"""Comparing what a server gives with what was approved, and deciding about it. Every function runs inside ``database.run``."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from appliance.core.clock import now
from appliance.observability.events import publish_in_transaction
from appliance.servers.pinning import change_store, decision_store, store
from appliance.servers.pinning.errors import (
    ChangeGoneError,
    NothingWaitsError,
)
from appliance.servers.pinning.model import (
    Action,
    Change,
    Definition,
    Difference,
    Item,
    Kind,
    Pin,
    Reading,
    State,
    What,
)
from appliance.servers.pinning.rules import definitions_of, differences, names

#: What a page that shows approvals waits for.
EVENT = "server.tools"
_Key = tuple[Kind, str]


def compare(reading: Reading, manifest: Mapping[str, Any]) -> None:
    """Write down how what was read differs from what was approved; the first reading of a server is approved as it is."""
    store.lock(reading.server_id)
    given = definitions_of(manifest)
    if not decision_store.was_pinned(reading.server_id):
        _pin_all(reading, given)
        return
    _recognise(reading, given)
    found = differences(store.pins(reading.server_id), given, allowed=reading.allowed)
    new = change_store.sync(
        reading.server_id, found, deployment=reading.deployment, at=now()
    )
    if new:
        publish_in_transaction(EVENT, reading.server_id, {"changes": names(new)})


def _pin_all(reading: Reading, given: Sequence[Definition]) -> None:
    """Approve everything in the name of the person who wanted the deployment."""
    items = [
        Item(
            item.kind,
            item.name,
            What.ADDED.value,
            made=_pinned(reading, item, reading.requested_by),
            hash=item.hash,
        )
        for item in given
    ]
    decision_store.decide(
        reading.server_id,
        reading.requested_by,
        Action.PIN,
        items,
        reason=f"As deployment #{reading.deployment} gave them first.",
    )
    publish_in_transaction(EVENT, reading.server_id, {"pinned": len(items)})


def _recognise(reading: Reading, given: Sequence[Definition]) -> None:
    """Have definitions hold again that were approved while this very image ran: a rollback asks nobody twice."""
    if not reading.image:
        return
    held = {(pin.kind, pin.name): pin for pin in store.pins(reading.server_id)}
    other = [item for item in given if _hash(held, item) != item.hash]
    if not other:
        return
    known: dict[tuple[Kind, str, str], Pin] = {}
    for pin in store.approved_with(reading.server_id, reading.image):
        known.setdefault((pin.kind, pin.name, pin.hash), pin)
    items = []
    for item in other:
        again = known.get((item.kind, item.name, item.hash))
        if again is not None:
            retired = store.retire(reading.server_id, [(item.kind, item.name)])
            store.reinstate([again.id])
            what = What.CHANGED if retired else What.ADDED
            items.append(Item(item.kind, item.name, what.value, "", retired, again.id, item.hash))  # fmt: skip
    if items:
        why = f"They had been approved with the image that deployment #{reading.deployment} runs."
        decision_store.decide(
            reading.server_id, "system", Action.RECOGNISE, items, reason=why
        )


def _hash(held: Mapping[_Key, Pin], item: Definition) -> str:
    pin = held.get((item.kind, item.name))
    return pin.hash if pin else ""


def _pinned(reading: Reading, item: Definition, by: str) -> int:
    pin = Pin(
        kind=item.kind,
        name=item.name,
        value=item.value,
        hash=item.hash,
        image=reading.image,
        deployment=reading.deployment,
        approved_by=by,
        approved_at=now(),
    )
    return store.add_pin(reading.server_id, pin)


def approve(
    reading: Reading, numbers: Collection[int] | None, *, by: str, reason: str
) -> list[Difference]:
    """Have what changed hold from now on, and return it.

    Args:
        reading: What runs now.
        numbers: Of the changes; ``None``: all.
        by: Who says so.
        reason: Why; may be empty.

    Raises:
        NothingWaitsError: There is no change.
        ChangeGoneError: One of them is not there any more.
    """
    store.lock(reading.server_id)
    chosen = _chosen(reading.server_id, numbers)
    # What makes room comes first: two tools may have swapped their names.
    retired = {change.id: _retired(reading.server_id, change) for change in chosen}
    items = [_approved(reading, change, retired[change.id], by=by) for change in chosen]
    change_store.drop([change.id for change in chosen])
    decision_store.decide(reading.server_id, by, Action.APPROVE, items, reason=reason)
    return _told(reading.server_id, Action.APPROVE, chosen)


def _retired(server_id: int, change: Change) -> tuple[int, ...]:
    item = change.difference
    return store.retire(
        server_id, {(item.kind, item.name), (item.kind, item.renamed_from or item.name)}
    )


def _approved(
    reading: Reading, change: Change, retired: tuple[int, ...], *, by: str
) -> Item:
    item, made = change.difference, None
    if item.what is not What.REMOVED:
        given = Definition(item.kind, item.name, item.after, item.hash)
        made = _pinned(reading, given, by)
    return replace(_item(change), retired=retired, made=made)


def reject(
    reading: Reading, numbers: Collection[int] | None, *, by: str, reason: str
) -> list[Difference]:
    """Hold back what changed, whatever the server's setting is, and return it. What is gone cannot be held back.

    Raises:
        NothingWaitsError: There is nothing that could be held back.
        ChangeGoneError: One of the changes is not there any more.
    """
    store.lock(reading.server_id)
    chosen = [
        change
        for change in _chosen(reading.server_id, numbers)
        if change.difference.what is not What.REMOVED
    ]
    if not chosen:
        raise NothingWaitsError(
            "What is gone cannot be held back.", hint="Approve it to forget it."
        )
    change_store.set_state(
        [change.id for change in chosen], State.REJECTED, by=by, reason=reason
    )
    items = [_item(change) for change in chosen]
    decision_store.decide(reading.server_id, by, Action.REJECT, items, reason=reason)
    return _told(reading.server_id, Action.REJECT, chosen)


def _chosen(server_id: int, numbers: Collection[int] | None) -> list[Change]:
    found = change_store.changes(server_id)
    if not found:
        raise NothingWaitsError("All definitions are as they were approved.")
    if numbers is None:
        return found
    if not numbers:
        raise NothingWaitsError("No change was named.")
    chosen = [change for change in found if change.id in numbers]
    if len(chosen) != len(set(numbers)):
        raise ChangeGoneError(
            "The server says something else by now, or somebody has decided.",
            hint="Look at the changes again.",
        )
    return chosen


def _item(change: Change) -> Item:
    item = change.difference
    return Item(
        item.kind,
        item.name,
        item.what.value,
        item.renamed_from,
        hash=item.hash,
        was=change.state.value,
    )


def _told(server_id: int, action: Action, chosen: Sequence[Change]) -> list[Difference]:
    about = [change.difference for change in chosen]
    publish_in_transaction(
        EVENT, server_id, {"action": action.value, "changes": names(about)}
    )
    return about
