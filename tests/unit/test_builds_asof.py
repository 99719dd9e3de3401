"""As of when a package is resolved, and whether an earlier lock still counts."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from appliance.builds.asof import (
    PackagePlan,
    end_of,
    locked,
    plan,
    release_day,
)
from appliance.builds.model import BuiltImage, Lock
from appliance.sources.model import Ecosystem, PackageSource

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SQLITE = PackageSource(Ecosystem.PYPI, "mcp-server-sqlite")
DAY = date(2025, 4, 26)
LOCK = Lock(
    "requirements.txt", "mcp==1.6.0", "pypi:mcp-server-sqlite", "1.0", None, NOON
)


def the_plan(
    source: PackageSource = SQLITE, kept: Lock | None = None, *, days: int = 0
) -> PackagePlan:
    return plan(source, kept, min_age_days=days, now=NOON)


def test_a_package_is_resolved_as_it_is_now() -> None:
    assert the_plan() == PackagePlan()


def test_as_of_a_day_counts_the_whole_day() -> None:
    found = the_plan(replace(SQLITE, as_of=DAY))

    assert found.before == datetime(2025, 4, 27, tzinfo=UTC)
    assert found.why == "as of 2025-04-26"


def test_the_minimum_age_names_its_setting_and_counts_whole_days() -> None:
    found = the_plan(days=7)

    assert found.before == datetime(2026, 11, 14, tzinfo=UTC)
    assert found.why == "PACKAGE_MIN_RELEASE_AGE_DAYS is 7"


@pytest.mark.parametrize(
    ("day", "why"),
    [(DAY, "as of 2025-04-26"), (NOON.date(), "PACKAGE_MIN_RELEASE_AGE_DAYS is 7")],
)
def test_the_earlier_bound_counts(day: date, why: str) -> None:
    assert the_plan(replace(SQLITE, as_of=day), days=7).why == why


def test_an_earlier_lock_counts() -> None:
    assert the_plan(kept=LOCK).kept == LOCK


@pytest.mark.parametrize(
    "lock",
    [
        replace(LOCK, package="pypi:another"),
        replace(LOCK, package="npm:mcp-server-sqlite"),
    ],
)
def test_another_packages_lock_does_not_count(lock: Lock) -> None:
    assert the_plan(kept=lock).kept is None


def test_a_lock_of_a_day_counts_until_another_day_is_asked_for() -> None:
    lock = replace(LOCK, as_of=DAY)

    assert the_plan(kept=lock).kept == lock
    assert the_plan(replace(SQLITE, as_of=DAY), lock).kept == lock
    assert the_plan(replace(SQLITE, as_of=NOON.date()), lock).kept is None


def test_a_lock_that_is_too_new_does_not_count() -> None:
    old = replace(LOCK, newest=datetime(2026, 11, 14, tzinfo=UTC))

    assert the_plan(kept=LOCK, days=7).kept is None
    assert the_plan(kept=old, days=7).kept == old


@pytest.mark.parametrize(
    ("released", "day"),
    [
        (datetime(2025, 4, 25, 8, 27, tzinfo=UTC), DAY),
        (datetime(2025, 4, 25, 23, 59, tzinfo=UTC), DAY),
        (datetime.fromisoformat("2025-04-25T23:00:00-05:00"), date(2025, 4, 27)),
    ],
)
def test_a_release_is_resolved_as_of_the_day_after(
    released: datetime, day: date
) -> None:
    assert release_day(released) == day


def built(**resolved: object) -> BuiltImage:
    return BuiltImage(
        "sha256:1", {"version": "1.0", "lock": "requirements.txt", **resolved}
    )


def test_a_build_writes_what_it_took_and_as_of_when() -> None:
    source = replace(SQLITE, as_of=DAY)

    found = locked(built(), "mcp==1.6.0", source, the_plan(source), now=NOON)

    assert found.lock == replace(LOCK, as_of=DAY, newest=end_of(DAY))
    assert found.resolved["as_of"] == "2025-04-26"
    assert found.resolved["lock"] == found.lock.digest


def test_a_kept_lock_stays_what_it_was() -> None:
    lock = replace(LOCK, as_of=DAY)

    found = locked(built(kept=True), "tampered", SQLITE, the_plan(kept=lock), now=NOON)

    assert found.lock == lock
    assert found.resolved["as_of"] == "2025-04-26"


def test_an_image_that_says_kept_although_nothing_was_given_gets_a_lock_of_its_own() -> (
    None
):
    found = locked(built(kept=True), "mcp==2.0", SQLITE, the_plan(), now=NOON)

    assert found.lock is not None
    assert (found.lock.text, found.lock.newest) == ("mcp==2.0", NOON)


def test_an_image_without_a_lock_has_none() -> None:
    assert locked(built(), "", SQLITE, the_plan(), now=NOON).lock is None
