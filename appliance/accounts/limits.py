"""How often somebody may fail to sign in. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=15)


@dataclass(frozen=True)
class Limit:
    """At most ``failures`` within ``WINDOW``."""

    failures: int


PER_EMAIL = Limit(5)
#: Higher, because a whole office may share an address.
PER_ADDRESS = Limit(30)


def retry_after_s(failures: Sequence[datetime], limit: Limit, now: datetime) -> int:
    """Return the whole seconds until another try is allowed; 0: now.

    Args:
        failures: Moments of failed tries, oldest first.
    """
    recent = [moment for moment in failures if now - moment < WINDOW]
    if len(recent) < limit.failures:
        return 0
    free_again = recent[-limit.failures] + WINDOW
    return max(1, math.ceil((free_again - now).total_seconds()))
