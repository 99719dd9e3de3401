"""Session ids that only their owner can use, and that tell what their client can. Pure.

What a server calls its session is sent to the client with what the client said of itself when it opened the session, and
with a signature over server, principal and both. Nothing is stored: any worker, also one that was started later, knows a good
id from a bad one, and a bridge that was started again learns from it what it may ask of the client.
"""

import base64
import hashlib
import hmac
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

_VISIBLE = re.compile(r"[\x21-\x7e]{1,1024}")
_PACKED = re.compile(r"[A-Za-z0-9_-]{0,4096}")
#: Session ids travel in every request.
PACKED_LIMIT = 1024
UNPACKED_LIMIT = 16 * 1024
_KEPT = ("protocolVersion", "capabilities", "clientInfo")


@dataclass(frozen=True, slots=True)
class Session:
    """What a session id says."""

    #: The server's own.
    upstream_id: str
    #: What the client said of itself, packed; empty: nothing is known.
    packed: str


class SessionSigner:
    """Signs and checks session ids.

    Args:
        key: 32 secret bytes, the same in every worker.
    """

    def __init__(self, key: bytes) -> None:
        """Keep the key."""
        self._key = key

    def wrap(
        self, upstream_id: str, place: str, principal: str, packed: str = ""
    ) -> str:
        """Return the id for the client.

        Args:
            upstream_id: The server's own.
            place: Of the route: a server or a bundle.
            principal: Whose session it is.
            packed: From ``pack``.
        """
        signature = self._signature(upstream_id, place, principal, packed)
        return f"{upstream_id}.{packed}.{signature}"

    def unwrap(self, session_id: str, place: str, principal: str) -> Session | None:
        """Return what ``session_id`` says, or ``None`` if it is not one that this principal got for this place."""
        rest, _, signature = session_id.rpartition(".")
        upstream_id, _, packed = rest.rpartition(".")
        if not (_VISIBLE.fullmatch(upstream_id) and _PACKED.fullmatch(packed)):
            return None
        wanted = self._signature(upstream_id, place, principal, packed)
        if not signature.isascii() or not hmac.compare_digest(signature, wanted):
            return None
        return Session(upstream_id, packed)

    def _signature(
        self, upstream_id: str, place: str, principal: str, packed: str
    ) -> str:
        # None of the parts holds a NUL, so no two of them sign the same text.
        text = f"{place}\0{principal}\0{upstream_id}\0{packed}".encode()
        digest = hmac.new(self._key, text, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:18]).decode()


def pack(said: dict[str, Any]) -> str:
    """Return what a client said at ``initialize``, short enough to travel with every request."""
    kept = {name: said[name] for name in _KEPT if name in said}
    for shortened in (kept, _without_details(kept), {}):
        text = json.dumps(shortened, separators=(",", ":")).encode()
        packed = base64.urlsafe_b64encode(zlib.compress(text, 9)).decode().rstrip("=")
        if len(packed) <= PACKED_LIMIT and len(text) <= UNPACKED_LIMIT:
            return packed
    return ""


def unpack(packed: str) -> str:
    """Return what was packed as JSON in ASCII; ``{}`` if that cannot be read."""
    try:
        raw = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        text = zlib.decompressobj().decompress(raw, UNPACKED_LIMIT)
        return json.dumps(json.loads(text), separators=(",", ":"))
    except (ValueError, zlib.error):
        return "{}"


def _without_details(said: dict[str, Any]) -> dict[str, Any]:
    """Return the same without what only people read."""
    short = dict(said)
    capabilities, info = said.get("capabilities"), said.get("clientInfo")
    if isinstance(capabilities, dict):
        short["capabilities"] = {name: {} for name in capabilities}
    if isinstance(info, dict):
        kept = {key: info[key] for key in ("name", "version") if key in info}
        short["clientInfo"] = {key: str(value)[:64] for key, value in kept.items()}
    return short
