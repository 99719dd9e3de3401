"""What people and other rooms do with jobs: enqueue, look, cancel, retry. Every function runs inside ``database.run``.

Times are the database's: workers on boxes whose clocks differ still agree on what is due.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from peewee import EXCLUDED, SQL, IntegrityError, fn

from appliance.jobs.errors import (
    JobFinishedError,
    JobNotFinishedError,
    JobNotFoundError,
    JobWaitsAlreadyError,
)
from appliance.jobs.model import Job, JobState, Schedule
from appliance.jobs.tables import JobRow, ScheduleRow

NOW = SQL("now()")


def add(  # noqa: PLR0913 - every one names a column of the job
    kind: str,
    payload: Mapping[str, Any],
    *,
    lane: str | None,
    run_at: datetime | None,
    priority: int,
    max_attempts: int,
    request_id: str,
) -> int:
    """Insert a job and return its id.

    Where the same kind waits in the same lane already, that job is taken instead: it runs at the earlier of both times,
    with the newer payload.
    """
    values = {
        "kind": kind,
        "payload": dict(payload),
        "lane": lane,
        "run_at": run_at or NOW,
        "priority": priority,
        "max_attempts": max_attempts,
        "request_id": request_id,
    }
    unset = {
        "state": JobState.QUEUED.value,
        "attempt": 0,
        "cancel_requested": False,
        "progress": {},
        "created_at": NOW,
    }
    merged = {
        "payload": EXCLUDED.payload,
        "run_at": fn.LEAST(JobRow.run_at, EXCLUDED.run_at),
        "priority": fn.LEAST(JobRow.priority, EXCLUDED.priority),
    }
    (row,) = (
        JobRow.insert(**values, **unset)
        .on_conflict(
            conflict_target=[JobRow.kind, JobRow.lane],
            conflict_where=(JobRow.state == SQL("'queued'"))
            & JobRow.lane.is_null(is_null=False),
            update=merged,
        )
        .returning(JobRow.id)
        .execute()
    )
    return int(row.id)


def get(job_id: int) -> Job:
    """Return one job.

    Raises:
        JobNotFoundError: There is none of this id.
    """
    row = JobRow.get_or_none(JobRow.id == job_id)
    if row is None:
        raise JobNotFoundError(f"There is no job {job_id}.")
    return job_of(row)


def page(
    *,
    state: JobState | None = None,
    kind: str | None = None,
    lane: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Job]:
    """Return jobs, newest first.

    Args:
        before: Only those older than the job of this id: the cursor.
    """
    wanted = {JobRow.kind: kind, JobRow.lane: lane, JobRow.state: state}
    rows = JobRow.select()
    for column, value in wanted.items():
        if value is not None:
            rows = rows.where(column == str(value))
    if before is not None:
        rows = rows.where(JobRow.id < before)
    return [job_of(row) for row in rows.order_by(JobRow.id.desc()).limit(limit)]


def cancel(job_id: int) -> Job:
    """End a job that waits at once, and ask for the end of one that runs.

    Raises:
        JobNotFoundError: There is none of this id.
        JobFinishedError: It has ended.
    """
    row = _locked(job_id)
    match JobState(row.state):
        case JobState.QUEUED:
            _set(job_id, state=JobState.CANCELLED.value, finished_at=NOW)
        case JobState.RUNNING:
            _set(job_id, cancel_requested=True)
        case ended:
            raise JobFinishedError(f"Job {job_id} has {ended.value} already.")
    return get(job_id)


def cancel_running_in_lane(lane: str) -> None:
    """Ask for the end of what runs in ``lane`` now; what waits there stays."""
    JobRow.update(cancel_requested=True).where(
        JobRow.lane == lane, JobRow.state == JobState.RUNNING.value
    ).execute()


def retry(job_id: int) -> Job:
    """Queue a finished job anew, with all its attempts.

    Raises:
        JobNotFoundError: There is none of this id.
        JobNotFinishedError: It waits or runs.
        JobWaitsAlreadyError: The same work waits in its lane.
    """
    row = _locked(job_id)
    if not JobState(row.state).is_finished:
        raise JobNotFinishedError(f"Job {job_id} is {row.state}.")
    try:
        _set(
            job_id,
            state=JobState.QUEUED.value,
            attempt=0,
            run_at=NOW,
            cancel_requested=False,
            progress={},
            error=None,
            finished_at=None,
        )
    except IntegrityError as error:
        raise JobWaitsAlreadyError(
            f"The same work waits in {row.lane} already."
        ) from error
    return get(job_id)


def prune(*, succeeded: timedelta, others: timedelta) -> int:
    """Remove finished jobs of these ages and return how many went."""
    is_success = JobRow.state == JobState.SUCCEEDED.value
    age = NOW - JobRow.finished_at
    old = (is_success & (age > succeeded)) | (age > others)
    is_finished = JobRow.finished_at.is_null(is_null=False)
    return int(JobRow.delete().where(is_finished & old).execute())


def counts() -> dict[tuple[str, str], int]:
    """Return how many jobs wait and run: ``(kind, state)`` to a number."""
    # Written out, so that the two partial indexes serve and finished jobs are never read.
    rows: Any = (
        JobRow.select(JobRow.kind, JobRow.state, fn.COUNT(JobRow.id).alias("number"))
        .where(SQL("state = 'queued'") | SQL("state = 'running'"))
        .group_by(JobRow.kind, JobRow.state)
        .namedtuples()
    )
    return {(row.kind, row.state): row.number for row in rows}


def schedules() -> list[Schedule]:
    """Return the clock's entries by name."""
    return [
        Schedule(
            name=row.name,
            every_s=row.every_s,
            last_started_at=row.last_started_at,
            last_finished_at=row.last_finished_at,
            last_error=row.last_error,
            next_run_at=row.next_run_at,
            runs=row.runs,
            missed=row.missed,
        )
        for row in ScheduleRow.select().order_by(ScheduleRow.name)
    ]


def job_of(row: JobRow) -> Job:
    """Return the job that ``row`` describes."""
    return Job(
        id=row.id,
        kind=row.kind,
        payload=row.payload,
        lane=row.lane,
        state=JobState(row.state),
        priority=row.priority,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        run_at=row.run_at,
        worker=row.worker,
        lease_until=row.lease_until,
        cancel_requested=row.cancel_requested,
        progress=row.progress,
        error=row.error,
        request_id=row.request_id,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _set(job_id: int, **changes: Any) -> None:
    JobRow.update(changes).where(JobRow.id == job_id).execute()


def _locked(job_id: int) -> JobRow:
    row: JobRow | None = JobRow.select().where(JobRow.id == job_id).for_update().first()
    if row is None:
        raise JobNotFoundError(f"There is no job {job_id}.")
    return row
