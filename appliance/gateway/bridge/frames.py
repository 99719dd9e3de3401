"""Take apart what the engine sends of a container's output. Pure.

Without a terminal the engine multiplexes stdout and stderr: frames of one byte for the stream, three zeros, four bytes of
length (big endian) and the payload. Chunks of a connection cut frames, and frames cut lines, anywhere.
"""

from collections.abc import Iterator

HEADER_BYTES = 8
STDOUT = 1
STDERR = 2
#: How much of an overlong line is kept from either end: an id is found there.
KEPT_BYTES = 512


class FrameError(Exception):
    """The stream is not the engine's multiplexed format."""


class Demultiplexer:
    """Turns chunks into ``(stream, payload)``; payloads come as they arrive, before their frame is complete."""

    def __init__(self) -> None:
        """Start between two frames."""
        self._header = bytearray()
        self._stream = 0
        self._left = 0

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield what ``chunk`` brings.

        Raises:
            FrameError: A header is impossible.
        """
        position = 0
        while position < len(chunk):
            if self._left:
                payload = chunk[position : position + self._left]
                position += len(payload)
                self._left -= len(payload)
                yield self._stream, payload
                continue
            wanted = HEADER_BYTES - len(self._header)
            self._header += chunk[position : position + wanted]
            position += wanted
            if len(self._header) == HEADER_BYTES:
                self._open_frame()

    def _open_frame(self) -> None:
        header = bytes(self._header)
        self._header.clear()
        if header[0] > STDERR or header[1:4] != b"\0\0\0":
            raise FrameError(f"impossible frame header {header.hex()}")
        self._stream = header[0]
        self._left = int.from_bytes(header[4:], "big")


class Overlong:
    """A line longer than the limit: its two ends, the rest was thrown away."""

    def __init__(self, head: bytes, tail: bytes) -> None:
        """Keep both ends."""
        self.head = head
        self.tail = tail


class LineSplitter:
    """Turns chunks into lines of bounded length.

    Args:
        limit: Bytes a line may have at most, its end not counted.
    """

    def __init__(self, limit: int) -> None:
        """Start at the beginning of a line."""
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._overlong: tuple[bytes, bytes] | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes | Overlong]:
        """Yield each line that ends in ``chunk``, without its end."""
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            self._add(piece)
            yield self._take()
        if rest:
            self._add(rest)

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._overlong is None and self._size <= self._limit:
            self._parts.append(piece)
            return
        if self._overlong is None:
            kept = b"".join(self._parts) + piece[:KEPT_BYTES]
            self._overlong = kept[:KEPT_BYTES], kept[-KEPT_BYTES:]
            self._parts.clear()
        head, tail = self._overlong
        self._overlong = head, (tail + piece)[-KEPT_BYTES:]

    def _take(self) -> bytes | Overlong:
        line: bytes | Overlong
        line = Overlong(*self._overlong) if self._overlong else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        self._overlong = None
        return line
