"""Which partitions there should be. Pure."""

import re
from collections.abc import Iterable
from datetime import date, timedelta

#: Made before they are needed, so that a hub that is away for a while is not missed.
AHEAD_DAYS = 7
_NAME = re.compile(r"invocations_(\d{4})(\d{2})(\d{2})")


def partition_name(day: date) -> str:
    """Return the name of the day's partition."""
    return f"invocations_{day:%Y%m%d}"


def wanted(today: date) -> list[date]:
    """Return the days that need a partition now: yesterday too, whose last calls may still come."""
    return [today + timedelta(days=ahead) for ahead in range(-1, AHEAD_DAYS + 1)]


def expired(names: Iterable[str], today: date, keep_days: int) -> list[str]:
    """Return the partitions whose youngest call is older than ``keep_days``."""
    oldest = today - timedelta(days=keep_days)
    return sorted(
        name
        for name in names
        if (match := _NAME.fullmatch(name))
        and date(int(match[1]), int(match[2]), int(match[3])) < oldest
    )
