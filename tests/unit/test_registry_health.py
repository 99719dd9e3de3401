"""How credentials are judged by their age and their own end."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.registry.health import (
    CredentialHealth,
    CredentialStatus,
    Limits,
    anonymous,
    judge,
    missing,
)

HOST = "registry.example.org"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = Limits(timedelta(days=1), timedelta(hours=1))
MINUTE = timedelta(minutes=1)


def judged(
    age: timedelta, ends_in: timedelta | None = None, limits: Limits = DAY
) -> CredentialHealth:
    return judge(
        HOST,
        issued_at=NOW - age,
        ends_at=NOW + ends_in if ends_in is not None else None,
        now=NOW,
        limits=limits,
        rotation_configured=True,
    )


@pytest.mark.parametrize(
    ("age", "status", "left_s"),
    [
        (timedelta(), CredentialStatus.HEALTHY, 86400),
        (timedelta(hours=23) - MINUTE, CredentialStatus.HEALTHY, 3660),
        (timedelta(hours=23), CredentialStatus.EXPIRING, 3600),
        (timedelta(days=1) - MINUTE, CredentialStatus.EXPIRING, 60),
        (timedelta(days=1), CredentialStatus.EXPIRED, 0),
        (timedelta(days=2), CredentialStatus.EXPIRED, -86400),
    ],
)
def test_credentials_age_from_healthy_over_expiring_to_expired(
    age: timedelta, status: CredentialStatus, left_s: int
) -> None:
    health = judged(age)

    assert (health.status, health.seconds_until_expiry) == (status, left_s)
    assert health.rotation_recommended is (status is not CredentialStatus.HEALTHY)


def test_their_own_end_counts_where_it_is_earlier() -> None:
    assert judged(timedelta(hours=2), 10 * MINUTE).status is CredentialStatus.EXPIRING
    assert judged(timedelta(hours=2), -MINUTE).status is CredentialStatus.EXPIRED
    assert judged(timedelta(hours=2), timedelta(days=9)).seconds_until_expiry == 79200


def test_credentials_that_live_shorter_than_the_lead_are_not_old_on_arrival() -> None:
    """A token of half an hour, and a lead of an hour: replaced at half of its life, not at every look."""
    fresh = judged(timedelta(), 30 * MINUTE)
    half = judged(15 * MINUTE, 15 * MINUTE)

    assert fresh.status is CredentialStatus.HEALTHY
    assert half.status is CredentialStatus.EXPIRING


def test_a_file_from_the_future_is_fresh() -> None:
    assert judged(-timedelta(days=3)).status is CredentialStatus.HEALTHY


@given(st.timedeltas(), st.none() | st.timedeltas())
def test_rotation_is_recommended_exactly_where_they_are_not_healthy(
    age: timedelta, ends_in: timedelta | None
) -> None:
    try:
        health = judged(age, ends_in)
    except OverflowError:
        return

    assert health.rotation_recommended is (health.status != "healthy")
    if health.seconds_until_expiry:
        assert health.is_auth_expired is (health.seconds_until_expiry < 0)


def test_missing_credentials_want_a_rotation_and_no_credentials_want_nothing() -> None:
    gone = missing(HOST, "It is not there.", rotation_configured=False)

    assert (gone.status, gone.rotation_recommended) == ("missing", True)
    assert anonymous(HOST).rotation_recommended is False
    assert gone.fields()["seconds_until_expiry"] is None
