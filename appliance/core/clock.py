"""Time, always aware and in UTC."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

#: Less than this is how clocks are kept right all the time.
SET_S = 2.0


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


class WallClock:
    """Notices when the wall clock was set, by comparing it with the one that nobody can set.

    Args:
        wall: Seconds of the wall clock.
        steady: Seconds of the clock that only goes on.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look for the first time."""
        self._wall = wall
        self._steady = steady
        self._offset_s = wall() - steady()

    def moved_s(self) -> float:
        """Return by how many seconds it was set since the last look, below 0: back; 0: it was not."""
        offset_s = self._wall() - self._steady()
        moved_s, self._offset_s = offset_s - self._offset_s, offset_s
        return moved_s if abs(moved_s) > SET_S else 0.0
