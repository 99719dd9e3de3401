"""Subscriptions of the modern era in front of a server of the older one: which changed lists a client hears of. Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"


def honoured(wanted: Mapping[str, Any], opened: Mapping[str, Any]) -> dict[str, bool]:
    """Return what of ``wanted`` the server can tell: the lists whose changes it announces."""
    capabilities = opened.get("capabilities", {})
    found = {}
    for kind in ("tools", "prompts", "resources"):
        announces = isinstance(capabilities.get(kind), dict) and capabilities[kind].get(
            "listChanged"
        )
        if announces and wanted.get(f"{kind}ListChanged") is True:
            found[f"{kind}ListChanged"] = True
    return found


def acknowledgement(request_id: bytes, granted: Mapping[str, bool]) -> bytes:
    """Return the first message of a subscription's stream."""
    params = {
        "notifications": dict(granted),
        "_meta": {SUBSCRIPTION_ID: Raw(request_id)},
    }
    return wire.encode(
        Envelope(
            method="notifications/subscriptions/acknowledged",
            params=Raw(wire.encode(params)),
        )
    )


def subscribed(
    body: bytes, request_id: bytes, granted: Mapping[str, bool]
) -> bytes | None:
    """Return a notification as the subscription ``request_id`` sees it; ``None``: it is not for it."""
    message = wire.decode_line(body)
    kind = (
        str(message.method).removeprefix("notifications/").removesuffix("/list_changed")
    )
    if not str(message.method).endswith("/list_changed") or not granted.get(
        f"{kind}ListChanged"
    ):
        return None
    params = Raw(wire.encode({"_meta": {SUBSCRIPTION_ID: Raw(request_id)}}))
    return wire.encode(Envelope(method=message.method, params=params))
