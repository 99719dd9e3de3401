"""The worker: what is enqueued is done, once, in its lane, whatever dies meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from typing import Any

import pytest

from appliance.core.errors import InvalidError
from appliance.infra import migrations
from appliance.infra.database import (
    Database,
    DatabaseUnavailableError,
    connect,
    connection_arguments,
)
from appliance.jobs.errors import RetryLaterError
from appliance.jobs.model import Again, Handler, Job, JobContext, JobState
from appliance.jobs.queue import JobQueue, cancel_running_in_lane
from appliance.jobs.tables import JobRow
from appliance.jobs.worker import JobWorker, Timing
from appliance.observability.events import EventLog
from appliance.observability.metrics import Metrics
from tests.cluster import ThrowAwayCluster, throw_away_cluster
from tests.conftest import MIGRATIONS
from tests.fakes.jobs import Gate, Script
from tests.harness.waiting import until

PATIENCE_S = 15
QUICK = Timing(
    lease_s=1.0,
    heartbeat_s=0.2,
    poll_s=0.3,
    announce_after_s=0.05,
    database_retry_s=0.1,
    stop_s=2.0,
)


@pytest.fixture
def queue(database: Database) -> JobQueue:
    return JobQueue(database)


@asynccontextmanager
async def working(
    database: Database,
    handlers: Mapping[str, Handler],
    *,
    timing: Timing = QUICK,
    **options: Any,
) -> AsyncIterator[JobWorker]:
    worker = JobWorker(database, handlers, timing=timing, **options)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


async def ended(queue: JobQueue, job_id: int) -> Job:
    async def is_finished() -> bool:
        try:
            return (await queue.get(job_id)).state.is_finished
        except DatabaseUnavailableError:
            return False

    await until(is_finished)
    return await queue.get(job_id)


async def test_a_job_is_done_as_soon_as_it_is_enqueued(
    database: Database, queue: JobQueue
) -> None:
    done = Script(None)
    patient = Timing(poll_s=60)
    async with working(database, {"k": done}, timing=patient):
        await asyncio.sleep(0.3)  # it looked and found nothing
        started = time.monotonic()

        job = await ended(queue, await queue.enqueue("k", {}))

        assert time.monotonic() - started < 1
    assert (job.state, job.attempt, job.error) == (JobState.SUCCEEDED, 1, None)


async def test_a_job_for_later_is_done_at_its_time(
    database: Database, queue: JobQueue
) -> None:
    done = Script(Again(0.4), None)
    async with working(database, {"k": done}, timing=Timing(poll_s=60)):
        started = time.monotonic()

        job = await ended(queue, await queue.enqueue("k", {}))

        assert 0.4 <= time.monotonic() - started < 2
    assert job.state is JobState.SUCCEEDED
    assert done.attempts == [1, 1]


async def test_a_fault_is_tried_again_until_it_is_given_up(
    database: Database, queue: JobQueue
) -> None:
    broken = Script(RetryLaterError("engine away", delay_s=0.05))
    async with working(database, {"k": broken}):
        job = await ended(queue, await queue.enqueue("k", {}, max_attempts=3))

    assert broken.attempts == [1, 2, 3]
    assert (job.state, job.error) == (JobState.FAILED, "engine away")


async def test_an_unexpected_exception_is_tried_again_and_named(
    database: Database, queue: JobQueue
) -> None:
    broken = Script(LookupError("nothing there"), None)
    async with working(database, {"k": broken}):
        job_id = await queue.enqueue("k", {})

        async def waits_with_error() -> bool:
            return (await queue.get(job_id)).error == "LookupError: nothing there"

        await until(waits_with_error)
        job = await ended(queue, job_id)

    assert (job.state, job.attempt) == (JobState.SUCCEEDED, 2)


async def test_wrong_input_is_not_tried_again(
    database: Database, queue: JobQueue
) -> None:
    refusing = Script(InvalidError.field("package", "there is none of this name"))
    async with working(database, {"k": refusing}):
        job = await ended(queue, await queue.enqueue("k", {}))

    assert (job.state, job.attempt) == (JobState.FAILED, 1)
    assert job.error == "package: there is none of this name"


async def test_cancelling_reaches_the_handler_within_moments(
    database: Database, queue: JobQueue
) -> None:
    gate = Gate()
    async with working(database, {"k": gate}, timing=Timing()):
        job_id = await queue.enqueue("k", {})
        await gate.entered.wait()
        started = time.monotonic()

        await queue.cancel(job_id)
        job = await ended(queue, job_id)

        assert time.monotonic() - started < 0.5
    assert job.state is JobState.CANCELLED
    assert gate.was_cancelled


async def test_a_newer_wish_ends_what_runs_in_the_lane_and_follows_it(
    database: Database, queue: JobQueue
) -> None:
    gate = Gate()
    async with working(database, {"k": gate}):
        old = await queue.enqueue("k", {}, lane="a")
        await gate.entered.wait()
        gate.entered.clear()
        await database.run(cancel_running_in_lane, "a")
        new = await queue.enqueue("k", {}, lane="a")
        await gate.entered.wait()
        gate.open.set()

        assert (await ended(queue, old)).state is JobState.CANCELLED
        assert (await ended(queue, new)).state is JobState.SUCCEEDED
    assert gate.runs == 2


async def test_no_more_run_at_once_than_asked_for(
    database: Database, queue: JobQueue
) -> None:
    gate = Gate()
    async with working(database, {"k": gate}, concurrency=2) as worker:
        ids = [await queue.enqueue("k", {}) for _ in range(5)]
        await asyncio.sleep(0.5)

        assert (worker.running, gate.runs) == (2, 2)
        gate.open.set()
        for job_id in ids:
            await ended(queue, job_id)


async def test_a_kind_that_waits_for_its_turn_leaves_room_for_others(
    database: Database, queue: JobQueue
) -> None:
    waiting, done = Gate(), Script(None)
    handlers: dict[str, Handler] = {"waits": waiting, "k": done}
    async with working(
        database, handlers, concurrency=2, at_most={"waits": 1}
    ) as worker:
        ids = [await queue.enqueue("waits", {}) for _ in range(3)]
        await waiting.entered.wait()

        await ended(queue, await queue.enqueue("k", {}))

        assert (worker.running, waiting.runs) == (1, 1)
        waiting.open.set()
        for job_id in ids:
            await ended(queue, job_id)


async def test_stopping_gives_the_work_back_without_counting_the_run(
    database: Database, queue: JobQueue
) -> None:
    gate = Gate()
    async with working(database, {"k": gate}):
        job_id = await queue.enqueue("k", {})
        await gate.entered.wait()

    job = await queue.get(job_id)
    assert (job.state, job.attempt, job.worker) == (JobState.QUEUED, 0, None)
    assert gate.was_cancelled


async def test_a_worker_whose_job_was_given_away_ends_its_handler_and_writes_nothing(
    database: Database, queue: JobQueue
) -> None:
    gate = Gate()
    metrics = Metrics()
    async with working(database, {"k": gate}, metrics=metrics) as worker:
        job_id = await queue.enqueue("k", {})
        await gate.entered.wait()

        await database.run(
            lambda: JobRow.update(worker="another").where(JobRow.id == job_id).execute()
        )

        async def is_idle() -> bool:
            return worker.running == 0

        await until(is_idle)
    job = await queue.get(job_id)
    assert (job.state, job.worker) == (JobState.RUNNING, "another")
    assert (
        b'mcp_host_jobs_finished_total{kind="k",outcome="lost"} 1.0' in metrics.render()
    )


async def test_progress_is_kept_and_told(database: Database, queue: JobQueue) -> None:
    events = EventLog(database)
    told = events.subscribe(kinds={"job.progress"})
    assert (await anext(told)).kind == "events.reset"

    async def count(context: JobContext, _payload: Mapping[str, Any]) -> None:
        for done in range(101):
            await context.progress(done, 100, "files")

    async with working(database, {"k": count}):
        job = await ended(queue, await queue.enqueue("k", {"server_id": 7}))
        async with asyncio.timeout(PATIENCE_S):
            first, last = await anext(told), await anext(told)
    await events.close()

    assert job.progress == {"done": 100, "total": 100, "message": "files"}
    assert (first.data["progress"]["done"], last.data["progress"]["done"]) == (0, 100)
    assert (last.server_id, last.data["job_id"]) == (7, job.id)


async def test_long_runs_and_failures_are_told_and_quick_successes_are_not(
    database: Database, queue: JobQueue
) -> None:
    events = EventLog(database)
    told = events.subscribe(kinds={"job.state"})
    assert (await anext(told)).kind == "events.reset"
    gate = Gate()
    handlers: dict[str, Handler] = {
        "long": gate,
        "quick": Script(None),
        "bad": Script(InvalidError("no")),
    }

    # Long enough for a quick one to be quick on a busy box.
    timing = replace(QUICK, announce_after_s=1.0)
    async with working(database, handlers, timing=timing):
        await ended(queue, await queue.enqueue("quick", {}))
        await ended(queue, await queue.enqueue("bad", {}))
        long_id = await queue.enqueue("long", {})
        await asyncio.sleep(timing.announce_after_s + 0.3)
        gate.open.set()
        await ended(queue, long_id)
        async with asyncio.timeout(PATIENCE_S):
            got = [await anext(told) for _ in range(3)]
    await events.close()

    assert [(event.data["kind"], event.data["state"]) for event in got] == [
        ("bad", "failed"),
        ("long", "running"),
        ("long", "succeeded"),
    ]


async def test_waiting_and_running_jobs_are_counted(
    database: Database, queue: JobQueue
) -> None:
    gate, metrics = Gate(), Metrics()
    async with working(database, {"k": gate}, concurrency=1, metrics=metrics):
        await queue.enqueue("k", {})
        await queue.enqueue("k", {})

        async def are_counted() -> bool:
            text = metrics.render()
            return all(
                b'mcp_host_jobs{kind="k",state="%s"} 1.0' % state in text
                for state in (b"running", b"queued")
            )

        await until(are_counted)
        gate.open.set()


@pytest.fixture
def own_cluster() -> Iterator[ThrowAwayCluster]:
    """A migrated cluster that may be killed without hurting other tests."""
    with throw_away_cluster(synchronous_commit="on") as cluster:
        with closing(connect(connection_arguments(cluster.url()))) as connection:
            migrations.migrate(connection, MIGRATIONS)
        yield cluster


async def test_a_postgres_that_is_killed_costs_no_job_and_no_second_run(
    own_cluster: ThrowAwayCluster,
) -> None:
    database = Database(own_cluster.url(), size=4)
    queue, gate, quick = JobQueue(database), Gate(), Script(None)
    async with working(database, {"k": gate, "quick": quick}):
        held = await queue.enqueue("k", {}, lane="a")
        await gate.entered.wait()

        await asyncio.to_thread(own_cluster.kill)
        await asyncio.sleep(QUICK.lease_s * 1.5)
        gate.open.set()  # it ends while Postgres is away
        await asyncio.sleep(0.2)
        await asyncio.to_thread(own_cluster.start)

        job = await ended(queue, held)
        after = await ended(queue, await queue.enqueue("quick", {}))
    await asyncio.to_thread(database.close)

    assert (job.state, gate.runs) == (JobState.SUCCEEDED, 1)
    assert after.state is JobState.SUCCEEDED
