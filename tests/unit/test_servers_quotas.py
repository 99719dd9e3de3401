"""How build minutes are counted, and what is said when a quota is used up."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.core.errors import InvalidError
from appliance.servers.quotas import rules
from appliance.servers.quotas.model import (
    MIB,
    BuildUse,
    DiskSizes,
    DiskStanding,
    Level,
    Limit,
    MinutesStanding,
    QuotaKind,
    Standard,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "begins", "ends"),
    [
        (NOON, datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
        (
            datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(2026, 12, 1, tzinfo=UTC),
            datetime(2027, 1, 1, tzinfo=UTC),
        ),
        (
            datetime(2028, 2, 29, tzinfo=UTC),
            datetime(2028, 2, 1, tzinfo=UTC),
            datetime(2028, 3, 1, tzinfo=UTC),
        ),
    ],
)
def test_a_month_is_that_of_the_calendar(
    moment: datetime, begins: datetime, ends: datetime
) -> None:
    found = rules.month_of(moment)

    assert (found.begins, found.ends) == (begins, ends)


def test_a_build_that_ended_counts_what_it_took() -> None:
    use = BuildUse(NOON - timedelta(minutes=9), NOON - timedelta(minutes=8, seconds=50))

    assert rules.used_seconds([use], at=NOON) == 10


def test_a_build_that_runs_counts_a_minute_at_least() -> None:
    just, long = (
        BuildUse(NOON - timedelta(seconds=1), None),
        BuildUse(NOON - timedelta(minutes=5), None),
    )

    assert rules.used_seconds([just, long], at=NOON) == 60 + 300


@pytest.mark.parametrize(
    ("used", "limit", "level"),
    [
        (0.0, None, Level.FREE),
        (1e9, None, Level.FREE),
        (0.0, 0, Level.REACHED),
        (79.9, 100, Level.FREE),
        (80.0, 100, Level.WARNING),
        (99.9, 100, Level.WARNING),
        (100.0, 100, Level.REACHED),
    ],
)
def test_a_quota_warns_from_80_percent_and_is_reached_when_nothing_is_left(
    used: float, limit: float | None, level: Level
) -> None:
    assert rules.level(used, limit) is level


def test_a_refusal_names_what_is_used_the_limit_and_when_counting_begins_anew() -> None:
    standing = MinutesStanding(
        Limit(100), 100 * 60 + 5, 0, rules.month_of(NOON).ends, Level.REACHED
    )

    told = rules.minutes_refusal("ada@example.org", standing).reason

    assert "ada@example.org has used 100 of 100 build minutes" in told
    assert "2026-12-01 00:00 UTC" in told


def test_a_refusal_of_disk_names_each_part() -> None:
    standing = DiskStanding(
        Limit(10), DiskSizes(6 * MIB, 3 * MIB, 2 * MIB), NOON, Level.REACHED
    )

    told = rules.disk_refusal("data", standing).detail

    assert told == (
        "data takes 11 MiB of 10 MiB of disk that are allowed: images 6 MiB, /data 3 MiB, uploads 2 MiB."
    )


@pytest.mark.parametrize("kind", QuotaKind)
def test_an_amount_out_of_bounds_names_its_field(kind: QuotaKind) -> None:
    rules.check({kind: None})
    rules.check({kind: Standard.DEFAULT})
    rules.check({kind: 0})
    with pytest.raises(InvalidError) as caught:
        rules.check({kind: -1})

    assert list(caught.value.fields) == [kind.value]
