"""When a member that failed is tried again. Pure."""

FIRST_S = 1.0
LONGEST_S = 60.0


class Breaker:
    """Closed: the member is asked. Open: it is not, but for one try whenever the time has come.

    Args:
        first_s: Seconds after the first failure; each wait is twice the one before, up to ``LONGEST_S``.
    """

    def __init__(self, first_s: float = FIRST_S) -> None:
        """Begin closed."""
        self._first_s = first_s
        self._wait_s = 0.0
        self._again_at = 0.0

    @property
    def is_closed(self) -> bool:
        """Whether the last try went well, or there was none."""
        return not self._wait_s

    def is_due(self, now: float) -> bool:
        """Whether it may be tried; ``now`` in seconds of any steady clock."""
        return self.is_closed or now >= self._again_at

    def failed(self, now: float) -> None:
        """Wait twice as long as the last time; further failures during the wait are the same one."""
        if now < self._again_at:
            return
        self._wait_s = min(max(self._first_s, self._wait_s * 2), LONGEST_S)
        self._again_at = now + self._wait_s

    def succeeded(self) -> None:
        """Close."""
        self._wait_s = self._again_at = 0.0
