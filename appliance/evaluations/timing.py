"""When a suite runs next. Pure but for the library that reads cron's five fields."""

from datetime import UTC, datetime, timedelta

from appliance.core.errors import InvalidError
from appliance.evaluations.suites import Schedule

#: Seconds between two runs, at least: every run calls real tools.
SHORTEST_S = 60
LONGEST_S = 366 * 86400


def checked(schedule: Schedule) -> Schedule:
    """Return a schedule that makes sense.

    Raises:
        InvalidError: It is neither one nor the other, or too often.
    """
    if (schedule.every_s is None) == (not schedule.cron):
        raise InvalidError.field("schedule", "give either every_s or cron")
    if schedule.every_s is not None:
        if not SHORTEST_S <= schedule.every_s <= LONGEST_S:
            raise InvalidError.field(
                "schedule.every_s", f"must be {SHORTEST_S} to {LONGEST_S} seconds"
            )
        return schedule
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    if next_run(schedule, begin) is None:
        raise InvalidError.field("schedule.cron", "never comes")
    return schedule


def next_run(schedule: Schedule, after: datetime) -> datetime | None:
    """Return when a suite runs next; ``None``: never.

    Raises:
        InvalidError: The five fields are none.
    """
    if schedule.every_s is not None:
        return after + timedelta(seconds=schedule.every_s)
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - only where it is used

    try:
        trigger = CronTrigger.from_crontab(schedule.cron, timezone=UTC)
    except ValueError as error:
        raise InvalidError.field(
            "schedule.cron",
            "must be five fields as cron has them, in UTC, such as 0 3 * * *",
        ) from error
    found: datetime | None = trigger.get_next_fire_time(
        None, after + timedelta(seconds=1)
    )
    return found
