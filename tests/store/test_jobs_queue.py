"""The queue as other rooms see it."""

from datetime import timedelta

import pytest
from structlog.contextvars import bound_contextvars

from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.jobs import leases, store
from appliance.jobs.errors import (
    JobFinishedError,
    JobNotFinishedError,
    JobNotFoundError,
    JobWaitsAlreadyError,
)
from appliance.jobs.leases import RunName
from appliance.jobs.model import Job, JobState
from appliance.jobs.outcomes import Failed, Outcome, Retry, RunAgain, Succeeded
from appliance.jobs.queue import JobQueue, cancel_running_in_lane, enqueue

LEASE_S = 10


@pytest.fixture
def queue(database: Database) -> JobQueue:
    return JobQueue(database)


async def claim(database: Database, *, worker: str = "w", limit: int = 10) -> list[Job]:
    return await database.run(
        leases.claim, worker, ["k", "other"], limit=limit, lease_s=LEASE_S
    )


async def finish(database: Database, job: Job, outcome: Outcome) -> Job | None:
    name = RunName(job.id, job.worker or "", job.attempt)
    return await database.run(leases.finish, name, outcome)


async def test_a_job_of_a_transaction_that_fails_does_not_exist(
    database: Database, queue: JobQueue
) -> None:
    def fail() -> None:
        enqueue("k", {})
        raise LookupError

    with pytest.raises(LookupError):
        await database.run(fail)

    assert await queue.list() == []


async def test_a_job_carries_its_payload_and_the_request_that_caused_it(
    queue: JobQueue,
) -> None:
    with bound_contextvars(request_id="abc123"):
        job_id = await queue.enqueue("k", {"server_id": 7})

    job = await queue.get(job_id)
    assert (job.payload, job.request_id) == ({"server_id": 7}, "abc123")
    assert (job.state, job.attempt, job.lane) == (JobState.QUEUED, 0, None)


async def test_the_same_work_enqueued_twice_in_a_lane_is_one_job_at_the_earlier_time(
    queue: JobQueue,
) -> None:
    later = now() + timedelta(hours=1)
    first = await queue.enqueue("k", {"n": 1}, lane="a", run_at=later, priority=5)

    second = await queue.enqueue("k", {"n": 2}, lane="a", priority=9)

    job = await queue.get(first)
    assert second == first
    assert job.run_at < later
    assert (job.payload, job.priority) == ({"n": 2}, 5)


async def test_other_kinds_other_lanes_and_no_lane_are_jobs_of_their_own(
    queue: JobQueue,
) -> None:
    ids = {
        await queue.enqueue(kind, {}, lane=lane)
        for kind, lane in (
            ("k", "a"),
            ("k", "b"),
            ("other", "a"),
            ("k", None),
            ("k", None),
        )
    }

    assert len(ids) == 5


async def test_work_enqueued_while_it_runs_waits_beside_it(
    database: Database, queue: JobQueue
) -> None:
    first = await queue.enqueue("k", {}, lane="a")
    (running,) = await claim(database)

    second = await queue.enqueue("k", {}, lane="a")

    assert running.id == first != second
    assert await claim(database) == []
    await finish(database, running, Succeeded())
    assert [job.id for job in await claim(database)] == [second]


async def test_urgent_jobs_are_claimed_first_and_a_lane_keeps_its_order(
    database: Database, queue: JobQueue
) -> None:
    slow = await queue.enqueue("k", {}, priority=9)
    lane_first = await queue.enqueue("k", {}, lane="a")
    lane_second = await queue.enqueue("other", {}, lane="a")
    urgent = await queue.enqueue("k", {}, priority=-1)

    claimed = await claim(database)

    assert [job.id for job in claimed] == [urgent, lane_first, slow]
    assert lane_second not in {job.id for job in claimed}


async def test_a_job_is_not_claimed_before_its_time(
    database: Database, queue: JobQueue
) -> None:
    await queue.enqueue("k", {}, run_at=now() + timedelta(seconds=60))

    seconds = await database.run(leases.seconds_to_next, ["k"])

    assert await claim(database) == []
    assert seconds is not None
    assert 55 < seconds <= 60


async def test_a_kind_without_handler_is_left_to_others(
    database: Database, queue: JobQueue
) -> None:
    await queue.enqueue("unknown", {})

    assert await claim(database) == []


async def test_a_worker_that_lost_its_lease_cannot_write_the_outcome(
    database: Database, queue: JobQueue
) -> None:
    job_id = await queue.enqueue("k", {})
    (old,) = await claim(database, worker="old")
    await database.run(leases.take_over, except_ids=[], dead_workers=["old"])
    (new,) = await claim(database, worker="new")

    told = await finish(database, old, Failed("too late"))

    assert told is None
    assert (await queue.get(job_id)).worker == "new"
    assert new.attempt == 2


async def test_the_same_worker_cannot_finish_an_attempt_it_lost(
    database: Database, queue: JobQueue
) -> None:
    await queue.enqueue("k", {})
    (first,) = await claim(database)
    await database.run(leases.take_over, except_ids=[], dead_workers=["w"])
    await claim(database)

    assert await finish(database, first, Succeeded()) is None


async def test_a_lease_that_has_not_run_out_is_left_alone(
    database: Database, queue: JobQueue
) -> None:
    await queue.enqueue("k", {})
    await claim(database)

    assert await database.run(leases.take_over, except_ids=[]) == []


async def test_a_job_that_lost_its_last_attempt_fails_and_says_so(
    database: Database, queue: JobQueue
) -> None:
    job_id = await queue.enqueue("k", {}, max_attempts=1)
    await claim(database)

    await database.run(leases.take_over, except_ids=[], dead_workers=["w"])

    job = await queue.get(job_id)
    assert (job.state, job.error) == (JobState.FAILED, leases.LOST_WORKER)


async def test_a_retry_waits_and_keeps_the_error(
    database: Database, queue: JobQueue
) -> None:
    job_id = await queue.enqueue("k", {})
    (running,) = await claim(database)

    await finish(database, running, Retry(30, "engine away"))

    job = await queue.get(job_id)
    assert (job.state, job.attempt, job.error) == (JobState.QUEUED, 1, "engine away")
    assert job.run_at > now() + timedelta(seconds=25)


async def test_again_forgets_attempts_and_gives_way_to_the_same_work_waiting(
    database: Database, queue: JobQueue
) -> None:
    first = await queue.enqueue("k", {}, lane="a")
    (running,) = await claim(database)
    later = await queue.enqueue("k", {}, lane="a", run_at=now() + timedelta(hours=1))

    await finish(database, running, RunAgain(0))

    assert (await queue.get(first)).state is JobState.SUCCEEDED
    (again,) = await claim(database)
    assert (again.id, again.attempt) == (later, 1)


async def test_cancelling_a_waiting_job_ends_it_at_once(queue: JobQueue) -> None:
    job_id = await queue.enqueue("k", {})

    job = await queue.cancel(job_id)

    assert job.state is JobState.CANCELLED
    assert job.finished_at is not None


async def test_a_job_whose_end_was_asked_for_is_not_queued_again(
    database: Database, queue: JobQueue
) -> None:
    await queue.enqueue("k", {}, lane="a")
    (running,) = await claim(database)
    await database.run(cancel_running_in_lane, "a")

    ended = await finish(database, running, RunAgain(5))

    assert ended is not None
    assert ended.state is JobState.CANCELLED


async def test_what_has_ended_can_be_retried_but_not_cancelled(
    database: Database, queue: JobQueue
) -> None:
    job_id = await queue.enqueue("k", {})
    (running,) = await claim(database)
    with pytest.raises(JobNotFinishedError):
        await queue.retry(job_id)
    await finish(database, running, Failed("no"))

    with pytest.raises(JobFinishedError):
        await queue.cancel(job_id)
    job = await queue.retry(job_id)

    assert (job.state, job.attempt, job.error) == (JobState.QUEUED, 0, None)


async def test_a_retry_beside_the_same_work_waiting_is_refused(
    database: Database, queue: JobQueue
) -> None:
    job_id = await queue.enqueue("k", {}, lane="a")
    (running,) = await claim(database)
    await finish(database, running, Failed("no"))
    await queue.enqueue("k", {}, lane="a")

    with pytest.raises(JobWaitsAlreadyError):
        await queue.retry(job_id)


async def test_a_job_that_is_not_there_is_said_to_be_so(queue: JobQueue) -> None:
    for action in (queue.get, queue.cancel, queue.retry):
        with pytest.raises(JobNotFoundError):
            await action(4711)


async def test_the_list_pages_backwards_and_filters(
    database: Database, queue: JobQueue
) -> None:
    ids = [await queue.enqueue("k", {}) for _ in range(5)]
    other = await queue.enqueue("other", {}, lane="a")
    await queue.cancel(ids[0])

    newest = await queue.list(limit=3)
    older = await queue.list(before=newest[-1].id)

    assert [job.id for job in [*newest, *older]] == [other, *reversed(ids)]
    assert [job.id for job in await queue.list(kind="other")] == [other]
    assert [job.id for job in await queue.list(lane="a")] == [other]
    assert [job.id for job in await queue.list(state=JobState.CANCELLED)] == [ids[0]]
    assert await database.run(store.counts) == {
        ("k", "queued"): 4,
        ("other", "queued"): 1,
    }


async def test_pruning_takes_finished_jobs_of_their_age_only(
    database: Database, queue: JobQueue
) -> None:
    waiting = await queue.enqueue("k", {})
    cancelled = await queue.enqueue("k", {})
    await queue.cancel(cancelled)

    assert await queue.prune() == 0
    nothing = timedelta(0)
    removed = await database.run(store.prune, succeeded=nothing, others=nothing)

    assert removed == 1
    assert [job.id for job in await queue.list()] == [waiting]
