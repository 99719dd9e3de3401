"""The log of one server as it is written: lines in, positions out. Everything here blocks, and one thread at a time uses it.

Nothing is synchronised to the disk: what was written outlives every end of our process, and a box that loses power may lose
the last second of it. A record that was torn is cut off when the log is opened again.
"""

import contextlib
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from appliance.output import segments
from appliance.output.model import Line, Position, Printed, nanoseconds
from appliance.output.progress import Mark
from appliance.output.records import (
    checkpoint,
    decode,
    encode,
    fingerprint,
    read_checkpoint,
)

SEGMENT_BYTES = 4 * 1024 * 1024
#: Containers of which a new segment remembers how far they were read.
CHECKPOINTS = 64


class Book:
    """One server's log.

    Args:
        directory: Of this server alone; made with the first line.
        segment_bytes: At which the next segment begins.
    """

    def __init__(self, directory: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open what is there: find the end, cut off what was torn, and learn how far every container was read."""
        self.directory = directory
        self._segment_bytes = segment_bytes
        self._marks: dict[str, Mark] = {}
        self._first_ns = self._last_ns = 0
        self._number, self._size = 1, 0
        found = segments.listed(directory)
        if found:
            newest = found[-1]
            is_open = newest.first_ns is None
            self._number = newest.number + (not is_open)
            if is_open:
                self._recover(newest)

    @property
    def end(self) -> Position:
        """The end of the last line."""
        return Position(self._number, self._size)

    def mark(self, container: str) -> Mark:
        """Return how far a container was read."""
        return self._marks.get(container, Mark())

    def append(self, lines: Sequence[Printed]) -> list[Line]:
        """Store lines and return them with their positions; on an error none of them is there.

        Raises:
            OSError: They could not be written; the disk may be full.
        """
        if self._size >= self._segment_bytes:
            self.turn()
        records = [encode(line) for line in lines]
        path = segments.open_path(self.directory, self._number)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            segments.append(path, b"".join(records))
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(path, self._size)
            raise
        return [
            self._stored(line, len(record))
            for line, record in zip(lines, records, strict=True)
        ]

    def _stored(self, line: Printed, size: int) -> Line:
        self._size += size
        self._remember(line)
        return Line(self.end, line)

    def turn(self) -> None:
        """Close the segment and begin the next one, which starts with how far every container was read."""
        segments.close(self.directory, self._number, self._first_ns, self._last_ns)
        self._number, self._size = self._number + 1, 0
        self._first_ns = self._last_ns = 0
        newest = sorted(self._marks.items(), key=lambda item: item[1].at_ns)
        self._marks = dict(newest[-CHECKPOINTS:])
        known = b"".join(
            checkpoint(container, mark.at_ns, mark.fingerprints)
            for container, mark in self._marks.items()
        )
        segments.append(segments.open_path(self.directory, self._number), known)
        self._size = len(known)

    def turn_if_older(self, before: datetime) -> None:
        """Close the segment if all of it was printed before; a server that fell silent then keeps no old lines."""
        if self._last_ns and self._last_ns < nanoseconds(before):
            self.turn()

    def _recover(self, segment: segments.Segment) -> None:
        data = segment.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(segment.path, whole)
        self._size = whole
        for record in data[:whole].split(b"\n"):
            if known := read_checkpoint(record):
                self._marks[known[0]] = Mark(known[1], known[2])
            elif line := decode(record):
                self._remember(line)

    def _remember(self, line: Printed) -> None:
        mark = self._marks.get(line.container, Mark())
        self._marks[line.container] = mark.with_line(line.at_ns, fingerprint(line.text))
        self._first_ns = min(self._first_ns or line.at_ns, line.at_ns)
        self._last_ns = max(self._last_ns, line.at_ns)
