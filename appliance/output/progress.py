"""How far a container was read, so that no line is stored twice. Pure.

The engine gives lines from a moment on, that moment's own among them, and it repeats the last one when it turns to a new
file. Lines that share a nanosecond (the pieces of a very long one) are told apart by their text.
"""

from collections import deque
from dataclasses import dataclass

#: Lines that the engine may repeat while it goes on.
RECENT = 16


@dataclass(frozen=True)
class Mark:
    """The last line that was stored of a container."""

    at_ns: int = 0
    #: Of every line stored with that moment.
    fingerprints: frozenset[int] = frozenset()

    def with_line(self, at_ns: int, fingerprint: int) -> "Mark":
        """Return the mark after one more line."""
        known = self.fingerprints if at_ns == self.at_ns else frozenset()
        return Mark(at_ns, known | {fingerprint})


class Repeats:
    """Tells whether a line that the engine gives was given before.

    Args:
        mark: What was stored when the reading began.
    """

    def __init__(self, mark: Mark) -> None:
        """Expect the lines that the mark tells of."""
        self._mark = mark
        self._is_past_mark = mark.at_ns == 0
        self._recent: deque[tuple[int, int]] = deque(maxlen=RECENT)

    def has(self, at_ns: int, fingerprint: int) -> bool:
        """Return whether the line was there already; remember it if not."""
        if not self._is_past_mark:
            if at_ns < self._mark.at_ns:
                return True
            if at_ns == self._mark.at_ns and fingerprint in self._mark.fingerprints:
                return True
            self._is_past_mark = at_ns > self._mark.at_ns
        if (at_ns, fingerprint) in self._recent:
            return True
        self._recent.append((at_ns, fingerprint))
        return False
