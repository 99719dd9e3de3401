"""When the next backup is due, and when one is overdue. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

#: One that failed is tried again after this, or after the interval if that is shorter.
RETRY = timedelta(hours=1)
#: A good one may be older than the interval by this share before somebody is told.
GRACE = 0.5


@dataclass(frozen=True)
class History:
    """What the schedule goes by."""

    #: When the last scheduled one began; ``None``: none yet.
    began_at: datetime | None
    #: When the last good one, however it was asked for, was whole.
    good_at: datetime | None
    #: Whether the last scheduled one failed, and why.
    has_failed: bool = False
    error: str = ""


def next_at(history: History, every: timedelta, *, since: datetime) -> datetime:
    """Return when the next one is due.

    Args:
        since: When this installation began to look; a first one is due at once.
    """
    if history.began_at is None:
        return since
    pause = min(RETRY, every) if history.has_failed else every
    return history.began_at + pause


def problem(
    history: History, every: timedelta, *, now: datetime, since: datetime
) -> str:
    """Return in words what is wrong with scheduled backups; empty: nothing."""
    if history.has_failed:
        return f"The last backup failed: {history.error}"
    limit = every * (1 + GRACE)
    good_at = history.good_at or since
    if now - good_at <= limit:
        return ""
    hours = (now - good_at) / timedelta(hours=1)
    if history.good_at is None:
        return f"There is no backup yet, {hours:.0f} hours after the first was due."
    return f"The last good backup is {hours:.0f} hours old; one is due every {every / timedelta(hours=1):g}."
