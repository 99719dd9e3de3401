"""When an alert begins and ends, and when somebody is told. Pure.

What goes wrong for a moment and mends itself tells nobody; what lasts is told once when it begins, once when it ends, and once
a day between, unless somebody said that they know.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.alerts.model import Alert, Condition, News

#: What was not seen for so long is over.
OVER_AFTER_S = 60.0
REMIND_AFTER_S = 24 * 3600.0
#: What is still the same is written down so often.
REFRESH_AFTER_S = 30.0


class Deed(StrEnum):
    """What becomes of the row."""

    OPEN = "open"
    KEEP = "keep"
    END = "end"
    #: It was over before anybody was told, so it never was an alert.
    DROP = "drop"


@dataclass(frozen=True)
class Change:
    """One thing to write down, and perhaps to tell."""

    deed: Deed
    #: ``None``: it begins now.
    alert: Alert | None = None
    #: As it is seen; ``None``: it is not.
    condition: Condition | None = None
    news: News | None = None


def changes(
    known: Sequence[Alert],
    seen: Sequence[Condition],
    blind: Collection[str],
    at: datetime,
) -> list[Change]:
    """Return what follows from one look.

    Args:
        known: Alerts that have not ended.
        seen: What is wrong now.
        blind: Sources that could not look; what they said before stays.
        at: The moment.
    """
    by_key = {item.key: item for item in seen}
    found = []
    for alert in known:
        condition = by_key.pop(alert.key, None)
        if condition is not None:
            change = _goes_on(alert, condition, at)
        elif alert.source in blind:
            change = None
        else:
            change = _is_gone(alert, at)
        if change:
            found.append(change)
    return [*found, *(_begins(item) for item in by_key.values())]


def _begins(condition: Condition) -> Change:
    news = News.BEGAN if condition.after_s <= 0 else None
    return Change(Deed.OPEN, condition=condition, news=news)


def _goes_on(alert: Alert, condition: Condition, at: datetime) -> Change | None:
    is_worse = condition.severity.rank > alert.severity.rank
    news = _news(alert, condition, at, is_worse=is_worse)
    is_stale = _passed(alert.last_seen, at, REFRESH_AFTER_S)
    if news or is_worse or is_stale or condition.severity != alert.severity:
        return Change(Deed.KEEP, alert, condition, news)
    return None


def _news(
    alert: Alert, condition: Condition, at: datetime, *, is_worse: bool
) -> News | None:
    if _is_silent(alert, at):
        return None
    if alert.told_at is None:
        is_due = _passed(alert.since, at, condition.after_s)
        return News.BEGAN if is_due else None
    if is_worse:
        return News.BEGAN
    is_due = _passed(alert.told_at, at, REMIND_AFTER_S)
    return News.REMINDER if is_due and not alert.acknowledged_by else None


def _is_gone(alert: Alert, at: datetime) -> Change | None:
    if not _passed(alert.last_seen, at, OVER_AFTER_S):
        return None
    if alert.told_at is None and not _is_silent(alert, at):
        return Change(Deed.DROP, alert)
    is_told = alert.told_at is not None and not _is_silent(alert, at)
    return Change(Deed.END, alert, news=News.ENDED if is_told else None)


def _is_silent(alert: Alert, at: datetime) -> bool:
    return alert.silenced_until is not None and at < alert.silenced_until


def _passed(since: datetime, at: datetime, seconds: float) -> bool:
    """Return whether so much time went by; a clock that was put back is not waited for."""
    passed_s = (at - since).total_seconds()
    return passed_s >= seconds or passed_s < 0
