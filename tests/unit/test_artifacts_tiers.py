"""What an artifact is worth, and why."""

from dataclasses import replace
from typing import Any

import pytest

from appliance.artifacts.model import TierClass
from appliance.artifacts.tiers import rate
from appliance.builds.model import BuildState
from appliance.core.images import CredentialOutcome
from tests.fakes.runs import AMD, BOTH, images, published, record

GOLD, SILVER, WATCHLIST = TierClass
ROTATED = {"rotation_attempted": True, "rotation_succeeded": True}
REFRESHED = {"refresh_attempted": True, "refresh_succeeded": True}
HEALTH = {GOLD: "healthy", SILVER: "degraded", WATCHLIST: "unhealthy"}


def pushed_with(status: str, **outcome: bool) -> dict[str, Any]:
    return {
        "published": published(*BOTH, credentials=CredentialOutcome(status, **outcome))
    }


CASES: list[tuple[str, dict[str, Any], TierClass, list[str]]] = [
    ("everything is there", {}, GOLD, []),
    ("an open registry", pushed_with("anonymous"), GOLD, []),
    ("a builder that cannot attest", {"shortcomings": ("No attestations.",)}, GOLD, ["builder_shortcoming"]),
    ("failed", {"status": BuildState.FAILED, "error": "npm ended with 1."}, WATCHLIST, ["build_failed"]),
    ("cancelled", {"status": BuildState.CANCELLED}, WATCHLIST, ["build_cancelled"]),
    ("one architecture of two", {"images": images(AMD), "published": published(AMD)}, SILVER, ["architecture_missing"]),
    ("no architecture", {"images": (), "published": None}, WATCHLIST, ["architecture_missing", "not_published"]),
    ("not pushed", {"published": None}, SILVER, ["not_published"]),
    ("pushed in part", {"published": published(AMD)}, SILVER, ["platform_not_published"]),
    ("expiring", pushed_with("expiring"), SILVER, ["credentials_expiring"]),
    ("expiring and rotated", pushed_with("expiring", **ROTATED), GOLD, []),
    ("not rotated", pushed_with("expiring", rotation_attempted=True), SILVER, ["auth_rotation_failed", "credentials_expiring"]),
    ("expired", pushed_with("expired"), WATCHLIST, ["credentials_expired"]),
    ("expired and refreshed", pushed_with("expired", **REFRESHED), GOLD, []),
    ("refused", pushed_with("healthy", refresh_attempted=True), WATCHLIST, ["auth_refresh_failed"]),
    ("missing", pushed_with("missing"), WATCHLIST, ["credentials_missing"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected", "codes"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_class_and_issues_follow_from_status_coverage_and_credentials(
    changes: dict[str, Any], expected: TierClass, codes: list[str]
) -> None:
    found = rate(record(**changes))

    assert found.tier_class is expected
    assert found.tier == f"{expected.value}:npm"
    assert found.health.status == HEALTH[expected]
    assert [issue.code for issue in found.health.issues] == codes


def test_what_weighs_most_is_told_first() -> None:
    changes = pushed_with("expired") | {"images": images(AMD)}
    changes["published"] = published(AMD, credentials=CredentialOutcome("expired"))

    issues = rate(record(**changes)).health.issues

    assert [issue.code for issue in issues] == [
        "credentials_expired",
        "architecture_missing",
    ]
    assert issues[1].message == "Not built for linux/arm64."


def test_a_failed_build_tells_its_reason() -> None:
    found = rate(record(status=BuildState.FAILED, error="npm ended with 1."))

    assert found.health.issues[0].message == "npm ended with 1."


def test_one_platform_whose_push_was_refused_is_enough() -> None:
    good = published(*BOTH)
    refused = CredentialOutcome("healthy", refresh_attempted=True)
    mixed = (good.platforms[0], replace(good.platforms[1], credentials=refused))

    found = rate(record(published=replace(good, platforms=mixed)))

    assert found.tier_class is WATCHLIST
