"""What is said of what runs short, and from where on."""

import os

import pytest

from appliance.infra.disk_space import Room
from appliance.infra.supervision import ProgramState
from appliance.pressure import reading, rules
from appliance.pressure.errors import PressureError
from appliance.pressure.model import ClockMove, Connections, Limits, Memory, Process

GIB = 1024**3
LIMITS = Limits()
HUB = Process("hub", 7, GIB // 8, 100, 1024)


def test_memory_warns_below_its_share_with_what_is_left() -> None:
    assert "2 GiB of 4 GiB" in rules.memory(Memory(4 * GIB, 2 * GIB), LIMITS)
    with pytest.raises(PressureError, match="MEMORY_LOW_PERCENT"):
        rules.memory(Memory(4 * GIB, GIB // 8), LIMITS)


@pytest.mark.parametrize(
    "process",
    [
        Process("hub", 7, 2 * GIB, 100, 1024),
        Process("hub", 7, GIB // 8, 900, 1024),
    ],
)
def test_a_process_that_takes_much_is_named(process: Process) -> None:
    with pytest.raises(PressureError, match="hub"):
        rules.processes([HUB, process], LIMITS)


def test_processes_within_their_limits_are_summed_up() -> None:
    assert rules.processes([HUB, HUB], LIMITS).startswith("2 processes")
    assert rules.processes([Process("x", 1, 1, 10**6, 0)], LIMITS)  # no limit is none


def test_connections_warn_before_the_last_one() -> None:
    assert "20 of 100" in rules.connections(Connections(20, 100), LIMITS)
    assert rules.connections(None, LIMITS)
    with pytest.raises(PressureError, match="81 of 100"):
        rules.connections(Connections(81, 100), LIMITS)


def test_a_small_file_system_is_judged_by_its_share() -> None:
    assert rules.run_room(Room("/run", 30 << 20, 64 << 20))
    with pytest.raises(PressureError, match="RUN_DIR"):
        rules.run_room(Room("/run", 5 << 20, 64 << 20))


def test_a_clock_that_was_set_is_told_for_an_hour() -> None:
    move = ClockMove(by_s=-3 * 3600.0, at=1000)

    with pytest.raises(PressureError, match="3 h behind 10 minutes ago"):
        rules.time(move, at=1600, postgres_ahead_s=0)
    assert rules.time(move, at=1000 + 3601, postgres_ahead_s=0)
    assert rules.time(ClockMove(by_s=5, at=1000), at=1001, postgres_ahead_s=0)


def test_two_clocks_that_differ_are_told() -> None:
    with pytest.raises(PressureError, match="6 s ahead"):
        rules.time(None, at=0, postgres_ahead_s=6)


def test_supervision_names_who_keeps_ending_and_counts_restarts() -> None:
    well = ProgramState("running", 7, restarts=2)

    assert "2 restarts" in rules.supervision({"hub": well})
    assert "who started them" in rules.supervision({})
    with pytest.raises(PressureError, match="hub ended 3 times: it broke"):
        rules.supervision({"hub": ProgramState(alarm="ended 3 times", reason="it broke")})  # fmt: skip


def _falling(per_minute: int, minutes: int, start: int = 10 * GIB) -> list[tuple[float, int]]:  # fmt: skip
    return [(60.0 * at, start - per_minute * at) for at in range(minutes + 1)]


def test_a_disk_that_fills_evenly_is_told_with_the_hours_that_are_left() -> None:
    samples = _falling(GIB // 30, 30)

    assert rules.hours_left(samples) == pytest.approx(4.5, rel=0.01)
    with pytest.raises(PressureError, match=r"/data is full in about 4\.5 h"):
        rules.trend({"/data": samples}, LIMITS)


@pytest.mark.parametrize(
    "samples",
    [
        [],
        _falling(GIB // 30, 5),  # too short to tell
        _falling(0, 30),
        _falling(-1000, 30),
        [(0, 10 * GIB), (600, 5 * GIB), (1200, 10 * GIB)],  # a build came and went
    ],
)
def test_no_trend_is_no_warning(samples: list[tuple[float, int]]) -> None:
    assert rules.hours_left(samples) is None
    assert rules.trend({"/data": samples}, LIMITS) == ""


def test_a_disk_that_lasts_for_days_is_no_warning() -> None:
    assert rules.trend({"/data": _falling(1 << 20, 30)}, LIMITS) == ""


def test_this_very_process_can_be_read() -> None:
    (found,) = reading.processes({"hub": ProgramState(pid=os.getpid())})
    memory = reading.memory()

    assert found.resident_bytes > 1 << 20
    assert found.descriptors > 0
    assert 0 < memory.available_bytes <= memory.total_bytes
    assert reading.processes({"hub": ProgramState(pid=2**22 - 1)}) == []
