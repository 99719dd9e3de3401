"""Which backups go."""

from datetime import UTC, datetime, timedelta

from appliance.backups.naming import BackupName, parse
from appliance.backups.retention import Keep, superfluous

OWN = "0a1b2c3d4e5f"
NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def nightly(days: int) -> list[BackupName]:
    return [BackupName(OWN, NOW - timedelta(days=day)) for day in range(days)]


def test_the_newest_of_each_day_and_week_stay() -> None:
    found = nightly(60)

    gone = superfluous(found, Keep(last=1, daily=7, weekly=4), installation=OWN)

    kept = [item.at for item in found if item not in gone]
    # 22 November 2026 is a Sunday: the weeks' newest are the Sundays, one of which is among the days.
    assert kept[:7] == [NOW - timedelta(days=day) for day in range(7)]
    assert kept[7:] == [NOW - timedelta(weeks=week) for week in (1, 2, 3)]


def test_several_of_one_day_count_as_the_last_ones_and_once_as_the_day() -> None:
    hourly = [BackupName(OWN, NOW - timedelta(minutes=item)) for item in range(5)]

    gone = superfluous(hourly, Keep(last=2, daily=7, weekly=4), installation=OWN)

    assert gone == [hourly[4], hourly[3], hourly[2]]


def test_what_was_made_by_hand_or_by_another_installation_stays() -> None:
    old = NOW - timedelta(days=400)
    found = [
        *nightly(2),
        BackupName(OWN, old, is_scheduled=False),
        BackupName("f" * 12, old),
    ]

    assert superfluous(found, Keep(1, 2, 0), installation=OWN) == []


def test_at_least_one_stays_whatever_is_asked_for() -> None:
    found = nightly(3)

    gone = superfluous(found, Keep(last=0, daily=0, weekly=0), installation=OWN)

    assert [item for item in found if item not in gone] == [found[0]]


def test_a_name_says_what_it_was_made_of() -> None:
    for name in (BackupName(OWN, NOW), BackupName(OWN, NOW, is_scheduled=False)):
        assert parse(str(name)) == name
    others = (
        "backup.tar",
        ".mcp-host-0a1b2c3d4e5f-20261122T030000Z.tar",
        "mcp-host-0a1b2c3d4e5f-20261399T030000Z.tar",
    )
    assert [parse(other) for other in others] == [None, None, None]
