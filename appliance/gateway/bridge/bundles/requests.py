"""Requests taken apart and put together again, with values left as they were written. Pure."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope


def fields_of(raw: Raw | UnsetType) -> dict[str, Raw]:
    """Return the members of an object; what is none has none."""
    try:
        return msgspec.json.decode(b"{}" if raw is UNSET else raw, type=dict[str, Raw])
    except msgspec.DecodeError:
        return {}


def text_of(raw: Raw | None) -> str:
    """Return a string; anything else is the empty one."""
    try:
        return "" if raw is None else msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError:
        return ""


def with_fields(request: Envelope, fields: dict[str, Raw], **changes: Any) -> Envelope:
    """Return ``request`` with other values for some of its parameters."""
    told = {key: Raw(wire.encode(value)) for key, value in changes.items()}
    return Envelope(
        id=request.id, method=request.method, params=Raw(wire.encode(fields | told))
    )
