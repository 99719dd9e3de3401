"""The clock: one process ticks, it keeps its rhythm, and what it does is on record."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from appliance.core.clock import WallClock
from appliance.core.errors import UnavailableError
from appliance.infra.database import Database
from appliance.jobs import clock as clock_module
from appliance.jobs.clock import Clock
from appliance.jobs.model import Schedule
from appliance.jobs.queue import JobQueue
from appliance.jobs.tables import ScheduleRow
from appliance.observability.metrics import Metrics
from tests.cluster import ThrowAwayCluster
from tests.harness.waiting import until

PATIENCE_S = 15


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "TRY_EVERY_S", 0.1)
    monkeypatch.setattr(clock_module, "SET_EVERY_S", 0.05)
    monkeypatch.setattr(clock_module, "NOTE_EVERY_S", 0.0)


class Counter:
    """An entry that counts its runs."""

    def __init__(self, error: Exception | None = None) -> None:
        self.runs = 0
        self._error = error

    async def __call__(self) -> None:
        self.runs += 1
        if self._error:
            raise self._error


@asynccontextmanager
async def ticking(
    database: Database,
    every_s: float,
    entry: Callable[[], Awaitable[object]],
    **options: Any,
) -> AsyncIterator[Clock]:
    clock = Clock(database, **options)
    clock.every(every_s, "sweep", entry)
    await clock.start()
    try:
        yield clock
    finally:
        await clock.stop()


async def schedule(database: Database) -> Schedule:
    (found,) = await JobQueue(database).schedules()
    return found


async def test_an_entry_runs_at_once_and_then_every_so_often(
    database: Database,
) -> None:
    counter, metrics = Counter(), Metrics()
    async with ticking(database, 0.3, counter, metrics=metrics):
        await until(lambda: counter.runs >= 3)
        running = await schedule(database)

    assert (running.name, running.every_s) == ("sweep", 0.3)
    assert running.runs >= 3
    assert running.last_started_at is not None
    assert running.next_run_at is not None
    assert running.next_run_at > running.last_started_at
    assert b"mcp_host_clock_leader 0.0" in metrics.render()
    assert (
        b'mcp_host_clock_runs_total{name="sweep",outcome="succeeded"}'
        in metrics.render()
    )


async def test_an_entry_that_fails_says_so_and_runs_again(database: Database) -> None:
    counter = Counter(UnavailableError("engine away"))
    async with ticking(database, 0.2, counter):
        await until(lambda: counter.runs >= 2)

    assert (await schedule(database)).last_error == "engine away"


async def test_an_entry_that_runs_all_the_time_is_seldom_written_down_and_counts_all_its_runs(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_module, "NOTE_EVERY_S", 0.6)
    counter = Counter()
    async with ticking(database, 0.1, counter):
        await until(lambda: counter.runs == 4)
        early = await schedule(database)
        await until(lambda: counter.runs >= 9)

    assert early.runs == 1
    assert (await schedule(database)).runs >= 6


async def test_a_restart_keeps_the_rhythm_and_the_count(database: Database) -> None:
    first, second = Counter(), Counter()
    async with ticking(database, 3600, first):
        await until(lambda: first.runs == 1)
    before = await schedule(database)

    async with ticking(database, 3600, second) as clock:
        await until(lambda: clock.is_leader)
        await asyncio.sleep(0.2)

    after = await schedule(database)
    assert second.runs == 0
    assert (after.runs, after.missed) == (1, 0)
    assert after.last_started_at == before.last_started_at


async def test_only_one_of_two_leads_and_the_other_follows_it(
    database: Database,
) -> None:
    first, second = Counter(), Counter()
    async with ticking(database, 0.2, first) as leader:
        await until(lambda: leader.is_leader)
        async with ticking(database, 0.2, second) as follower:
            await until(lambda: first.runs >= 3)
            assert (second.runs, follower.is_leader) == (0, False)

            await leader.stop()

            await until(lambda: second.runs >= 1)
            assert follower.is_leader
            assert not leader.is_leader


async def test_a_leader_that_loses_its_connection_stops_and_leads_anew(
    cluster: ThrowAwayCluster, database: Database
) -> None:
    counter, metrics = Counter(), Metrics()
    async with ticking(database, 0.2, counter, metrics=metrics) as clock:
        await until(lambda: clock.is_leader)
        name = database.peewee.database
        await asyncio.to_thread(
            cluster.execute,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",  # noqa: S608
        )
        await until(lambda: not clock.is_leader)
        runs = counter.runs

        await until(lambda: clock.is_leader and counter.runs > runs)


async def test_a_run_that_takes_too_long_is_not_doubled_and_counts_as_missed(
    database: Database,
) -> None:
    entered = 0
    may_end = asyncio.Event()

    async def slow() -> None:
        nonlocal entered
        entered += 1
        await may_end.wait()

    async with ticking(database, 0.1, slow):
        await until(lambda: entered == 1)
        async with asyncio.timeout(PATIENCE_S):
            while (await schedule(database)).missed < 2:
                await asyncio.sleep(0.05)
        assert entered == 1
        may_end.set()
        await until(lambda: entered > 1)


async def test_an_entry_that_is_no_longer_there_is_forgotten(
    database: Database,
) -> None:
    counter = Counter()
    async with ticking(database, 3600, counter):
        await until(lambda: counter.runs == 1)
    other = Clock(database)
    other.every(60, "other", counter)
    await other.start()
    await until(lambda: other.is_leader)
    await other.stop()

    assert [item.name for item in await JobQueue(database).schedules()] == ["other"]


async def test_a_wall_clock_that_is_put_back_holds_nothing_up(
    database: Database,
) -> None:
    time = {"wall": 1_000_000.0}
    wall_clock = WallClock(wall=lambda: time["wall"], steady=lambda: 0.0)
    counter = Counter()
    async with ticking(database, 3600, counter, wall_clock=wall_clock):
        await until(lambda: counter.runs == 1)
        # What a clock leaves that is put back: a start in the future.
        await database.run(_started_later, timedelta(hours=3))
        time["wall"] -= 3 * 3600

        await until(lambda: counter.runs == 2)


def _started_later(by: timedelta) -> None:
    ScheduleRow.update(last_started_at=ScheduleRow.last_started_at + by).execute()


async def test_two_entries_of_one_name_are_refused(database: Database) -> None:
    clock = Clock(database)
    clock.every(1, "sweep", Counter())

    with pytest.raises(ValueError, match="sweep"):
        clock.every(2, "sweep", Counter())
