"""Read of a client's message what a worker has to know: one parse, and everything else stays bytes. Pure."""

from typing import Any

import msgspec
from msgspec import Raw, field

from appliance.gateway.protocol import wire

_TARGETED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class _Meta(msgspec.Struct, gc=False):
    version: str | None = field(
        name="io.modelcontextprotocol/protocolVersion", default=None
    )
    traceparent: str | None = None


class _Params(msgspec.Struct, gc=False):
    name: str | None = None
    uri: str | None = None
    meta: _Meta | None = field(name="_meta", default=None)


class Message(msgspec.Struct, gc=False):
    """One message of a client."""

    id: Raw = Raw(wire.NULL)
    #: Empty: it is an answer, or cannot be read.
    method: str = ""
    params: _Params | None = None

    def target(self) -> str:
        """Return the tool, prompt or resource that is asked for; empty for other methods."""
        params, name = self.params, _TARGETED.get(self.method)
        if params is None or name is None:
            return ""
        return (params.name if name == "name" else params.uri) or ""


decode = msgspec.json.Decoder(Message).decode


def read(body: bytes) -> Message | None:
    """Return what ``body`` asks for; ``None``: it is not one message of the protocol."""
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_leniently(body)


def _read_leniently(body: bytes) -> Message | None:
    """Read a message whose parameters are not as the protocol has them; that is for the server to say."""
    try:
        envelope = wire.decode_body(body)
    except wire.WireError:
        return None
    return Message(
        id=Raw(wire.id_of(envelope)),
        method="" if envelope.method is msgspec.UNSET else envelope.method,
    )


def said_at_opening(body: bytes) -> dict[str, Any]:
    """Return the parameters of ``initialize``; empty if they are none."""
    try:
        params = msgspec.json.decode(body)["params"]
    except (msgspec.DecodeError, KeyError, TypeError, RecursionError):
        return {}
    return params if isinstance(params, dict) else {}
