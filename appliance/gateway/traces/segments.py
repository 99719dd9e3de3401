"""The scribe's end of the spool: what of each segment is new, and which segments are done with. Blocking."""

import contextlib
import fcntl
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from appliance.gateway.traces.record import Invocation
from appliance.gateway.traces.spool import SUFFIX, batches, next_batch_bytes

log = structlog.get_logger("gateway.traces")

#: Read of one segment at a time, and of all together: bounds the scribe's memory.
CHUNK_BYTES = 256 * 1024
ROUND_BYTES = 1024 * 1024
#: Seconds after its last batch that a segment is left where it is: removing one makes its worker open another.
REST_S = 1.0


@dataclass(frozen=True)
class Piece:
    """What one round reads: rows, and how far each segment has been read once these are in the database."""

    rows: list[Invocation]
    positions: dict[str, int]
    #: Whether there may be more right now.
    is_full: bool


@dataclass
class Segments:
    """All segments in one directory, of workers that live and of those that died."""

    directory: Path
    #: Bytes of a segment that are in the database.
    positions: dict[str, int] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return the segments, the oldest first."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(path.name for path in self.directory.glob(f"*{SUFFIX}"))
        return []

    def read(self) -> Piece:
        """Return what is new, up to a round's worth."""
        rows: list[Invocation] = []
        positions: dict[str, int] = {}
        left, is_full = ROUND_BYTES, False
        for name in self.names():
            if left <= 0:
                is_full = True
                break
            self.positions.setdefault(name, 0)
            found, end = self._new_rows(name)
            taken = end - self.positions[name]
            if taken:
                rows += found
                positions[name] = end
                left -= taken
            is_full = is_full or taken >= CHUNK_BYTES // 2
        return Piece(rows, positions, is_full)

    def remove_finished(self, *, rest_s: float = REST_S) -> list[str]:
        """Remove segments that hold nothing new and got nothing for ``rest_s``, and return their names.

        A worker that still wants to write to one opens another: it looks under the same lock.
        """
        before = time.time() - rest_s
        removed = [name for name in list(self.positions) if self._remove(name, before)]
        for name in removed:
            del self.positions[name]
        return removed

    def _new_rows(self, name: str) -> tuple[list[Invocation], int]:
        start = self.positions[name]
        with contextlib.suppress(FileNotFoundError):
            data = _content(self.directory / name, start, CHUNK_BYTES)
            if (wanted := next_batch_bytes(data)) > len(data) == CHUNK_BYTES:
                data = _content(self.directory / name, start, wanted)
            rows: list[Invocation] = []
            end = 0
            for payload, at in batches(data):
                rows += _decoded(payload, name)
                end = at
            return rows, start + end
        return [], start

    def _remove(self, name: str, before: float) -> bool:
        path = self.directory / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(descriptor)
            if found.st_mtime >= before or self._has_more(name, found.st_size):
                return False
            path.unlink()
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _has_more(self, name: str, size: int) -> bool:
        """Whether there is a whole batch still; under the lock, half a one is all that its writer could save."""
        lost = size - self.positions[name]
        if not lost:
            return False
        if self._new_rows(name)[1] > self.positions[name]:
            return True
        log.warning("trace_batch_torn", segment=name, lost_bytes=lost)
        return False


def _content(path: Path, start: int, size: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        left = os.fstat(file.fileno()).st_size - start
        file.seek(start)
        return file.read(min(size, max(0, left))) or b""


def _decoded(payload: bytes, name: str) -> list[Invocation]:
    try:
        return msgspec.msgpack.decode(payload, type=list[Invocation])
    except msgspec.DecodeError as error:
        # Of another version, perhaps; it will not become readable by waiting.
        log.warning("trace_batch_unreadable", segment=name, error=str(error))
        return []
