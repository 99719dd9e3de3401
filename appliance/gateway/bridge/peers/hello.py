"""How the gateway opens a server with ``initialize`` in a client's name. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from appliance.gateway.bridge.calls import Caller
from appliance.gateway.errors import HandshakeError
from appliance.gateway.protocol import opening, wire
from appliance.gateway.protocol.discovery import GATEWAY_INFO
from appliance.gateway.protocol.wire import Envelope

_OLDEST = wire.LEGACY_REVISIONS[-1]


@dataclass(frozen=True)
class Hello:
    """What a server is told of its client."""

    revision: str = wire.LEGACY_REVISIONS[0]
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    client_info: Mapping[str, Any] = field(default_factory=lambda: GATEWAY_INFO)

    @property
    def revisions(self) -> list[str]:
        """The revision to ask for, and those to try when it is refused, which a good server does not."""
        others = [item for item in wire.LEGACY_REVISIONS if item != self.revision]
        return [self.revision, *others]

    def request(self, request_id: bytes, revision: str) -> Envelope:
        """Return the ``initialize`` request."""
        asked = opening.request(revision, self.capabilities, self.client_info)
        asked.id = Raw(request_id)
        return asked


def hello_for(caller: Caller) -> Hello:
    """Return what a server is told of ``caller``."""
    is_known = caller.revision in wire.LEGACY_REVISIONS
    return Hello(
        revision=caller.revision if is_known else wire.LEGACY_REVISIONS[0],
        capabilities=caller.capabilities,
        client_info=caller.client_info or GATEWAY_INFO,
    )


def opened_by(answer: Envelope) -> dict[str, Any]:
    """Return what a server said at ``initialize``, with what it had to say and did not.

    Raises:
        HandshakeError: It refused, or said something else than an object.
    """
    if answer.error is not UNSET:
        raise HandshakeError(f"The server refuses to be opened: {_words(answer.error)}")
    result = opening.result_of(answer)
    return {
        **result,
        "protocolVersion": str(result.get("protocolVersion", _OLDEST)),
        "capabilities": _object(result.get("capabilities")),
        "serverInfo": _object(result.get("serverInfo")) or opening.UNKNOWN,
    }


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _words(error: Raw) -> str:
    try:
        said = msgspec.json.decode(error)
    except msgspec.DecodeError:
        return "an error that cannot be read"
    return str(said.get("message", said)) if isinstance(said, dict) else str(said)
