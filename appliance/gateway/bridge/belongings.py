"""Whose tasks and out-of-band elicitations a shared server speaks of. Pure.

Both have ids that the server draws, and both outlive the call that made them. Who made one may ask for it and hears of it;
to everybody else it does not exist.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from appliance.gateway.bridge.calls import Ask, Caller
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

#: Ids of one kind that are remembered; beyond it the oldest is forgotten.
KEPT = 10_000
_TASK_METHODS = {"tasks/get", "tasks/result", "tasks/cancel", "tasks/update"}
_TASK_NOTES = "notifications/tasks"
_ELICITED = "notifications/elicitation/complete"


class Belongings:
    """Remembers who made what at one server."""

    def __init__(self) -> None:
        """Know of nothing."""
        self._tasks: dict[str, Caller] = {}
        self._elicitations: dict[str, Caller] = {}

    def made(self, method: str, answer: Envelope, caller: Caller) -> Envelope:
        """Remember the task that ``answer`` speaks of; return it as ``caller`` may see it."""
        if answer.result is UNSET or b'"taskId"' not in bytes(answer.result):
            return answer
        result = _fields(answer.result)
        if method == "tasks/list":
            return self._only_own(answer, result, caller)
        # The stateless revision names the task in the result itself.
        task = result.get("task", result)
        if isinstance(task, dict) and isinstance(task.get("taskId"), str):
            _remember(self._tasks, task["taskId"], caller)
        return answer

    def asked(self, ask: Ask, caller: Caller) -> None:
        """Remember whom an elicitation that ends elsewhere was for."""
        if ask.params is not UNSET and b'"elicitationId"' in bytes(ask.params):
            elicitation_id = _fields(ask.params).get("elicitationId")
            if isinstance(elicitation_id, str):
                _remember(self._elicitations, elicitation_id, caller)

    def may_use(self, method: str, params: Raw | UnsetType, caller: Caller) -> bool:
        """Whether ``caller`` may send ``method``: a task must be its principal's."""
        if method not in _TASK_METHODS:
            return True
        owner = self._tasks.get(str(_fields(params).get("taskId")))
        return owner is not None and owner.principal == caller.principal

    def is_owned(self, method: str) -> bool:
        """Whether a notification of this name speaks of one client's belongings."""
        return method == _ELICITED or method.startswith(_TASK_NOTES)

    def owner(self, message: Envelope) -> Caller | None:
        """Return who made what a notification speaks of; ``None``: it is not known."""
        fields = _fields(message.params)
        if message.method == _ELICITED:
            return self._elicitations.get(str(fields.get("elicitationId")))
        return self._tasks.get(str(fields.get("taskId")))

    def _only_own(
        self, answer: Envelope, result: dict[str, Any], caller: Caller
    ) -> Envelope:
        tasks = result.get("tasks")
        result["tasks"] = [
            task
            for task in (tasks if isinstance(tasks, list) else [])
            if isinstance(task, dict)
            and (owner := self._tasks.get(str(task.get("taskId")))) is not None
            and owner.principal == caller.principal
        ]
        return Envelope(id=answer.id, result=Raw(wire.encode(result)))


def _remember(kept: dict[str, Caller], key: str, caller: Caller) -> None:
    if len(kept) >= KEPT and key not in kept:
        del kept[next(iter(kept))]
    # A server that says an id twice does not give one client's task to another.
    kept.setdefault(key, caller)


def _fields(raw: Raw | UnsetType) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(b"{}" if raw is UNSET else raw)
    except msgspec.DecodeError:
        return {}
    return fields if isinstance(fields, dict) else {}
