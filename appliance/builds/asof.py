"""As of when a package is resolved, and whether an earlier build's lock still counts. Pure."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from appliance.builds.model import BuiltImage, Lock
from appliance.sources.model import PackageSource

#: What a person finds in the log and in the error when nothing old enough is left.
MIN_AGE_SETTING = "PACKAGE_MIN_RELEASE_AGE_DAYS"


@dataclass(frozen=True)
class PackagePlan:
    """How a package is resolved."""

    #: Only what was published before this moment is taken; ``None``: all.
    before: datetime | None = None
    #: Why; empty without ``before``.
    why: str = ""
    #: Counts if the package's version is still the lock's.
    kept: Lock | None = None


def package_key(source: PackageSource) -> str:
    """Return what a package is called whatever its version."""
    return f"{source.ecosystem}:{source.name}"


def end_of(day: date) -> datetime:
    """Return the moment when ``day`` is over, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def release_day(released: datetime) -> date:
    """Return the day as of which a release is resolved when its newest dependencies broke it: a day after it came out."""
    return (released.astimezone(UTC) + timedelta(days=1)).date()


def plan(
    source: PackageSource, kept: Lock | None, *, min_age_days: int, now: datetime
) -> PackagePlan:
    """Return how ``source`` is resolved.

    Args:
        source: The package.
        kept: What the server's last good build took, if it had one.
        min_age_days: PACKAGE_MIN_RELEASE_AGE_DAYS.
        now: The present moment.
    """
    oldest = _midnight(now - timedelta(days=min_age_days)) if min_age_days else None
    bounds = []
    if source.as_of:
        bounds.append((end_of(source.as_of), f"as of {source.as_of}"))
    if oldest:
        bounds.append((oldest, f"{MIN_AGE_SETTING} is {min_age_days}"))
    before, why = min(bounds, default=(None, ""))
    counts = kept is not None and _counts(kept, source, oldest)
    return PackagePlan(before, why, kept if counts else None)


def _midnight(moment: datetime) -> datetime:
    # Whole days, so that a build that is tried again is the same build.
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _counts(kept: Lock, source: PackageSource, oldest: datetime | None) -> bool:
    return (
        kept.package == package_key(source)
        and source.as_of in {None, kept.as_of}
        and (oldest is None or kept.newest <= oldest)
    )


def locked(
    built: BuiltImage,
    text: str,
    source: PackageSource,
    plan: PackagePlan,
    *,
    now: datetime,
) -> BuiltImage:
    """Return what was built by ``plan`` at the moment ``now``, with its lock, and with the day as of which it was resolved.

    Args:
        built: As it came from the engine.
        text: The lock's; empty: there is none.
        source: The package.
        plan: How it was resolved.
        now: The present moment.
    """
    filename, version = built.resolved.get("lock"), built.resolved.get("version")
    if not filename or not version or not text:
        return built
    lock = plan.kept if built.resolved.get("kept") else None
    if lock is None:
        newest = min(plan.before, now) if plan.before else now
        lock = Lock(
            filename,
            text,
            package_key(source),
            version,
            source.as_of,
            newest,
        )
    resolved = built.resolved | {"lock": lock.digest}
    if lock.as_of:
        resolved["as_of"] = lock.as_of.isoformat()
    return replace(built, resolved=resolved, lock=lock)
