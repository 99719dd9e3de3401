"""How many lines a second one container may add, and what is said of the others. Pure.

Seconds are those of the lines, not of their reader: what the engine kept while the hub was away is read in one go and is no
flood.
"""

_SECOND_NS = 1_000_000_000


class Flood:
    """Counts the lines of one container.

    Args:
        lines: Kept of one second.
        size_bytes: Kept of one second.
    """

    def __init__(self, lines: int, size_bytes: int) -> None:
        """Begin with a quiet second."""
        self._lines = lines
        self._size_bytes = size_bytes
        self._second = -1
        self._count = 0
        self._size = 0
        self._dropped = 0
        #: When the last line was dropped that nothing was said of yet; 0: none was.
        self.dropped_at_ns = 0

    def admits(self, at_ns: int, size_bytes: int) -> bool:
        """Count a line; return whether it is kept."""
        second = at_ns // _SECOND_NS
        if second != self._second:
            self._second, self._count, self._size = second, 0, 0
        if self._count < self._lines and self._size < self._size_bytes:
            self._count += 1
            self._size += size_bytes
            return True
        self._dropped += 1
        self.dropped_at_ns = at_ns
        return False

    def is_over(self, at_ns: int) -> bool:
        """Return whether lines were dropped in a second that had ended by ``at_ns``."""
        return bool(self._dropped) and at_ns // _SECOND_NS != self._second

    def take(self) -> str:
        """Return the sentence about what was dropped, and forget it."""
        count, self._dropped, self.dropped_at_ns = self._dropped, 0, 0
        what = "1 line" if count == 1 else f"{count:,} lines"
        return f"{what} dropped: more than {self._lines:,} lines or {self._size_bytes // 1024:,} KiB a second."
