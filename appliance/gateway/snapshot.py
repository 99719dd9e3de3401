"""The last routing table, in memory that the master holds for its workers.

A worker that starts while Postgres is away begins with what the others know. It lives no longer than the master: an old table
must not let revoked keys in after a reboot.
"""

import hashlib
import os

import msgspec

from appliance.gateway.routes import RoutingTable

_DIGEST_BYTES = 32
_LENGTH_BYTES = 8


class Snapshot:
    """One table at a time. Two workers may write at once: a torn text does not match its digest and counts as none."""

    def __init__(self) -> None:
        """Take memory that children inherit."""
        self._descriptor = os.memfd_create("gateway-routes")

    def save(self, table: RoutingTable) -> None:
        """Replace what is kept."""
        text = msgspec.msgpack.encode(table)
        head = len(text).to_bytes(_LENGTH_BYTES, "big") + hashlib.sha256(text).digest()
        os.pwrite(self._descriptor, head + text, 0)

    def load(self) -> RoutingTable | None:
        """Return what was saved last, if anything was."""
        head = os.pread(self._descriptor, _LENGTH_BYTES + _DIGEST_BYTES, 0)
        length = int.from_bytes(head[:_LENGTH_BYTES], "big")
        text = os.pread(self._descriptor, length, len(head)) if length else b""
        if not text or hashlib.sha256(text).digest() != head[_LENGTH_BYTES:]:
            return None
        return msgspec.msgpack.decode(text, type=RoutingTable)
