"""Recorded calls that can be made again. Pure."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.core.bodies import HIDDEN
from appliance.evaluations.expectations.answer import Answer

#: Calls of one replay, unless somebody says otherwise, and at most.
CALLS = 50
MOST_CALLS = 500
#: Recorded calls that are looked through for them.
LOOKED_THROUGH = 5000


@dataclass(frozen=True)
class Recorded:
    """One row of the invocations, as far as a replay needs it."""

    id: int
    tool: str
    duration_ms: float
    request_bytes: int
    response_bytes: int
    #: ``None``: not kept.
    request: str | None
    response: str | None


@dataclass(frozen=True)
class Call:
    """A call that can be made again, with what was answered."""

    id: int
    tool: str
    arguments: Mapping[str, Any]
    answer: Answer
    duration_ms: float
    size_bytes: int


@dataclass
class Chosen:
    """Which calls are made again, and how many are not, and why."""

    calls: list[Call] = field(default_factory=list)
    #: Reason to number: ``redacted``, ``truncated``, ``not_kept``, ``unreadable``, ``duplicate``, ``not_read_only``.
    left_out: dict[str, int] = field(default_factory=dict)

    def leave(self, reason: str) -> None:
        """Count a call that is not made again."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def read_only(tools: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of the tools that say of themselves that they change nothing."""
    return frozenset(
        str(tool["name"])
        for tool in tools
        if "name" in tool
        and isinstance(tool.get("annotations"), Mapping)
        and tool["annotations"].get("readOnlyHint") is True
    )


def choose(
    recorded: Iterable[Recorded], *, tools: Collection[str], limit: int
) -> Chosen:
    """Return the newest calls of these tools that can be made again, each once.

    Args:
        recorded: Newest first.
        tools: Names that may be called.
        limit: How many.
    """
    found, seen = Chosen(), set()
    for item in recorded:
        if len(found.calls) >= limit:
            break
        if item.tool not in tools:
            found.leave("not_read_only")
            continue
        call = _call(item)
        if isinstance(call, str):
            found.leave(call)
            continue
        key = (call.tool, json.dumps(call.arguments, sort_keys=True))
        if key in seen:
            found.leave("duplicate")
            continue
        seen.add(key)
        found.calls.append(call)
    return found


def _call(item: Recorded) -> Call | str:
    """Return a call, or why it cannot be made again."""
    if not item.request or not item.response:
        return "not_kept"
    if HIDDEN in item.request or HIDDEN in item.response:
        return "redacted"
    if _is_cut(item.request, item.request_bytes) or _is_cut(
        item.response, item.response_bytes
    ):
        return "truncated"
    arguments, answer = _arguments(item.request), answer_of(item.response)
    if arguments is None or answer is None:
        return "unreadable"
    return Call(
        id=item.id,
        tool=item.tool,
        arguments=arguments,
        answer=answer,
        duration_ms=item.duration_ms,
        size_bytes=size_of(answer),
    )


def size_of(answer: Answer) -> int:
    """Return the bytes of an answer's result, however it travelled."""
    return len(json.dumps(dict(answer.result), ensure_ascii=False).encode())


def _is_cut(text: str, size_bytes: int) -> bool:
    return len(text.encode()) < size_bytes or text.endswith("…")


def _arguments(request: str) -> dict[str, Any] | None:
    message = _parsed(request)
    params = message.get("params") if message else None
    if not isinstance(params, dict):
        return None
    arguments = params.get("arguments", {})
    return arguments if isinstance(arguments, dict) else None


def answer_of(response: str) -> Answer | None:
    """Return what was answered, be it JSON or a stream of events; ``None``: that cannot be told."""
    message = _parsed(response) or _from_events(response)
    if message is None:
        return None
    error = message.get("error")
    if isinstance(error, dict):
        code = error.get("code")
        return Answer(
            rpc_code=code if isinstance(code, int) else 0,
            rpc_message=str(error.get("message", "")) or "error",
        )
    result = message.get("result")
    return Answer(result) if isinstance(result, dict) else None


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _from_events(text: str) -> dict[str, Any] | None:
    """Return the message that answers a request: the last with a result or an error."""
    found = None
    for block in text.replace("\r\n", "\n").split("\n\n"):
        data = "\n".join(
            line[5:].strip() for line in block.splitlines() if line.startswith("data:")
        )
        message = _parsed(data) if data else None
        if message is not None and ("result" in message or "error" in message):
            found = message
    return found
