"""Workers that are killed in the middle of everything, and what is left of their work."""

import asyncio
import itertools
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from appliance.infra.database import Database
from appliance.jobs.model import JobState
from appliance.jobs.queue import JobQueue
from tests.fakes.job_process import KINDS, TABLE

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 60
LANES = [f"lane:{number}" for number in range(6)]


class RunRow(NamedTuple):
    job_id: int
    lane: str | None
    worker: str
    began_at: datetime
    ended_at: datetime | None


class Workers:
    """Processes that can be killed and replaced."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._alive: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.fakes.job_process", self._url]
        self._alive.append(
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        )

    def kill_one(self) -> None:
        victim = self._alive.pop(random.randrange(len(self._alive)))
        victim.send_signal(signal.SIGKILL)
        victim.wait()

    def kill_all(self) -> None:
        while self._alive:
            self.kill_one()


@pytest.fixture
def workers(database_url: str) -> Iterator[Workers]:
    started = Workers(database_url)
    yield started
    started.kill_all()


async def enqueue_everything(queue: JobQueue) -> list[int]:
    places = [(kind, lane) for kind in KINDS for lane in [*LANES, None]]
    random.shuffle(places)
    return [
        await queue.enqueue(kind, {}, lane=lane, max_attempts=50)
        for kind, lane in places
    ]


async def runs_of(database: Database) -> list[RunRow]:
    query = (
        "SELECT job_id, lane, worker, began_at, ended_at FROM runs ORDER BY began_at"
    )
    rows = await database.run(lambda: database.peewee.execute_sql(query).fetchall())
    return [RunRow(*row) for row in rows]


async def test_killed_workers_cost_no_job_and_never_let_a_lane_overlap(
    database: Database, workers: Workers
) -> None:
    await database.run(database.peewee.execute_sql, TABLE)
    queue = JobQueue(database)
    for _ in range(2):
        await asyncio.to_thread(workers.start)
    ids = await enqueue_everything(queue)

    kills = 0
    deadline = time.monotonic() + PATIENCE_S
    while await queue.list(state=JobState.QUEUED) or await queue.list(
        state=JobState.RUNNING
    ):
        assert time.monotonic() < deadline, [await queue.list(limit=5)]
        await asyncio.sleep(random.uniform(0.4, 0.9))
        if kills < 5 and await runs_of(database):
            await asyncio.to_thread(workers.kill_one)
            await asyncio.to_thread(workers.start)
            kills += 1

    runs = await runs_of(database)
    assert kills > 0
    assert {run.job_id for run in runs if run.ended_at} == set(ids)
    assert {job.state for job in await queue.list(limit=200)} == {JobState.SUCCEEDED}
    assert_no_overlap(runs)


def assert_no_overlap(runs: list[RunRow]) -> None:
    lanes: dict[str, list[RunRow]] = defaultdict(list)
    for run in runs:
        if run.lane:
            lanes[run.lane].append(run)
    for in_lane in lanes.values():
        for earlier, later in itertools.pairwise(in_lane):
            # A run without an end died with its worker: who follows is another.
            if earlier.ended_at is None:
                assert earlier.worker != later.worker
            else:
                assert earlier.ended_at <= later.began_at


async def test_what_a_killed_worker_left_is_taken_over_without_waiting_for_its_lease(
    database: Database, workers: Workers
) -> None:
    """The process is known to be gone, so ten seconds of lease need not pass."""
    await database.run(database.peewee.execute_sql, TABLE)
    queue = JobQueue(database)
    await asyncio.to_thread(workers.start)
    job_id = await queue.enqueue(KINDS[0], {"hold_first_run": True})
    while not await runs_of(database):
        await asyncio.sleep(0.005)
    await asyncio.to_thread(workers.kill_all)
    assert (await queue.get(job_id)).state is JobState.RUNNING
    lengthen = (
        f"UPDATE jobs SET lease_until = now() + interval '1 hour' WHERE id = {job_id}"  # noqa: S608
    )
    await database.run(database.peewee.execute_sql, lengthen)

    await asyncio.to_thread(workers.start)

    async with asyncio.timeout(10):
        while not (await queue.get(job_id)).state.is_finished:
            await asyncio.sleep(0.05)
