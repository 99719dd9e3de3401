"""A server's own call limits, for calls that reach it through bundles.

The workers count the calls of its endpoint; the bridge, where all bundles are, counts these. One server, two counts: a call
through a bundle takes nothing from those who call directly.
"""

import math
from dataclasses import dataclass, field

from appliance.core.errors import LimitedError
from appliance.gateway.routes import Route


@dataclass
class _Count:
    running: int = 0
    #: Calls that may be made at once before the rate counts; filled up again with time.
    allowance: float = 0.0
    filled_at: float = field(default=-math.inf)


class Quotas:
    """Counts the calls of every server in any bundle. Pure but for what it remembers."""

    def __init__(self) -> None:
        """Have counted nothing."""
        self._counts: dict[int, _Count] = {}

    def enter(self, route: Route, now: float) -> None:
        """Count a call; ``now`` in seconds of any steady clock. Give it back with ``leave``.

        Raises:
            LimitedError: The server has as many as its limits let it have.
        """
        count = self._counts.setdefault(route.server_id, _Count())
        concurrency = route.limits.get("concurrency")
        if concurrency is not None and count.running >= concurrency:
            raise LimitedError(
                f"it has {count.running} calls at once already.", retry_after_s=1
            )
        rate = route.limits.get("calls_per_second")
        if rate is not None:
            self._spend(count, rate, now)
        count.running += 1

    def leave(self, server_id: int) -> None:
        """Count a call no more."""
        self._counts[server_id].running -= 1

    @staticmethod
    def _spend(count: _Count, rate: float, now: float) -> None:
        burst = max(1.0, rate)
        count.allowance = min(burst, count.allowance + (now - count.filled_at) * rate)
        count.filled_at = now
        if count.allowance < 1:
            wait_s = math.ceil((1 - count.allowance) / rate)
            raise LimitedError(
                f"it takes {rate:g} calls a second.", retry_after_s=max(1, wait_s)
            )
        count.allowance -= 1
