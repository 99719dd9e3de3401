"""What an artifact is worth: ``gold``, ``silver`` or ``watchlist``, and why. Pure.

Watchlist: nothing to run, or credentials that did not work. Silver: it runs, but something is missing. Gold: built for every
platform that was wanted, in the registry, with credentials that hold.
"""

from collections.abc import Iterator

from appliance.artifacts.model import (
    ArtifactPlatform,
    Health,
    Issue,
    Rating,
    RunRecord,
    RunStatus,
    TierClass,
)

_HEALTH = {
    TierClass.GOLD: "healthy",
    TierClass.SILVER: "degraded",
    TierClass.WATCHLIST: "unhealthy",
}
_ORDER = tuple(TierClass)
Finding = tuple[TierClass, Issue]


def rate(run: RunRecord) -> Rating:
    """Return class, tier and health of a run; what weighs most comes first among the issues."""
    found = sorted(_findings(run), key=lambda item: -_ORDER.index(item[0]))
    worst = found[0][0] if found else TierClass.GOLD
    issues = tuple(issue for _, issue in found)
    return Rating(
        tier_class=worst,
        tier=f"{worst.value}:{run.server_type}",
        health=Health(_HEALTH[worst], issues),
    )


def _findings(run: RunRecord) -> Iterator[Finding]:
    if run.status is not RunStatus.SUCCEEDED:
        yield _ended_badly(run)
        return
    yield from _coverage(run)
    yield from _credentials(run)
    for text in run.shortcomings:
        # Told, but nobody's fault: the box's builder cannot do it.
        yield TierClass.GOLD, Issue("builder_shortcoming", text)


def _ended_badly(run: RunRecord) -> Finding:
    if run.status is RunStatus.CANCELLED:
        return TierClass.WATCHLIST, Issue(
            "build_cancelled", "The build was cancelled before it came to an image."
        )
    reason = run.error or "The build failed."
    return TierClass.WATCHLIST, Issue("build_failed", reason)


def _coverage(run: RunRecord) -> Iterator[Finding]:
    covered = {item.platform for item in run.platforms}
    missing = [item for item in run.targets if item not in covered]
    if missing:
        weight = TierClass.SILVER if covered else TierClass.WATCHLIST
        yield (
            weight,
            Issue("architecture_missing", f"Not built for {', '.join(missing)}."),
        )
    if run.manifest_digest is None:
        text = "Only on this box: it was not pushed to a registry, so it has no digest there."
        yield TierClass.SILVER, Issue("not_published", text)
        return
    behind = [item.platform for item in run.platforms if item.digest is None]
    if behind:
        text = f"Not in the registry for {', '.join(behind)}."
        yield TierClass.SILVER, Issue("platform_not_published", text)


def _credentials(run: RunRecord) -> Iterator[Finding]:
    """Return what the run's or any platform's push found out about the registry's credentials."""
    seen: tuple[RunRecord | ArtifactPlatform, ...] = (run, *run.platforms)
    states = {item.credential_health_status for item in seen}
    refreshed = any(item.auth_refresh_succeeded for item in seen)
    if any(
        item.auth_refresh_attempted and not item.auth_refresh_succeeded for item in seen
    ):
        text = "The registry refused the credentials and they could not be refreshed."
        yield TierClass.WATCHLIST, Issue("auth_refresh_failed", text)
    if "missing" in states:
        text = "The registry's credentials were not found where they should be."
        yield TierClass.WATCHLIST, Issue("credentials_missing", text)
    renewed = refreshed or any(item.auth_rotation_succeeded for item in seen)
    if "expired" in states and not renewed:
        text = "The registry's credentials were past their age when it was pushed."
        yield TierClass.WATCHLIST, Issue("credentials_expired", text)
    if any(
        item.auth_rotation_attempted and not item.auth_rotation_succeeded
        for item in seen
    ):
        text = "The registry's credentials should have been rotated, and that failed."
        yield TierClass.SILVER, Issue("auth_rotation_failed", text)
    if "expiring" in states and not renewed:
        text = "The registry's credentials were about to expire and were not rotated."
        yield TierClass.SILVER, Issue("credentials_expiring", text)
