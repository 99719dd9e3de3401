"""The engine's log stream, cut into lines. Pure.

A frame is ``stream(1) 0 0 0 length(4, big endian) payload``; with timestamps asked for,
a payload is one line (or a part of up to 16 KiB of a longer one) behind its moment. The third stream is the engine's own: it
says there why it cannot read on (``Systemerr`` in github.com/moby/moby, pkg/stdcopy).
"""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime

from appliance.runtimes.model import LogLine

_HEADER = struct.Struct(">BxxxL")
ENGINE = "engine"
_STREAMS = {1: "stdout", 2: "stderr", 3: ENGINE}
EPOCH = datetime.fromtimestamp(0, UTC)


class FrameReader:
    """Takes bytes as they come and gives whole lines."""

    def __init__(self) -> None:
        """Start at a frame's beginning."""
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[LogLine]:
        """Yield the lines that ``chunk`` completes, but not the engine's own."""
        for stream, payload in self.frames(chunk):
            if stream != ENGINE:
                yield parse_line(stream, payload)

    def frames(self, chunk: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield stream and payload of every frame that ``chunk`` completes."""
        self._buffer += chunk
        while len(self._buffer) >= _HEADER.size:
            stream, length = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield _STREAMS.get(stream, "stdout"), payload


def parse_line(stream: str, payload: bytes) -> LogLine:
    """Return one payload as a line; without a readable moment it keeps its whole text."""
    text = payload.decode(errors="replace").rstrip("\r\n").replace("\0", "�")
    moment, _, rest = text.partition(" ")
    at = parse_moment(moment)
    return LogLine(at, stream, rest) if at else LogLine(EPOCH, stream, text)


def parse_moment(text: str) -> datetime | None:
    """Return a moment as the engine writes it (nanoseconds, ``Z``); ``None`` if it is none or the engine's "never"."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    try:
        found = datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00")
    except ValueError:
        return None
    return found if found.year > 1 else None
