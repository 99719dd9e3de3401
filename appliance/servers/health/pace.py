"""When servers are asked. Pure.

Every server has a phase of its own within its rhythm, which stays the same whatever restarts: thousands of servers are spread
evenly over time, and those that were created one after another lie far apart.
"""

import math
from datetime import UTC, datetime, timedelta

from appliance.servers.health.policy import HealthPolicy

#: The fractional parts of its multiples fill a circle more evenly than anything else.
_GOLDEN = (math.sqrt(5) - 1) / 2
#: Between a check that found something and the status that says so.
_FOLLOWS_S = 1.5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rhythm_s(policy: HealthPolicy) -> float:
    """Return the seconds from one check's start to the next one's.

    The interval is what people are promised: within it a change is seen. A check of a server that hangs ends with its timeout,
    so it has to begin that much earlier; at most twice as often as the interval says, and once a second.
    """
    early_s = policy.interval_s - policy.timeout_s - _FOLLOWS_S
    return max(early_s, policy.interval_s / 2, 1.0)


def recent_s(policy: HealthPolicy) -> float:
    """Return for how many seconds a call that went well speaks for a server whose calls fail since.

    The check that finds them failing must not be the one after the interval's end.
    """
    return max(policy.interval_s - rhythm_s(policy) - _FOLLOWS_S, 0.0)


def next_check(server_id: int, policy: HealthPolicy, now: datetime) -> datetime:
    """Return the first of the server's moments after ``now``."""
    every = rhythm_s(policy)
    phase = (server_id * _GOLDEN) % 1 * every
    passed = (now - _EPOCH).total_seconds()
    moment = (math.floor((passed - phase) / every) + 1) * every + phase
    return _EPOCH + timedelta(seconds=moment)
