"""What the modern era's headers stand for. Pure."""

import base64
import binascii
import re

_OPENS, _CLOSES = "=?base64?", "?="
_SAFE = re.compile(r"[\x20-\x7e]*")


def header_value(value: str | None) -> str | None:
    """Return what a header stands for: itself, or what ``=?base64?…?=`` holds; ``None`` if that is damaged."""
    if value is None or not (value.startswith(_OPENS) and value.endswith(_CLOSES)):
        return value
    packed = value[len(_OPENS) : -len(_CLOSES)]
    try:
        unpacked = base64.b64decode(packed, validate=True)
        is_exact = base64.b64encode(unpacked).decode() == packed
        return unpacked.decode() if is_exact else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def header_text(value: str) -> str:
    """Return ``value`` as a header carries it: itself, or wrapped where it would not arrive as it was sent."""
    looks_wrapped = value.startswith(_OPENS) and value.endswith(_CLOSES)
    if _SAFE.fullmatch(value) and value == value.strip() and not looks_wrapped:
        return value
    packed = base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()
    return f"{_OPENS}{packed}{_CLOSES}"
