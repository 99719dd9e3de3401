"""Taking a decision back. Every function runs inside ``database.run``."""

from collections.abc import Mapping
from typing import Any

from appliance.observability.events import publish_in_transaction
from appliance.servers.pinning import change_store, decision_store, store
from appliance.servers.pinning.errors import (
    DecisionNotFoundError,
    DecisionStandsError,
)
from appliance.servers.pinning.model import Action, Decision, Reading, State
from appliance.servers.pinning.review import EVENT, compare


def undo(
    reading: Reading, number: int, manifest: Mapping[str, Any], *, by: str, reason: str
) -> Decision:
    """Take a decision back: what it was about waits again, and return it.

    Args:
        reading: What runs now.
        number: Of the decision.
        manifest: What the server gives now.
        by: Who says so.
        reason: Why; may be empty.

    Raises:
        DecisionNotFoundError: There is none of this number.
        DecisionStandsError: It was taken back before, or decided about again, or is none that can be.
    """
    server_id = reading.server_id
    store.lock(server_id)
    decision = decision_store.decision(server_id, number)
    if decision is None:
        raise DecisionNotFoundError(f"There is no decision {number}.")
    if decision.is_undone or decision.action not in {Action.APPROVE, Action.REJECT}:
        raise DecisionStandsError(
            "Only approvals and rejections that stand can be taken back."
        )
    if decision.action is Action.APPROVE:
        _take_back(server_id, decision)
        compare(reading, manifest)
        _stand_as_before(server_id, decision)
    else:
        _wait_again(server_id, decision)
    decision_store.mark_undone(number)
    decision_store.decide(server_id, by, Action.UNDO, decision.items, reason=reason)
    publish_in_transaction(EVENT, server_id, {"action": Action.UNDO.value})
    return decision


def _take_back(server_id: int, decision: Decision) -> None:
    held = {(pin.kind, pin.name): pin.id for pin in store.pins(server_id)}
    for item in decision.items:
        if held.get((item.kind, item.name)) != item.made:
            raise DecisionStandsError(
                f"{item.name or item.kind.value} was decided about again since then.",
                hint="Take the later decision back first.",
            )
    made = [item.made for item in decision.items if item.made is not None]
    store.drop_pins(made)
    taken = {key for key, number in held.items() if number not in made}
    retired = [number for item in decision.items for number in item.retired]
    store.reinstate(
        [
            pin.id
            for pin in store.pins_numbered(retired)
            if (pin.kind, pin.name) not in taken
        ]
    )


def _stand_as_before(server_id: int, decision: Decision) -> None:
    """What had been rejected before it was approved is so again."""
    rejected = {
        (item.kind, item.name)
        for item in decision.items
        if item.was == State.REJECTED.value
    }
    numbers = [
        change.id
        for change in change_store.changes(server_id)
        if (change.difference.kind, change.difference.name) in rejected
    ]
    if numbers:
        change_store.set_state(
            numbers, State.REJECTED, by=decision.actor, reason=decision.reason
        )


def _wait_again(server_id: int, decision: Decision) -> None:
    about = {(item.kind, item.name) for item in decision.items}
    numbers = [
        change.id
        for change in change_store.changes(server_id)
        if (change.difference.kind, change.difference.name) in about
        and change.state is State.REJECTED
    ]
    if not numbers:
        raise DecisionStandsError("Nothing of what was rejected is there any more.")
    change_store.set_state(numbers, State.WAITING)
