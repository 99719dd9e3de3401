"""Read of a client's message what a worker has to know: one parse, and everything else stays bytes. Pure."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType, field

from appliance.gateway.protocol import wire

_TARGETED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class _Meta(msgspec.Struct, gc=False):
    version: str | None = field(
        name="io.modelcontextprotocol/protocolVersion", default=None
    )
    traceparent: str | None = None
    related_task: Raw | UnsetType = field(
        name="io.modelcontextprotocol/related-task", default=UNSET
    )


class Params(msgspec.Struct, gc=False):
    """What of a message's parameters a worker has to know."""

    name: str | None = None
    uri: str | None = None
    meta: _Meta | None = field(name="_meta", default=None)
    request_state: Raw | UnsetType = field(name="requestState", default=UNSET)
    task_id: Raw | UnsetType = field(name="taskId", default=UNSET)


def hold_states(params: Params) -> bool:
    """Whether parameters bring back something that a server handed out."""
    return (
        params.request_state is not UNSET
        or params.task_id is not UNSET
        or (params.meta is not None and params.meta.related_task is not UNSET)
    )


class Message(msgspec.Struct, gc=False):
    """One message of a client."""

    id: Raw = Raw(wire.NULL)
    #: Empty: it is an answer, or cannot be read.
    method: str = ""
    params: Params | None = None

    def target(self) -> str:
        """Return the tool, prompt or resource that is asked for; empty for other methods."""
        params, name = self.params, _TARGETED.get(self.method)
        if params is None or name is None:
            return ""
        return (params.name if name == "name" else params.uri) or ""


#: Reads a message; raises one of ``UNREADABLE`` if it is not as the protocol has it.
decode = msgspec.json.Decoder(Message).decode
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_leniently(body: bytes) -> Message | None:
    """Return a message whose parameters are not as the protocol has them; ``None``: it is not one message at all."""
    try:
        envelope = wire.decode_body(body)
    except wire.WireError:
        return None
    return Message(
        id=Raw(wire.id_of(envelope)),
        method="" if envelope.method is UNSET else envelope.method,
    )


def said_at_opening(body: bytes) -> dict[str, Any]:
    """Return the parameters of ``initialize``; empty if they are none."""
    try:
        params = msgspec.json.decode(body)["params"]
    except (msgspec.DecodeError, KeyError, TypeError, RecursionError):
        return {}
    return params if isinstance(params, dict) else {}
