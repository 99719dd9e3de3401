"""Session ids that only their owner can use. Pure.

What a server calls its session is sent to the client with a signature over server and principal. Nothing is stored: any
worker, also one that was started later, knows a good id from a bad one.
"""

import base64
import hashlib
import hmac
import re

_VISIBLE = re.compile(r"[\x21-\x7e]{1,1024}")


class SessionSigner:
    """Signs and checks session ids.

    Args:
        key: 32 secret bytes, the same in every worker.
    """

    def __init__(self, key: bytes) -> None:
        """Keep the key."""
        self._key = key

    def wrap(self, upstream_id: str, server_id: int, principal: str) -> str:
        """Return the id for the client."""
        return f"{upstream_id}.{self._signature(upstream_id, server_id, principal)}"

    def unwrap(self, session_id: str, server_id: int, principal: str) -> str | None:
        """Return the server's own id, or ``None`` if ``session_id`` is not one that this principal got for this server."""
        upstream_id, _, signature = session_id.rpartition(".")
        if not _VISIBLE.fullmatch(upstream_id) or not signature.isascii():
            return None
        wanted = self._signature(upstream_id, server_id, principal)
        return upstream_id if hmac.compare_digest(signature, wanted) else None

    def _signature(self, upstream_id: str, server_id: int, principal: str) -> str:
        # The parts before the id hold no NUL and the id holds none either, so no two triples sign the same text.
        text = f"{server_id}\0{principal}\0{upstream_id}".encode()
        digest = hmac.new(self._key, text, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:18]).decode()
