"""Read a stream of server-sent events as it arrives. Pure, and bounded."""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.gateway.errors import OverlongAnswerError


@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    #: ``message`` where the server names none.
    kind: str
    data: bytes
    #: The last id that the stream has named so far; empty: none.
    last_id: str


class EventReader:
    """Takes apart one stream.

    Args:
        limit: Bytes that an event may have.
    """

    def __init__(self, limit: int) -> None:
        """Expect the first line."""
        self._limit = limit
        self.begin()
        #: The last id that was seen; where a broken stream goes on.
        self.last_id = ""
        #: Milliseconds that the server wants to be left alone before the stream is asked for again.
        self.retry_ms: int | None = None

    def begin(self) -> None:
        """Start between two events: the stream was opened anew."""
        # A server that sends its line in crumbs must not cost a copy of the line for each.
        self._pending = bytearray()
        self._kind = ""
        self._data: list[bytes] = []
        self._size = 0
        self._ends_in_cr = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that end in ``chunk``.

        Raises:
            OverlongAnswerError: One is longer than allowed.
        """
        if not chunk:
            return
        if self._ends_in_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]
        self._ends_in_cr = chunk[-1:] == b"\r"
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._pending += line
            self._check(len(self._pending))
            if self._pending:
                self._field(bytes(self._pending))
                self._pending.clear()
            elif (event := self._end()) is not None:
                yield event
        self._pending += rest
        self._check(len(self._pending))

    def _check(self, size: int) -> None:
        if self._size + size > self._limit:
            raise OverlongAnswerError(
                f"The server's answer is longer than {self._limit} bytes."
            )

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(line) + 1  # a list of many short lines takes room too
        elif name == b"event":
            self._kind = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self.last_id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit():
            self.retry_ms = int(value)

    def _end(self) -> Event | None:
        kind, data = self._kind, self._data
        self._kind, self._data, self._size = "", [], 0
        if not data:
            return None
        return Event(kind or "message", b"\n".join(data), self.last_id)
