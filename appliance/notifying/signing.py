"""How calls of other programs are addressed and signed. Pure."""

import hashlib
import hmac
from urllib.parse import urlsplit


def url_problem(url: str) -> str:
    """Return what is wrong with an address that is to be called; empty: nothing."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "give an address such as https://ci.example.org/hooks/release"
    if parts.scheme not in {"http", "https"} or not host:
        return "give an address such as https://ci.example.org/hooks/release"
    if parts.username or parts.password:
        return "leave user and password out; calls are signed"
    return ""


def signature(secret: bytes, stamp: str, body: bytes) -> str:
    """Return what shows that a call is ours, and when it was made.

    Args:
        secret: Of the workflow.
        stamp: Seconds since 1970, as the header has them.
        body: The bytes that are sent.
    """
    mac = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={mac.hexdigest()}"
