"""What owners may have and have, put together; and what is refused. Runs inside ``database.run``."""

from collections.abc import Collection
from datetime import datetime

from appliance.accounts.orgs import store as orgs
from appliance.core.clock import now
from appliance.servers.quotas import rules, store
from appliance.servers.quotas.model import (
    MIB,
    DiskSizes,
    DiskStanding,
    Level,
    Limit,
    MinutesStanding,
    QuotaKind,
    Standing,
)


def standings(owners: Collection[int]) -> dict[int, Standing]:
    """Return what these owners may have, and have at this moment."""
    at, limits, names = now(), store.limits(owners), store.names(owners)
    month = rules.month_of(at)
    uses, disks = store.uses(owners, month), store.disk(owners)
    found = {}
    for owner in owners:
        begun, limit = uses[owner], limits[owner][QuotaKind.BUILD_MINUTES]
        seconds = rules.used_seconds(begun, at=at)
        minutes = MinutesStanding(
            limit,
            seconds,
            sum(use.ended_at is None for use in begun),
            month.ends,
            rules.level(seconds / 60, limit.amount),
        )
        sizes, measured_at = disks.get(owner, (DiskSizes(), None))
        space = _disk(limits[owner][QuotaKind.DISK], sizes, measured_at)
        found[owner] = Standing(owner, names.get(owner, ""), minutes, space)
    return found


def _disk(limit: Limit, sizes: DiskSizes, measured_at: datetime | None) -> DiskStanding:
    allowed = None if limit.amount is None else limit.amount * MIB
    # What nobody measured yet is refused only where nothing at all is allowed.
    used = rules.level(sizes.total_bytes, allowed)
    return DiskStanding(limit, sizes, measured_at, used)


def standing(owner: int) -> Standing:
    """Return what an owner may have, and has at this moment."""
    return standings([owner])[owner]


def require_disk(owner: int) -> None:
    """Raise ``DiskQuotaReachedError`` if nothing more of an owner's is kept."""
    seen = standing(owner)
    if seen.disk.level is Level.REACHED:
        raise rules.disk_refusal(seen.name, seen.disk)


def require_build(owner: int) -> Standing:
    """Return an owner's standing if a build of theirs may begin.

    Raises:
        BuildMinutesReachedError: This month's minutes are used up.
        DiskQuotaReachedError: Nothing more of theirs is kept.
    """
    seen = standing(owner)
    if seen.minutes.level is Level.REACHED:
        raise rules.minutes_refusal(seen.name, seen.minutes)
    if seen.disk.level is Level.REACHED:
        raise rules.disk_refusal(seen.name, seen.disk)
    return seen


def hold(owner: int) -> None:
    """Let nobody else begin something for an owner until the transaction ends."""
    if owner < 0:
        orgs.lock(-owner)
    else:
        orgs.locked_person(owner)
