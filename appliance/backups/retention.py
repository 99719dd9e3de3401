"""Which backups go. Pure."""

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from datetime import datetime

from appliance.backups.naming import BackupName


@dataclass(frozen=True)
class Keep:
    """How many stay: the newest, the newest of each day, the newest of each week."""

    last: int = 3
    daily: int = 7
    weekly: int = 4


def _day(at: datetime) -> Hashable:
    return at.date()


def _week(at: datetime) -> Hashable:
    return at.isocalendar()[:2]


def superfluous(
    found: Collection[BackupName], keep: Keep, *, installation: str
) -> list[BackupName]:
    """Return what may be removed, oldest first.

    What somebody made by hand stays, what belongs to another installation stays, and of everything else at least the newest.
    """
    own = sorted(
        (
            item
            for item in found
            if item.is_scheduled and item.installation == installation
        ),
        key=lambda item: item.at,
        reverse=True,
    )
    kept = set(own[: max(1, keep.last)])
    kept |= _newest_of_each(own, _day, keep.daily)
    kept |= _newest_of_each(own, _week, keep.weekly)
    return [item for item in reversed(own) if item not in kept]


def _newest_of_each(
    newest_first: list[BackupName], span: Callable[[datetime], Hashable], count: int
) -> set[BackupName]:
    chosen: dict[Hashable, BackupName] = {}
    for item in newest_first:
        chosen.setdefault(span(item.at), item)
    return set(list(chosen.values())[:count])
