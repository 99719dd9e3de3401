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

    def __init__(self, descriptor: int | None = None) -> None:
        """Take memory that children inherit, or that of a predecessor."""
        self.descriptor = (
            os.memfd_create("gateway-routes") if descriptor is None else descriptor
        )
        os.set_inheritable(self.descriptor, False)  # noqa: FBT003 - the library's own signature

    def save(self, table: RoutingTable) -> None:
        """Replace what is kept."""
        text = msgspec.msgpack.encode(table)
        head = len(text).to_bytes(_LENGTH_BYTES, "big") + hashlib.sha256(text).digest()
        os.pwrite(self.descriptor, head + text, 0)

    def load(self) -> RoutingTable | None:
        """Return what was saved last, if anything was."""
        head = os.pread(self.descriptor, _LENGTH_BYTES + _DIGEST_BYTES, 0)
        length = int.from_bytes(head[:_LENGTH_BYTES], "big")
        text = os.pread(self.descriptor, length, len(head)) if length else b""
        if not text or hashlib.sha256(text).digest() != head[_LENGTH_BYTES:]:
            return None
        try:
            return msgspec.msgpack.decode(text, type=RoutingTable)
        except msgspec.DecodeError:  # another release wrote it
            return None
