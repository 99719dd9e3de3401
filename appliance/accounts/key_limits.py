"""What limits a key may have. Pure."""

import math

from appliance.accounts.model import KeyLimits
from appliance.core.errors import InvalidError

MAX_CALLS_PER_SECOND = 1_000_000.0
MIN_CALLS_PER_SECOND = 0.001
MAX_CONCURRENCY = 1_000_000


def check(limits: KeyLimits) -> None:
    """Raise ``InvalidError`` unless each limit is absent or within reason."""
    rate, concurrency = limits.calls_per_second, limits.concurrency
    if rate is not None and not (
        math.isfinite(rate) and MIN_CALLS_PER_SECOND <= rate <= MAX_CALLS_PER_SECOND
    ):
        raise InvalidError.field(
            "calls_per_second",
            f"give {MIN_CALLS_PER_SECOND:g} to {MAX_CALLS_PER_SECOND:,.0f} calls a second, or nothing",
        )
    if concurrency is not None and not 1 <= concurrency <= MAX_CONCURRENCY:
        raise InvalidError.field(
            "concurrency", f"give 1 to {MAX_CONCURRENCY:,} calls at once, or nothing"
        )
