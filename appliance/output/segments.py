"""The files of one server's log: named, read and closed. Everything here blocks.

    DATA_DIR/output/<server>/00000007.log                    open: lines are added to it
                             00000006-<first>-<last>.log     closed; compressed soon
                             00000005-<first>-<last>.log.gz

``first`` and ``last`` are the earliest and the latest moment in it, in nanoseconds: the list of names is the index of times.
"""

import contextlib
import gzip
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(
    r"(?P<number>[0-9]{8})(?:-(?P<first>[0-9]+)-(?P<last>[0-9]+))?\.log(?P<gz>\.gz)?"
)
#: Read at once from the end of an open segment.
BLOCK_BYTES = 256 * 1024
_READABLE_BY_US = 0o600


@dataclass(frozen=True)
class Segment:
    """One file."""

    path: Path
    number: int
    #: Earliest and latest moment; ``None`` while lines are added.
    first_ns: int | None
    last_ns: int | None

    @property
    def is_compressed(self) -> bool:
        """Whether it is as small as it gets."""
        return self.path.suffix == ".gz"

    def may_hold(self, since_ns: int | None, until_ns: int | None) -> bool:
        """Return whether a line of that time may be in it."""
        if self.first_ns is None or self.last_ns is None:
            return True
        return (since_ns is None or self.last_ns >= since_ns) and (
            until_ns is None or self.first_ns < until_ns
        )

    def read(self, size: int | None = None) -> bytes:
        """Return its bytes, uncompressed.

        Raises:
            FileNotFoundError: It was closed, compressed or removed in the meantime.
        """
        if self.is_compressed:
            with gzip.open(self.path, "rb") as file:
                return file.read()
        with self.path.open("rb") as file:
            return file.read(-1 if size is None else size)


def open_path(directory: Path, number: int) -> Path:
    """Return the name of the segment to which lines are added."""
    return directory / f"{number:08d}.log"


def listed(directory: Path) -> list[Segment]:
    """Return the segments by number; of one that is just being compressed, one file."""
    found: dict[int, Segment] = {}
    with contextlib.suppress(FileNotFoundError):
        for path in directory.iterdir():
            name = _NAME.fullmatch(path.name)
            if name is None:
                continue
            number = int(name["number"])
            first, last = name["first"], name["last"]
            segment = Segment(
                path, number, int(first) if first else None, int(last) if last else None
            )
            other = found.get(number)
            if other is None or segment.is_compressed:
                found[number] = segment
    return [found[number] for number in sorted(found)]


def close(directory: Path, number: int, first_ns: int, last_ns: int) -> Path:
    """Give an open segment the name of a closed one and return it."""
    closed = directory / f"{number:08d}-{first_ns}-{last_ns}.log"
    open_path(directory, number).rename(closed)
    return closed


def compress(path: Path) -> None:
    """Compress a closed segment; one that is interrupted begins anew another time."""
    part = path.with_name(path.name + ".part")
    with (
        path.open("rb") as source,
        gzip.GzipFile(part, "wb", compresslevel=6, mtime=0) as target,
    ):
        shutil.copyfileobj(source, target, BLOCK_BYTES)
    part.chmod(_READABLE_BY_US)
    part.rename(path.with_name(path.name + ".gz"))
    path.unlink()


def tidy(directory: Path, *, before_ns: int, max_bytes: int) -> None:
    """Compress what is closed, and remove the oldest segments: those that ended before, and those beyond the size."""
    for segment in listed(directory):
        if segment.last_ns is None:
            continue
        if segment.last_ns < before_ns:
            segment.path.unlink(missing_ok=True)
        elif not segment.is_compressed:
            compress(segment.path)
    kept = listed(directory)
    total = sum(_size(item) for item in kept)
    for segment in kept[:-1]:
        if total <= max_bytes:
            break
        total -= _size(segment)
        segment.path.unlink(missing_ok=True)


def _size(segment: Segment) -> int:
    try:
        return segment.path.stat().st_size
    except FileNotFoundError:
        return 0


def append(path: Path, data: bytes) -> None:
    """Add bytes to a segment; it is made at need, readable by us alone."""
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _READABLE_BY_US
    )
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def backward(segment: Segment, end: int | None) -> Iterator[tuple[int, bytes]]:
    """Yield ``(end, record)`` from the last record that ends at or before ``end`` to the first; a torn one is left out.

    Raises:
        FileNotFoundError: As of ``Segment.read``.
    """
    if segment.is_compressed:
        data = segment.read()
        yield from _records_back(data[: len(data) if end is None else end], 0)
        return
    with segment.path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        high = size if end is None else min(end, size)
        carry = b""
        while high > 0:
            low = max(0, high - BLOCK_BYTES)
            data = os.pread(file.fileno(), high - low, low) + carry
            # What stands before the first end of a line began in an earlier block.
            start = data.find(b"\n") + 1 if low else 0
            if low and start == 0:
                carry, high = data, low
                continue
            yield from _records_back(data[start:], low + start)
            carry, high = data[:start], low


def _records_back(data: bytes, base: int) -> Iterator[tuple[int, bytes]]:
    end = data.rfind(b"\n")
    while end >= 0:
        start = data.rfind(b"\n", 0, end) + 1
        yield base + end + 1, data[start:end]
        end = start - 1


def forward(segment: Segment, start: int) -> Iterator[tuple[int, bytes]]:
    """Yield ``(end, record)`` from the first record that begins at or after ``start``; a torn one is left out.

    Raises:
        FileNotFoundError: As of ``Segment.read``.
    """
    data = segment.read()
    while (end := data.find(b"\n", start)) >= 0:
        yield end + 1, data[start:end]
        start = end + 1
