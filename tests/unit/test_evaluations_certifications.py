"""What a certification is worth, and when that changes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from appliance.core.errors import InvalidError
from appliance.evaluations.certifications import (
    is_expiring,
    next_change,
    requirement_name,
    standing,
    standing_of,
    tier_name,
    windowed,
)
from appliance.evaluations.model import Finding, Standing, Status

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Finding(Status.PASS, valid_from=NOON, valid_until=NOON + 30 * DAY, warn_days=7)


@pytest.mark.parametrize(
    ("finding", "at", "worth"),
    [
        (WINDOW, NOON - timedelta(microseconds=1), Standing.NOT_YET),
        (WINDOW, NOON, Standing.ACTIVE),
        (WINDOW, NOON + 30 * DAY - timedelta(microseconds=1), Standing.ACTIVE),
        (WINDOW, NOON + 30 * DAY, Standing.EXPIRED),
        (replace(WINDOW, valid_until=None), NOON + 9999 * DAY, Standing.ACTIVE),
        (replace(WINDOW, status=Status.FAIL), NOON, Standing.FAILED),
        (replace(WINDOW, status=Status.PENDING), NOON, Standing.PENDING),
    ],
)
def test_only_a_pass_within_its_window_is_active(
    finding: Finding, at: datetime, worth: Standing
) -> None:
    assert standing_of(finding, at) is worth


def test_what_nobody_looked_at_is_missing() -> None:
    assert standing(None, NOON) is Standing.MISSING


def test_every_moment_at_which_its_worth_changes_is_looked_at_once() -> None:
    at, moments = NOON - DAY, []
    while (following := next_change(WINDOW, at)) is not None:
        moments.append(following)
        at = following

    assert moments == [NOON, NOON + 23 * DAY, NOON + 30 * DAY]
    assert [is_expiring(WINDOW, moment) for moment in moments] == [False, True, False]
    assert next_change(replace(WINDOW, status=Status.FAIL), NOON - DAY) is None


def test_a_pass_begins_now_unless_it_says_otherwise() -> None:
    found = windowed(Finding(Status.PASS), NOON)

    assert (found.valid_from, found.valid_until) == (NOON, None)


@pytest.mark.parametrize(
    "finding",
    [
        Finding(Status.PASS, valid_until=NOON),
        Finding(Status.PASS, valid_from=NOON + DAY, valid_until=NOON + DAY),
        Finding(Status.FAIL, valid_until=NOON + DAY),
        Finding(Status.PENDING, valid_from=NOON),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(finding: Finding) -> None:
    with pytest.raises(InvalidError) as refused:
        windowed(finding, NOON)

    assert refused.value.fields.keys() <= {"valid_from", "valid_until"}


def test_tiers_are_written_one_way_and_patterns_are_none() -> None:
    assert tier_name(" Gold:NPM ") == "gold:npm"
    for text in ("gold", "gold:*", "*", "best:npm", "gold:"):
        with pytest.raises(InvalidError):
            tier_name(text)


def test_requirements_are_plain_words() -> None:
    assert requirement_name("security-review") == "security-review"
    for text in ("", "Smoke", "a b", "-x", "x" * 64):
        with pytest.raises(InvalidError):
            requirement_name(text)
