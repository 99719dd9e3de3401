"""Files that carry traces from a worker to the scribe, and outlive both.

A worker appends batches to a segment of its own; a write into the page cache survives the death of every process. A batch is
a length, a checksum and a payload, so that one which was cut short by a kill is told from a whole one. Worker and scribe agree
by the lock of the file: a worker writes under it, the scribe removes a file under it, and a worker that finds its file removed
opens the next one. So nobody has to know who lives.
"""

import contextlib
import fcntl
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

SUFFIX = ".spool"
#: A worker takes the next file when one has reached this size.
SEGMENT_BYTES = 4 * 1024 * 1024
#: So much a worker writes until it looks again how full the spool is.
GRANT_BYTES = 1024 * 1024
#: Seconds between looks while the spool is full.
LOOK_AGAIN_S = 0.1
_HEAD = struct.Struct("<II")


def framed(payload: bytes) -> bytes:
    """Return ``payload`` as it stands in a segment."""
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def batches(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the whole payloads at the start of ``data``, each with the place where it ends."""
    start = 0
    while start + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, start)
        end = start + _HEAD.size + length
        payload = data[start + _HEAD.size : end]
        if end > len(data) or zlib.crc32(payload) != checksum:
            return
        yield payload, end
        start = end


def next_batch_bytes(data: bytes) -> int:
    """Return how many bytes the batch at the start of ``data`` says it has; 0: that cannot be told."""
    return _HEAD.size + _HEAD.unpack_from(data)[0] if len(data) >= _HEAD.size else 0


def make_directory(directory: Path) -> None:
    """Make the spool's directory: what lies there has not been redacted yet."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)


def used_bytes(directory: Path) -> int:
    """Return how large the spool is. Blocking."""
    total = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                total += entry.stat().st_size
    return total


class Budget:
    """What a worker may still write; all workers share the limit, and pass it by a grant each at most."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        """Measure at the first write."""
        self._directory = directory
        self._limit = limit_bytes
        self._granted = 0
        self._looked_at = float("-inf")
        self._is_scarce = False

    def takes(self, size: int) -> bool:
        """Whether ``size`` more bytes may be written; they count as written then."""
        if size > self._granted:
            self._look(size)
        if size > self._granted:
            return False
        self._granted -= size
        return True

    def _look(self, size: int) -> None:
        now = time.monotonic()
        if self._is_scarce and now - self._looked_at < LOOK_AGAIN_S:
            return
        self._looked_at = now
        left = self._limit - used_bytes(self._directory)
        self._granted = max(0, min(left, max(GRANT_BYTES, size)))
        self._is_scarce = left < GRANT_BYTES


class Spool:
    """What one worker writes.

    Args:
        directory: Made if it is not there.
        limit_bytes: Of all segments together; what comes when it is reached is refused.
    """

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        """Open the first segment with the first batch."""
        self._directory = directory
        self._budget = Budget(directory, limit_bytes)
        self._segment_bytes = min(SEGMENT_BYTES, max(1, limit_bytes // 16))
        self._descriptor: int | None = None

    def append(self, payload: bytes) -> bool:
        """Write one batch and return whether there was room for it. Blocking, for as long as the page cache takes."""
        data = framed(payload)
        try:
            if not self._budget.takes(len(data)):
                return False
            descriptor, size = self._locked()
            try:
                return _written(descriptor, data, size)
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        except OSError:  # the disk is full, or the directory is gone
            self.close()
            return False

    def close(self) -> None:
        """Let go of the segment."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _locked(self) -> tuple[int, int]:
        """Return a segment that is ours to write to, and its size."""
        while True:
            if self._descriptor is None:
                self._descriptor = self._new_segment()
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = os.fstat(self._descriptor)
                if found.st_nlink and found.st_size < self._segment_bytes:
                    return self._descriptor, found.st_size
            # It is full, or the scribe is removing it or has done so.
            self.close()

    def _new_segment(self) -> int:
        # Sorts by age; random, because a database may hold the places of several boxes.
        name = f"{time.time_ns():020d}-{secrets.token_hex(6)}{SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        make_directory(self._directory)
        return os.open(self._directory / name, flags, 0o600)


def _written(descriptor: int, data: bytes, size: int) -> bool:
    try:
        if os.write(descriptor, data) == len(data):
            return True
    except OSError:
        os.ftruncate(descriptor, size)
        raise
    os.ftruncate(descriptor, size)  # half a batch would hide those after it
    return False
