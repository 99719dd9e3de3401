"""Two connections as one: bytes of a container to where it may go, and back."""

import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from appliance.egress.loop import READ, WRITE, Loop

PIECE = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


def reset(connection: socket.socket) -> None:
    """Close a connection so that the other end sees a failure, and not an end."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()


@dataclass(eq=False)
class _Way:
    """One direction."""

    source: socket.socket
    sink: socket.socket
    held: bytes = b""
    has_ended: bool = False
    is_done: bool = False
    count: int = 0

    def read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            piece = self.source.recv(PIECE)
            self.held, self.has_ended = piece, not piece
            self.count += len(piece)
            self.write()

    def write(self) -> None:
        if self.held:
            with contextlib.suppress(BlockingIOError):
                self.held = self.held[self.sink.send(self.held) :]
        if self.has_ended and not self.held and not self.is_done:
            self.is_done = True
            with contextlib.suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)


class Splice:
    """Carries until both ends have ended, or one fails.

    Args:
        ended: Called once, when nothing of it is left.
    """

    def __init__(
        self,
        loop: Loop,
        client: socket.socket,
        server: socket.socket,
        ended: Callable[["Splice"], None],
    ) -> None:
        """Begin."""
        self._loop, self._client, self._server = loop, client, server
        self._ended = ended
        self._out = _Way(client, server)
        self._back = _Way(server, client)
        self._told = (0, 0)
        self._is_open = True
        for end in (client, server):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch()

    def news(self) -> tuple[int, int]:
        """Return bytes sent and received since the last time."""
        before, self._told = self._told, (self._out.count, self._back.count)
        return self._told[0] - before[0], self._told[1] - before[1]

    def cut(self) -> None:
        """End it now: it is no longer allowed, or broke."""
        self._close(reset)

    def _close(self, closing: Callable[[socket.socket], None]) -> None:
        if self._is_open:
            self._is_open = False
            for end in (self._client, self._server):
                self._loop.watch(end, 0, _nothing)
                closing(end)
            self._ended(self)

    def _watch(self) -> None:
        for end, reads, writes in (
            (self._client, self._out, self._back),
            (self._server, self._back, self._out),
        ):
            events = (READ if not (reads.held or reads.has_ended) else 0) | (
                WRITE if writes.held else 0
            )
            self._loop.watch(end, events, self._ready_of(reads, writes))

    def _ready_of(self, reads: _Way, writes: _Way) -> Callable[[int], None]:
        def ready(events: int) -> None:
            try:
                if events & WRITE:
                    writes.write()
                if events & READ and not reads.held:
                    reads.read()
            except OSError:
                self.cut()
                return
            if self._out.is_done and self._back.is_done:
                self._close(socket.socket.close)
            elif self._is_open:
                self._watch()

        return ready


def _nothing(_: int) -> None:
    """Be called for nothing."""
