"""How one master becomes the next without the port ever being closed.

The process stays the same: it replaces its program by the one that its command names now, and keeps the listener, the last
routing table and its children across that. The successor starts children of its own beside them, and when all of those
take connections, tells the others that they are relieved. Should the successor's children never come up, the old ones go on.
"""

import json
import os
import socket
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Handed:
    """What the predecessor leaves: descriptors, and its children, which go on."""

    listener: int
    snapshot: int
    #: Their names by process id.
    children: dict[int, str] = field(default_factory=dict)
    turn: int = 0

    def store(self) -> int:
        """Write it into memory that the successor finds at the returned descriptor, and keep all descriptors open for it."""
        descriptor = os.memfd_create("gateway-handed", 0)
        os.write(descriptor, json.dumps(asdict(self)).encode())
        for item in (self.listener, self.snapshot, descriptor):
            os.set_inheritable(item, True)  # noqa: FBT003 - the library's own signature
        return descriptor

    @classmethod
    def load(cls, descriptor: int) -> "Handed":
        """Read what ``store`` wrote, and close it; what a newer program has to say beyond that is left alone."""
        size = os.fstat(descriptor).st_size
        values = json.loads(os.pread(descriptor, size, 0))
        os.close(descriptor)
        children = {int(pid): name for pid, name in values["children"].items()}
        return cls(values["listener"], values["snapshot"], children, values["turn"])

    def socket(self) -> socket.socket:
        """Return the listener."""
        os.set_inheritable(self.listener, False)  # noqa: FBT003 - the library's own signature
        return socket.socket(fileno=self.listener)
