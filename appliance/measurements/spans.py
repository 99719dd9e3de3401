"""How samples are cut into spans of time. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from appliance.core.errors import InvalidError
from appliance.measurements.model import RESOLUTIONS, Resolution, Sample
from appliance.runtimes.meters import Reading

#: Points of one series at most.
MAX_POINTS = 2000
#: Steps that are kept beyond what is promised.
SLACK_STEPS = 6
EPOCH = datetime.fromtimestamp(0, UTC)


class _Timed(Protocol):
    @property
    def at(self) -> datetime: ...


T = TypeVar("T", bound=_Timed)


def floor(moment: datetime, step: timedelta) -> datetime:
    """Return the beginning of the span that ``moment`` is in."""
    return EPOCH + (moment - EPOCH) // step * step


def step_for(
    since: datetime, until: datetime, now: datetime, asked: timedelta | None = None
) -> timedelta:
    """Return how fine a window is shown: as fine as asked, as it is kept for that long, and as fits.

    Raises:
        InvalidError: So fine a step is not kept of any time, or makes too many points.
    """
    kept = next(
        (item for item in RESOLUTIONS if _has(item, since, now)), RESOLUTIONS[-1]
    )
    finest = kept.step
    while (until - since) / finest > MAX_POINTS:
        finest *= 2
    if asked is None:
        return finest
    if asked < finest or asked % RESOLUTIONS[0].step:
        raise InvalidError.field(
            "step",
            f"give at least {finest.total_seconds():.0f} seconds for this window, in steps of 10",
        )
    return asked


def stored_step(step: timedelta, since: datetime, now: datetime) -> timedelta:
    """Return which of the kept steps a shown one is made of: the coarsest that divides it, as far back as it is kept."""
    fit = [
        item.step
        for item in RESOLUTIONS
        if step % item.step == timedelta() and _has(item, since, now)
    ]
    return max(fit, default=RESOLUTIONS[-1].step)


def _has(item: Resolution, since: datetime, now: datetime) -> bool:
    """Return whether samples so fine are kept back to ``since``; who asks for the last hour asks a moment late."""
    return now - since <= item.keep + SLACK_STEPS * item.step


def spans(since: datetime, until: datetime, step: timedelta) -> list[datetime]:
    """Return the beginnings of all spans of a window."""
    first = floor(since, step)
    count = -((first - until) // step)
    return [first + number * step for number in range(count)]


def aligned(found: Iterable[T], at: Iterable[datetime]) -> list[T | None]:
    """Return what is known of each span."""
    known: Mapping[datetime, T] = {item.at: item for item in found}
    return [known.get(moment) for moment in at]


def difference(before: Reading | None, after: Reading) -> Reading:
    """Return what was used between two readings of one container; nothing but memory of one that was not read before."""
    if before is None:
        return Reading(0, after.memory_bytes, 0, 0)
    if after.cpu_ns < before.cpu_ns:
        return after  # it was started again, and counts from then
    return Reading(
        after.cpu_ns - before.cpu_ns,
        after.memory_bytes,
        max(0, after.received_bytes - before.received_bytes),
        max(0, after.sent_bytes - before.sent_bytes),
    )


def together(
    server_id: int, at: datetime, used: Iterable[Reading], *, covered_s: float
) -> Sample:
    """Return what the containers of one server used."""
    found = list(used)
    return Sample(
        server_id=server_id,
        at=at,
        cpu_s=sum(item.cpu_ns for item in found) / 1e9,
        memory_bytes=sum(item.memory_bytes for item in found),
        received_bytes=sum(item.received_bytes for item in found),
        sent_bytes=sum(item.sent_bytes for item in found),
        containers=len(found),
        covered_s=covered_s,
    )
