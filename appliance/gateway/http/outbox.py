"""Write the answers of one turn of the loop together, when there are many.

A write wakes whoever waits for it, and to wake a process on another core costs a quarter of what a call does. Answers and
onward requests in turns wake client and server again and again; one kind after the other wakes each of them once.
"""

import asyncio
from typing import Final, Protocol

#: Answers a second from which on they are held until the next turn: with fewer there is nothing to gather, and every answer
#: would wait for a look at the sockets.
HELD_FROM_PER_S: Final = 10_000


class Writer(Protocol):
    """Who has something to write."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """Where to; ``None``: nobody reads any more."""
        ...


class Outbox:
    """What all connections of one loop answer in a turn."""

    def __init__(self) -> None:
        """Hold nothing until there is much."""
        self._waiting: list[tuple[Writer, bytes]] = []
        self._is_holding = False
        self._count = 0
        self._since = 0.0

    def put(self, writer: Writer, data: bytes) -> None:
        """Write ``data`` now or when the next turn begins. ``flush`` before anything else is written to the same client."""
        self._count += 1
        waiting = self._waiting
        if waiting:
            waiting.append((writer, data))
        elif self._is_holding:
            asyncio.get_running_loop().call_soon(self.flush)
            waiting.append((writer, data))
        elif writer.transport is not None:
            writer.transport.write(data)

    def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for writer, data in waiting:
            transport = writer.transport
            if transport is not None and not transport.is_closing():
                transport.write(data)

    def turn(self, now: float) -> None:
        """Look how many answers there were since the last look; ``now``: seconds of the monotonic clock."""
        passed = now - self._since
        self._is_holding = passed > 0 and self._count / passed >= HELD_FROM_PER_S
        self._count, self._since = 0, now
