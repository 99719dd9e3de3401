"""``initialize``: how a server of the older revisions is opened, and what it said. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from appliance.gateway.errors import HandshakeError
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

#: A server that does not say who it is.
UNKNOWN = {"name": "unknown", "version": ""}


def request(
    revision: str, capabilities: Mapping[str, Any], client_info: Mapping[str, Any]
) -> Envelope:
    """Return the question, without an id."""
    params = {
        "protocolVersion": revision,
        "capabilities": capabilities,
        "clientInfo": client_info,
    }
    return Envelope(method="initialize", params=Raw(wire.encode(params)))


def result_of(answer: Envelope) -> dict[str, Any]:
    """Return the result as the server wrote it.

    Raises:
        HandshakeError: It is no object.
    """
    try:
        return msgspec.json.decode(
            b"" if answer.result is UNSET else answer.result, type=dict[str, Any]
        )
    except msgspec.DecodeError as error:
        raise HandshakeError(
            "The server answered initialize with something else than an object."
        ) from error
