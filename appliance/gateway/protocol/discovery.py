"""``server/discover``: how a server of the stateless revision is asked what it is. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from appliance.gateway.protocol import modern, wire
from appliance.gateway.protocol.wire import Envelope

REVISION = wire.MODERN_REVISIONS[0]
METHOD = "server/discover"
#: Who the gateway is, where no client is spoken for.
GATEWAY_INFO = {"name": "mcp-host-gateway", "version": "1"}


def meta(
    client_info: Mapping[str, Any], capabilities: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what every request says of who asks."""
    return {
        modern.PROTOCOL_VERSION: REVISION,
        modern.CLIENT_INFO: dict(client_info or GATEWAY_INFO),
        modern.CLIENT_CAPABILITIES: dict(capabilities),
    }


def request() -> Envelope:
    """Return the question."""
    params = Raw(wire.encode({"_meta": meta(GATEWAY_INFO, {})}))
    return Envelope(method=METHOD, params=params)


def opened_by(answer: Envelope) -> dict[str, Any] | None:
    """Return what a server said, in the form of an ``initialize`` result; ``None``: it does not speak the modern era."""
    try:
        result = msgspec.json.decode(b"{}" if answer.result is UNSET else answer.result)
    except msgspec.DecodeError:
        return None
    versions = result.get("supportedVersions") if isinstance(result, dict) else None
    if not isinstance(versions, list) or REVISION not in versions:
        return None
    opened = {
        "protocolVersion": REVISION,
        "capabilities": _object(result.get("capabilities")),
        "serverInfo": _object(_object(result.get("_meta")).get(modern.SERVER_INFO))
        or {"name": "unknown", "version": ""},
    }
    if isinstance(result.get("instructions"), str):
        opened["instructions"] = result["instructions"]
    return opened


def is_modern(opened: Mapping[str, Any]) -> bool:
    """Whether what a server said of itself came from ``server/discover``."""
    return opened.get("protocolVersion") in wire.MODERN_REVISIONS


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
