"""When a program that keeps ending waits, and when somebody should look."""

from appliance.infra.crash_loops import LONGEST_WAIT_S, End, judge


def _dying_every(seconds: float, times: int) -> list[End]:
    return [End(at=1000 + seconds * turn, lived_s=seconds) for turn in range(times)]


def test_a_single_end_is_made_good_at_once_and_alarms_nobody() -> None:
    verdict = judge([End(1000, lived_s=1.3)], 1000)

    assert verdict.wait_s == 0
    assert not verdict.alarm


def test_one_that_dies_just_after_its_start_waits_longer_each_time() -> None:
    ends = _dying_every(1.3, 10)

    waits = [judge(ends[:count], 1013).wait_s for count in range(1, 11)]

    assert waits == [0, 1, 2, 4, 8, 16, 30, 30, 30, LONGEST_WAIT_S]


def test_the_third_early_end_is_an_alarm() -> None:
    ends = _dying_every(1.3, 3)

    assert not judge(ends[:2], 1004).alarm
    assert "3 times" in judge(ends, 1004).alarm


def test_one_that_stays_up_is_forgiven() -> None:
    ends = _dying_every(1.3, 4)

    assert judge(ends, 1004).alarm
    assert not judge(ends, 1004 + 301).alarm


def test_one_that_dies_every_two_minutes_does_not_wait_but_is_an_alarm() -> None:
    verdict = judge(_dying_every(120, 5), 1500)

    assert verdict.wait_s == 0
    assert "half an hour" in verdict.alarm


def test_a_kill_after_hours_is_no_crash_loop_even_beside_early_ends() -> None:
    ends = [*_dying_every(1.3, 2), End(1100, lived_s=90)]

    assert judge(ends, 1100).wait_s == 0
