"""The queue's and the clock's rules."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.errors import FailedError, UnavailableError
from appliance.jobs import identity
from appliance.jobs.errors import RetryLaterError
from appliance.jobs.outcomes import (
    LONGEST_RETRY_S,
    Failed,
    Retry,
    after_error,
    backoff_s,
)
from appliance.jobs.rhythm import FirstStart, first_start

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_wait_is_positive_and_bounded(attempt: int, spread: float) -> None:
    assert 0 < backoff_s(attempt, spread) <= LONGEST_RETRY_S


@given(st.integers(1, 50))
def test_every_wait_is_at_least_as_long_as_the_one_before(attempt: int) -> None:
    assert backoff_s(attempt, 0) <= backoff_s(attempt + 1, 0)


@pytest.mark.parametrize("error", [UnavailableError("engine away"), KeyError("x")])
def test_what_may_pass_is_tried_again_until_the_last_attempt(error: Exception) -> None:
    assert isinstance(after_error(error, attempt=4, max_attempts=5, spread=1), Retry)
    assert isinstance(after_error(error, attempt=5, max_attempts=5, spread=1), Failed)


def test_a_handler_says_itself_when_to_come_back() -> None:
    error = RetryLaterError("pull limit reached", delay_s=77, hint="Sign in.")

    outcome = after_error(error, attempt=1, max_attempts=5, spread=0)

    assert outcome == Retry(77, "pull limit reached Sign in.")


def test_what_was_tried_and_failed_fails() -> None:
    outcome = after_error(FailedError("no"), attempt=1, max_attempts=5, spread=0)

    assert outcome == Failed("no")


def test_an_error_is_kept_without_secrets_and_as_text_that_postgres_stores() -> None:
    error = ValueError("Bearer abcdefghijkl\0" + "x" * 10_000)

    outcome = after_error(error, attempt=5, max_attempts=5, spread=0)

    assert isinstance(outcome, Failed)
    assert outcome.error.startswith("ValueError: Bearer [redacted]x")
    assert len(outcome.error) == 4000


def test_a_new_entry_starts_at_once() -> None:
    assert first_start(None, HOUR, NOON) == FirstStart(NOON, 0)


def test_an_entry_keeps_its_rhythm_over_a_restart() -> None:
    started = NOON - timedelta(minutes=20)

    assert first_start(started, HOUR, NOON) == FirstStart(started + HOUR, 0)


def test_one_start_makes_up_for_all_that_were_missed() -> None:
    started = NOON - timedelta(hours=3, minutes=30)

    assert first_start(started, HOUR, NOON) == FirstStart(NOON, 2)


def test_this_process_is_not_gone() -> None:
    assert not identity.is_gone(identity.worker_name())


def test_a_number_that_another_process_has_by_now_is_gone() -> None:
    place, pid, started, token = identity.worker_name().split("/")

    assert identity.is_gone(f"{place}/{pid}/{int(started) - 1}/{token}")


@pytest.mark.parametrize("name", ["", "elsewhere/1/2/3", "a/b", "x/y/z/w"])
def test_nobody_of_another_box_is_known_to_be_gone(name: str) -> None:
    assert not identity.is_gone(name)
