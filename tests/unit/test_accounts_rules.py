"""What a password must be, and how often somebody may fail."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.accounts.errors import WeakPasswordError
from appliance.accounts.limits import PER_EMAIL, WINDOW, retry_after_s
from appliance.accounts.model import SYSTEM, Principal, Role
from appliance.accounts.passwords import check_strength
from appliance.accounts.persons import check_email
from appliance.accounts.sessions import csrf_matches
from appliance.core.errors import InvalidError

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def somebody(role: Role, user_id: int = 7) -> Principal:
    return Principal(user_id, "ada@example.org", role, "session", 1, "token")


@pytest.mark.parametrize(
    "password", ["", "short", "x" * 1025, "ADA@example.org", "é" * 600]
)
def test_a_weak_password_is_refused_by_field(password: str) -> None:
    with pytest.raises(WeakPasswordError) as caught:
        check_strength(password, email="ada@example.org")

    assert "password" in caught.value.fields


def test_one_password_has_one_spelling() -> None:
    composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"

    assert check_strength(composed, email="a@b") == check_strength(
        decomposed, email="a@b"
    )


@pytest.mark.parametrize(
    "email", ["", "ada", "a b@c", "a@b@c", "@c", "a@", "a" * 260 + "@b"]
)
def test_an_address_that_is_none_is_refused(email: str) -> None:
    with pytest.raises(InvalidError) as caught:
        check_email(email)

    assert "email" in caught.value.fields


def test_failures_below_the_limit_do_not_wait() -> None:
    assert retry_after_s([NOON] * (PER_EMAIL.failures - 1), PER_EMAIL, NOON) == 0


def test_the_wait_ends_when_the_oldest_counting_failure_leaves_the_window() -> None:
    failures = [NOON + timedelta(seconds=n) for n in range(PER_EMAIL.failures)]
    moment = NOON + timedelta(minutes=1)

    seconds = retry_after_s(failures, PER_EMAIL, moment)

    assert seconds == (WINDOW - timedelta(minutes=1)).total_seconds()
    assert retry_after_s(failures, PER_EMAIL, moment + timedelta(seconds=seconds)) == 0


def test_a_write_needs_the_token_of_its_session() -> None:
    assert csrf_matches(somebody(Role.ADMIN), "token")
    assert not csrf_matches(somebody(Role.ADMIN), "")
    assert not csrf_matches(SYSTEM, "")
