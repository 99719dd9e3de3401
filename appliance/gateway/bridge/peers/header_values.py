"""Values of the modern era's headers, which may have to be wrapped. Pure."""

import base64
import re

_SAFE = re.compile(r"[\x20-\x7e]*")
_OPENS, _CLOSES = "=?base64?", "?="


def header_text(value: str) -> str:
    """Return ``value`` as a header carries it: itself, or wrapped where it would not arrive as it was sent."""
    looks_wrapped = value.startswith(_OPENS) and value.endswith(_CLOSES)
    if _SAFE.fullmatch(value) and value == value.strip() and not looks_wrapped:
        return value
    packed = base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()
    return f"{_OPENS}{packed}{_CLOSES}"
