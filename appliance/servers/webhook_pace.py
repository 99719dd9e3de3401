"""How often something may happen, for each of many subjects; kept in memory, because forgetting it harms nobody."""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

#: Subjects that are remembered; those that were quiet for longest are forgotten first.
MAX_SUBJECTS = 4096


class Pace:
    """Lets at most ``count`` pass within ``window_s`` for each subject.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(
        self, count: int, window_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start without memory."""
        self._count = count
        self._window_s = window_s
        self._clock = clock
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, subject: str) -> int:
        """Count one more and return 0, or return the whole seconds until one more may pass."""
        moment = self._clock()
        seen = self._seen.setdefault(subject, deque(maxlen=self._count))
        self._seen.move_to_end(subject)
        while len(self._seen) > MAX_SUBJECTS:
            self._seen.popitem(last=False)
        if len(seen) == self._count and moment - seen[0] < self._window_s:
            return max(1, math.ceil(seen[0] + self._window_s - moment))
        seen.append(moment)
        return 0
