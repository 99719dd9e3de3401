"""The tool allow-list of a server: what is not on it is neither listed nor called. Pure.

Bodies are written anew from what was read here, so that no server reads another tool's name in them than we did.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw

from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

CALL = "tools/call"
LIST = "tools/list"


class ToolRefusedError(Exception):
    """A tool that is not on the list was called; to its caller there is no such tool.

    Args:
        name: Of the tool.
    """

    def __init__(self, name: str) -> None:
        """Make the message."""
        super().__init__(f"Unknown tool: {name}")


def checked_body(message: Envelope, allowed: frozenset[str]) -> bytes:
    """Return ``message`` for the server.

    Raises:
        ToolRefusedError: It calls a tool that is not on the list.
    """
    if message.method != CALL:
        return wire.encode(message)
    fields = _object(b"{}" if message.params is UNSET else bytes(message.params))
    name = _text(fields.get("name"))
    if name not in allowed:
        raise ToolRefusedError(name)
    onward = Envelope(id=message.id, method=CALL, params=Raw(wire.encode(fields)))
    return wire.encode(onward)


def filtered(body: bytes, allowed: frozenset[str], *, is_stream: bool) -> bytes:
    """Return an answer to ``tools/list`` with the tools on the list alone.

    Args:
        body: As the server sent it.
        allowed: The list.
        is_stream: Whether ``body`` is a finished event stream instead of JSON.
    """
    if not is_stream:
        return _filtered_message(body, allowed)
    text = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return b"".join(
        _filtered_event(event, allowed)
        for event in text.split(b"\n\n")
        if event.strip()
    )


def _filtered_event(event: bytes, allowed: frozenset[str]) -> bytes:
    lines = event.split(b"\n")
    data = b"\n".join(
        line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")
    )
    others = [line for line in lines if line and not line.startswith(b"data:")]
    shown = [b"data: " + _filtered_message(data, allowed)] if data else []
    return b"\n".join([*others, *shown]) + b"\n\n"


def _filtered_message(body: bytes, allowed: frozenset[str]) -> bytes:
    message = _object(body)
    result = _object(bytes(message.get("result", Raw(b"{}"))))
    if "tools" not in result:
        return wire.encode(message)
    tools = [
        tool
        for tool in msgspec.json.decode(result["tools"], type=list[Raw])
        if _name(tool) in allowed
    ]
    result["tools"] = Raw(wire.encode(tools))
    message["result"] = Raw(wire.encode(result))
    return wire.encode(message)


def _object(raw: bytes) -> dict[str, Raw]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Raw])
    except msgspec.DecodeError:
        return {}


def _name(tool: Raw) -> str:
    return _text(_object(bytes(tool)).get("name"))


def _text(raw: Raw | None) -> str:
    value: Any = None if raw is None else msgspec.json.decode(raw)
    return value if isinstance(value, str) else ""
