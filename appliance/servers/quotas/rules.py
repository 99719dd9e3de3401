"""How build minutes are counted, and what is said of a quota that is used up. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from appliance.core.errors import InvalidError
from appliance.core.units import size
from appliance.servers.errors import BuildMinutesReachedError, DiskQuotaReachedError
from appliance.servers.quotas.model import (
    MIB,
    BuildUse,
    Changes,
    DiskStanding,
    Level,
    MinutesStanding,
    Month,
    QuotaKind,
)

#: From this share on people are warned.
WARNS_FROM = 0.8
#: What a build that runs counts at least: so the second of two that begin at once sees the first.
RESERVED_S = 60.0
MAX_MINUTES = 1_000_000
MAX_DISK_MIB = 1_000_000_000


def month_of(moment: datetime) -> Month:
    """Return the calendar month, by UTC, in which a moment is."""
    begins = moment.astimezone(UTC).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    # 31 days on is always within the next month.
    ends = (begins + timedelta(days=31)).replace(day=1)
    return Month(begins, ends)


def used_seconds(uses: Iterable[BuildUse], *, at: datetime) -> float:
    """Return what builds count at a moment: what they took, those that run a minute at least."""
    total = 0.0
    for use in uses:
        took = ((use.ended_at or at) - use.began_at).total_seconds()
        total += max(0.0, took) if use.ended_at else max(RESERVED_S, took)
    return total


def level(used: float, limit: float | None) -> Level:
    """Return how far a quota is used."""
    if limit is None:
        return Level.FREE
    if used >= limit:
        return Level.REACHED
    return Level.WARNING if used >= WARNS_FROM * limit else Level.FREE


def minutes_refusal(name: str, standing: MinutesStanding) -> BuildMinutesReachedError:
    """Return why no build begins."""
    return BuildMinutesReachedError(
        f"{minutes_sentence(name, standing)} No build begins before {_moment(standing.resets_at)}.",
        hint="What runs goes on. Wait, or ask an administrator of this box for more build minutes.",
    )


def minutes_sentence(name: str, standing: MinutesStanding) -> str:
    """Return what is used of a month's build minutes, in words."""
    # Rounded down, 99.7 of 100 would not look used up; what was reached never looks like less.
    used = int(standing.used_seconds / 60 * 10) / 10
    return f"{name} has used {used:g} of {standing.limit.amount} build minutes of this month."


def disk_refusal(name: str, standing: DiskStanding) -> DiskQuotaReachedError:
    """Return why nothing more is kept."""
    sizes, allowed = standing.sizes, (standing.limit.amount or 0) * MIB
    return DiskQuotaReachedError(
        f"{name} takes {size(sizes.total_bytes)} of {size(allowed)} of disk that are allowed: images"
        f" {size(sizes.images_bytes)}, /data {size(sizes.data_bytes)}, uploads {size(sizes.uploads_bytes)}.",
        hint="What runs goes on. Delete servers or files that are not needed and wait for the next measurement,"
        " or ask an administrator of this box for more.",
    )


def check(changes: Changes) -> None:
    """Raise ``InvalidError`` unless each amount is within reason."""
    for kind, most in (
        (QuotaKind.BUILD_MINUTES, MAX_MINUTES),
        (QuotaKind.DISK, MAX_DISK_MIB),
    ):
        wanted = changes.get(kind)
        if isinstance(wanted, int) and not 0 <= wanted <= most:
            raise InvalidError.field(
                kind.value,
                f"give 0 to {most:,}, null for any, or default for what the box says",
            )


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
