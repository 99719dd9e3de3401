"""Measurements: what is read of the kernel, how it is cut into spans, and what is refused."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.core.errors import InvalidError
from appliance.measurements.model import RESOLUTIONS
from appliance.measurements.spans import (
    difference,
    floor,
    spans,
    step_for,
    stored_step,
    together,
)
from appliance.runtimes.meters import Meter, Reading, reading_of_stats

NOW = datetime(2026, 1, 1, 12, 0, 3, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ID = "c0ffee" * 10
NET = """Inter-|   Receive                          |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     999       1    0    0    0     0          0         0      999       1    0    0    0     0       0          0
  eth0:     100       1    0    0    0     0          0         0       50       1    0    0    0     0       0          0
  eth1:10       1    0    0    0     0          0         0       5       1    0    0    0     0       0          0
"""


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_container_is_read_from_version_1_of_control_groups(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "proc/7/cgroup": f"4:cpu,cpuacct:/docker/{ID}\n3:memory:/docker/{ID}\n",
            "proc/7/net/dev": NET,
            f"cg/cpuacct/docker/{ID}/cpuacct.usage": "5000\n",
            f"cg/memory/docker/{ID}/memory.usage_in_bytes": "900\n",
            f"cg/memory/docker/{ID}/memory.stat": "cache 5\ntotal_inactive_file 100\n",
        },
    )

    found = Meter(tmp_path / "proc", tmp_path / "cg").read(7, ID)

    assert found == Reading(5000, 800, 110, 55)


def test_a_container_is_read_from_version_2_of_control_groups(tmp_path: Path) -> None:
    group = f"cg/system.slice/docker-{ID}.scope"
    _write(
        tmp_path,
        {
            "cg/cgroup.controllers": "cpu memory\n",
            "proc/7/cgroup": f"0::/system.slice/docker-{ID}.scope\n",
            "proc/7/net/dev": NET,
            f"{group}/cpu.stat": "usage_usec 5\nuser_usec 3\n",
            f"{group}/memory.current": "900\n",
            f"{group}/memory.stat": "anon 1\ninactive_file 100\n",
        },
    )

    found = Meter(tmp_path / "proc", tmp_path / "cg").read(7, ID)

    assert found == Reading(5000, 800, 110, 55)


def test_a_process_of_another_container_is_not_read_for_this_one(
    tmp_path: Path,
) -> None:
    _write(tmp_path, {"proc/7/cgroup": "4:cpuacct:/docker/other\n"})
    meter = Meter(tmp_path / "proc", tmp_path / "cg")

    assert meter.read(7, ID) is None
    assert meter.read(8, ID) is None


def test_the_engines_own_figures_are_read_alike() -> None:
    stats: dict[str, object] = {
        "cpu_stats": {"cpu_usage": {"total_usage": 5000}},
        "memory_stats": {"usage": 900, "stats": {"total_inactive_file": 100}},
        "networks": {"eth0": {"rx_bytes": 110, "tx_bytes": 55}},
    }

    assert reading_of_stats(stats) == Reading(5000, 800, 110, 55)
    assert reading_of_stats({"cpu_stats": {}, "memory_stats": {}}) is None


def test_what_a_container_used_is_the_difference_of_two_readings() -> None:
    before, after = Reading(1000, 5, 10, 20), Reading(4000, 7, 15, 20)

    assert difference(before, after) == Reading(3000, 7, 5, 0)
    assert difference(None, after) == Reading(0, 7, 0, 0)
    assert difference(after, before) == before  # it was started again


def test_containers_of_one_server_are_one_sample() -> None:
    found = together(
        5, NOW, [Reading(10**9, 5, 1, 2), Reading(10**9, 6, 3, 4)], covered_s=10
    )

    assert (found.cpu_percent, found.memory_bytes, found.containers) == (20, 11, 2)
    assert found.per_second(found.received_bytes) == 0.4


@pytest.mark.parametrize(
    ("back", "step_s"),
    [
        (HOUR / 2, 10),
        (HOUR, 10),
        (6 * HOUR, 60),
        (DAY, 60),
        (7 * DAY, 600),
        (30 * DAY, 4800),
    ],
)
def test_a_window_is_shown_as_finely_as_it_is_kept_and_fits(
    back: timedelta, step_s: int
) -> None:
    step = step_for(NOW - back, NOW, NOW)

    assert step >= timedelta(seconds=min(step_s, 600))
    assert len(spans(NOW - back, NOW, step)) <= 2001


def test_a_step_that_is_not_kept_is_refused_by_its_field() -> None:
    with pytest.raises(InvalidError) as refused:
        step_for(NOW - DAY, NOW, NOW, timedelta(seconds=10))

    assert "at least 60 seconds" in refused.value.fields["step"]


def test_a_shown_step_is_made_of_the_coarsest_that_divides_it() -> None:
    assert stored_step(timedelta(minutes=20), NOW - DAY, NOW) == timedelta(minutes=10)
    assert stored_step(timedelta(minutes=5), NOW - HOUR, NOW) == timedelta(minutes=1)
    assert stored_step(timedelta(seconds=10), NOW - HOUR, NOW) == timedelta(seconds=10)


def test_spans_cover_a_window_without_holes() -> None:
    step = timedelta(minutes=1)

    found = spans(NOW - HOUR, NOW, step)

    assert found[0] == floor(NOW - HOUR, step)
    assert found[-1] < NOW <= found[-1] + step
    assert all(later - earlier == step for earlier, later in itertools.pairwise(found))


def test_coarser_samples_are_kept_for_longer() -> None:
    for fine, coarse in itertools.pairwise(RESOLUTIONS):
        assert coarse.step % fine.step == timedelta()
        assert coarse.keep > fine.keep
