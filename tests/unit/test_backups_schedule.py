"""When a backup is due, and when somebody should be told."""

from datetime import UTC, datetime, timedelta

from appliance.backups.schedule import History, next_at, problem

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def test_the_first_is_due_at_once_and_the_next_an_interval_later() -> None:
    assert next_at(History(None, None), DAY, since=NOW) == NOW
    assert next_at(History(NOW, NOW), DAY, since=NOW - DAY) == NOW + DAY


def test_one_that_failed_is_tried_again_within_the_hour() -> None:
    failed = History(NOW, None, has_failed=True, error="No room.")

    assert next_at(failed, DAY, since=NOW) == NOW + HOUR
    assert next_at(failed, HOUR / 2, since=NOW) == NOW + HOUR / 2
    assert "No room." in problem(failed, DAY, now=NOW, since=NOW)


def test_a_good_one_may_be_half_an_interval_late() -> None:
    good = History(NOW - DAY, NOW - DAY * 1.4)

    assert problem(good, DAY, now=NOW, since=NOW - 9 * DAY) == ""
    assert "37 hours" in problem(
        History(NOW - DAY, NOW - 37 * HOUR), DAY, now=NOW, since=NOW - 9 * DAY
    )


def test_an_installation_without_any_is_told_after_the_first_was_due_for_long() -> None:
    assert problem(History(None, None), DAY, now=NOW, since=NOW - DAY) == ""
    assert "no backup yet" in problem(
        History(None, None), DAY, now=NOW, since=NOW - 2 * DAY
    )
