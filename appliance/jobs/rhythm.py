"""When the clock's entries start. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class FirstStart:
    """When an entry starts first, and how many starts were missed before that."""

    at: datetime
    missed: int


def first_start(
    last_started: datetime | None, every: timedelta, now: datetime
) -> FirstStart:
    """Return when to start an entry whose clock begins to run.

    A new entry and one that is overdue start at once: one run makes up for all that were missed. Otherwise the rhythm goes
    on as if nothing had happened, so that restarting a hub often does not run a daily entry often.
    """
    # One that started in the future says only that the wall clock was put back since.
    if last_started is None or last_started > now:
        return FirstStart(now, 0)
    due = last_started + every
    if due > now:
        return FirstStart(due, 0)
    return FirstStart(now, int((now - due) / every))
