"""A worker's own queries: claim, keep, give back, finish. Every function runs inside ``database.run``.

A run is named by job, worker and attempt together. Each write says which run it speaks for, and changes nothing when the
job has been given to another: a worker that was cut off cannot overwrite what its successor does.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peewee import SQL, Expression, fn

from appliance.jobs.model import Job, JobState
from appliance.jobs.outcomes import (
    Cancelled,
    Failed,
    Outcome,
    Released,
    Retry,
    RunAgain,
    Succeeded,
)
from appliance.jobs.store import NOW, job_of
from appliance.jobs.tables import JobRow

_CLAIM = """
WITH next AS (
    SELECT id FROM jobs AS waiting
    WHERE state = 'queued' AND run_at <= now() AND kind = ANY(%s)
      AND (lane IS NULL OR NOT EXISTS (
          -- Something of the lane runs, or was there before.
          SELECT FROM jobs AS other
          WHERE other.lane = waiting.lane AND (
              other.state = 'running'
              OR other.state = 'queued' AND other.run_at <= now()
                 AND (other.priority, other.id) < (waiting.priority, waiting.id))))
    ORDER BY priority, run_at, id
    LIMIT %s
    FOR UPDATE SKIP LOCKED
)
UPDATE jobs SET state = 'running', attempt = attempt + 1, worker = %s,
    lease_until = now() + make_interval(secs => %s), started_at = now(), progress = '{}'
FROM next WHERE jobs.id = next.id
RETURNING jobs.*
"""

LOST_WORKER = "The worker that ran this is gone."


@dataclass(frozen=True)
class RunName:
    """Which run of which job a worker speaks for."""

    job_id: int
    worker: str
    attempt: int


def claim(
    worker: str, kinds: Sequence[str], *, limit: int, lease_s: float
) -> list[Job]:
    """Take up to ``limit`` jobs that are due, the most urgent first, at most one a lane.

    Raises:
        peewee.IntegrityError: Another worker took one of the lanes in the same moment; nothing was taken.
    """
    rows = JobRow.raw(_CLAIM, list(kinds), limit, worker, lease_s)
    return sorted((job_of(row) for row in rows), key=lambda job: (job.priority, job.id))


def seconds_to_next(kinds: Sequence[str]) -> float | None:
    """Return the seconds until the next job that is not due yet, or ``None`` when there is none."""
    is_later = (JobRow.state == SQL("'queued'")) & (JobRow.run_at > NOW)
    wait = SQL("extract(epoch FROM min(run_at) - now())::float8")
    rows = JobRow.select(wait).where(is_later, JobRow.kind.in_(list(kinds)))
    found: float | None = rows.scalar()
    return found


def keep(
    worker: str, job_ids: Collection[int], *, lease_s: float
) -> dict[int, tuple[int, bool]]:
    """Extend the leases of ``worker``'s jobs.

    Returns:
        Job id to (attempt, whether its end was asked for) of those that are still its own.
    """
    if not job_ids:
        return {}
    rows = (
        JobRow.update(lease_until=_in(lease_s))
        .where(
            JobRow.id.in_(list(job_ids)),
            JobRow.worker == worker,
            JobRow.state == JobState.RUNNING.value,
        )
        .returning(JobRow.id, JobRow.attempt, JobRow.cancel_requested)
        .execute()
    )
    return {row.id: (row.attempt, row.cancel_requested) for row in rows}


def write_progress(run: RunName, progress: Mapping[str, Any]) -> bool:
    """Write how far the run is; return whether it is still this worker's."""
    changed = JobRow.update(progress=dict(progress)).where(_is(run)).execute()
    return bool(changed)


def finish(run: RunName, outcome: Outcome) -> Job | None:
    """Write what became of the run; ``None``: the job is another's by now, and nothing was changed.

    Raises:
        peewee.IntegrityError: The same work was enqueued in this very moment; call again.
    """
    row = JobRow.select().where(_is(run)).for_update().first()
    if row is None:
        return None
    _settle(row, outcome)
    return job_of(JobRow.get_by_id(run.job_id))


def take_over(
    *, except_ids: Collection[int], dead_workers: Collection[str] = ()
) -> list[Job]:
    """Give back what workers left behind, and return these jobs as they are now.

    Args:
        except_ids: Jobs that the caller runs itself, whatever their leases say.
        dead_workers: Workers known to be gone, whose leases need not be waited for.

    Raises:
        peewee.IntegrityError: The same work was enqueued in this very moment; call again.
    """
    is_left = (JobRow.lease_until < NOW) | JobRow.worker.in_(list(dead_workers))
    rows = (
        JobRow.select()
        .where(
            JobRow.state == JobState.RUNNING.value,
            is_left,
            JobRow.id.not_in(list(except_ids)),
        )
        .for_update(skip_locked=True)
    )
    found = list(rows)
    for row in found:
        is_last = row.attempt >= row.max_attempts
        _settle(row, Failed(LOST_WORKER) if is_last else Retry(0, LOST_WORKER))
    return [job_of(JobRow.get_by_id(row.id)) for row in found]


def workers() -> list[str]:
    """Return the workers that jobs are leased to."""
    running = JobRow.state == JobState.RUNNING.value
    rows = JobRow.select(JobRow.worker).where(running).distinct()
    return [row.worker for row in rows if row.worker]


def _settle(row: JobRow, outcome: Outcome) -> None:
    if row.cancel_requested and isinstance(outcome, RunAgain | Retry | Released):
        outcome = Cancelled()
    match outcome:
        case Succeeded():
            _end(row, JobState.SUCCEEDED)
        case Failed(error):
            _end(row, JobState.FAILED, error)
        case Cancelled():
            _end(row, JobState.CANCELLED)
        case RunAgain(after_s):
            _requeue(row, after_s, attempt=0, error=None, instead=JobState.SUCCEEDED)
        case Retry(after_s, error):
            _requeue(
                row, after_s, attempt=row.attempt, error=error, instead=JobState.FAILED
            )
        case Released():
            _requeue(
                row,
                0,
                attempt=row.attempt - 1,
                error=row.error,
                instead=JobState.CANCELLED,
            )


def _end(row: JobRow, state: JobState, error: str | None = None) -> None:
    _change(row, state=state.value, error=error, finished_at=NOW)


def _requeue(
    row: JobRow, after_s: float, *, attempt: int, error: str | None, instead: JobState
) -> None:
    """Let the job wait again, or end it in ``instead`` when the same work waits in its lane already."""
    waiting = JobRow.update(run_at=fn.LEAST(JobRow.run_at, _in(after_s))).where(
        JobRow.kind == row.kind,
        JobRow.lane == row.lane,
        JobRow.state == JobState.QUEUED.value,
    )
    if row.lane is not None and waiting.execute():
        _end(row, instead, error)
        return
    _change(
        row,
        state=JobState.QUEUED.value,
        run_at=_in(after_s),
        attempt=attempt,
        error=error,
    )


def _change(row: JobRow, **changes: Any) -> None:
    cleared = {"worker": None, "lease_until": None}
    JobRow.update(changes | cleared).where(JobRow.id == row.id).execute()


def _is(run: RunName) -> Expression:
    return (
        (JobRow.id == run.job_id)
        & (JobRow.worker == run.worker)
        & (JobRow.attempt == run.attempt)
        & (JobRow.state == JobState.RUNNING.value)
    )


def _in(seconds: float) -> SQL:
    return SQL("now() + make_interval(secs => %s)", (seconds,))
