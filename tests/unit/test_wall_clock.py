"""Noticing that somebody set the wall clock."""

import pytest

from appliance.core.clock import WallClock


@pytest.mark.parametrize("by_s", [-3 * 3600.0, 3 * 3600.0])
def test_a_clock_that_is_set_is_noticed_once(by_s: float) -> None:
    time = {"wall": 1_000_000.0, "steady": 10.0}
    clock = WallClock(wall=lambda: time["wall"], steady=lambda: time["steady"])
    time["wall"] += by_s

    assert clock.moved_s() == by_s
    assert clock.moved_s() == 0


def test_time_that_goes_by_and_is_kept_right_is_no_move() -> None:
    time = {"wall": 1_000_000.0, "steady": 10.0}
    clock = WallClock(wall=lambda: time["wall"], steady=lambda: time["steady"])
    time["wall"] += 600.4
    time["steady"] += 600

    assert clock.moved_s() == 0
