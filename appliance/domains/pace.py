"""When a domain is looked at again, and when somebody is told that its DNS has gone. Pure."""

from datetime import datetime, timedelta
from typing import Final

#: After the first look in vain; twice as long after each further one.
FIRST: Final = timedelta(seconds=5)
#: Zones are changed within minutes or hours: nobody waits long who has just set the record.
LONGEST: Final = timedelta(minutes=10)
#: From the second day on; a name that nobody points here costs little then.
SLOW: Final = timedelta(hours=1)
SLOW_AFTER: Final = timedelta(days=1)
#: Nobody is coming any more.
GIVE_UP_AFTER: Final = timedelta(days=14)
#: Whoever asks for a look has just set the record: it is looked so often again in any case, for about two hours.
TRIES: Final = 20
#: Verified names, spread by their number so that thousands are not asked about at once.
RECHECK: Final = timedelta(hours=6)
#: One that has gone elsewhere, so that it is seen soon when it is back.
RECHECK_AWAY: Final = timedelta(minutes=30)
#: DNS that is away for less is an accident, which the warning on the page tells well enough.
TELL_AFTER: Final = timedelta(days=3)
_SPREAD: Final = 60 * 60


def next_look(checks: int, age: timedelta) -> timedelta | None:
    """Return how long to wait until a name is looked at again that was not shown to be anybody's.

    Args:
        checks: How often it was looked at since it was claimed or somebody asked for a look, this time included; from 1.
        age: Since it was claimed.

    Returns:
        ``None``: it is given up until somebody asks.
    """
    if age > GIVE_UP_AFTER and checks > TRIES:
        return None
    if age > SLOW_AFTER and checks > TRIES:
        return SLOW
    # Beyond ten doublings nothing but the longest comes out.
    doublings = min(max(checks - 1, 0), 10)
    return min(FIRST * (1 << doublings), LONGEST)


def next_recheck(domain_id: int, *, is_away: bool) -> timedelta:
    """Return how long to wait until a verified name is looked at again."""
    if is_away:
        return RECHECK_AWAY
    return RECHECK + timedelta(seconds=domain_id * 7919 % _SPREAD)


def is_to_tell(
    away_since: datetime | None, told_at: datetime | None, at: datetime
) -> bool:
    """Return whether it is time to tell that a verified name has been elsewhere for long; it is told once."""
    return away_since is not None and told_at is None and at - away_since >= TELL_AFTER
