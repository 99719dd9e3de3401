"""The queue as others see it: enqueue within a transaction, look, cancel, retry."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from appliance.infra.database import Database
from appliance.jobs import store
from appliance.jobs.model import Job, JobState, Schedule
from appliance.jobs.store import cancel_running_in_lane
from appliance.observability.logs import current

__all__ = ["JobQueue", "cancel_running_in_lane", "enqueue"]

#: How long finished jobs are kept.
KEEP_SUCCEEDED = timedelta(days=2)
KEEP_OTHERS = timedelta(days=30)


def enqueue(  # noqa: PLR0913 - every one names a column of the job
    kind: str,
    payload: Mapping[str, Any],
    *,
    lane: str | None = None,
    run_at: datetime | None = None,
    priority: int = 0,
    max_attempts: int = 5,
    request_id: str = "",
) -> int:
    """Queue a job when, and only when, the caller's transaction commits; runs inside ``database.run``.

    Where the same kind waits in the same lane already, that job is taken instead, at the earlier time and with the newer
    payload: a job in a lane says "look again", and need not say it twice.

    Args:
        lane: Jobs of one lane run one after another; one enqueued while another runs waits for it.
        run_at: Not before this; ``None``: at once.
        priority: Lower runs first.
        max_attempts: Runs until a job that keeps failing is given up.
        request_id: What caused it; the request's own id unless given.

    Returns:
        The id of the job that will do the work.
    """
    return store.add(
        kind,
        payload,
        lane=lane,
        run_at=run_at,
        priority=priority,
        max_attempts=max_attempts,
        request_id=request_id or current("request_id"),
    )


class JobQueue:
    """The queue for those who are not in a transaction."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def enqueue(
        self, kind: str, payload: Mapping[str, Any], **options: Any
    ) -> int:
        """Queue a job in a transaction of its own; see ``enqueue``."""
        return await self._database.run(enqueue, kind, payload, **options)

    async def list(
        self,
        *,
        state: JobState | None = None,
        kind: str | None = None,
        lane: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """Return jobs, newest first; ``before`` (a job's id) is the cursor."""
        return await self._database.run(
            store.page, state=state, kind=kind, lane=lane, before=before, limit=limit
        )

    async def get(self, job_id: int) -> Job:
        """Return one job.

        Raises:
            JobNotFoundError: There is none of this id.
        """
        return await self._database.run(store.get, job_id)

    async def cancel(self, job_id: int) -> Job:
        """End a job that waits, and ask for the end of one that runs, which follows within moments.

        Raises:
            JobNotFoundError: There is none of this id.
            JobFinishedError: It has ended.
        """
        return await self._database.run(store.cancel, job_id)

    async def retry(self, job_id: int) -> Job:
        """Queue a finished job anew, with all its attempts.

        Raises:
            JobNotFoundError: There is none of this id.
            JobNotFinishedError: It waits or runs.
            JobWaitsAlreadyError: The same work waits in its lane.
        """
        return await self._database.run(store.retry, job_id)

    async def schedules(self) -> Sequence[Schedule]:
        """Return the clock's entries by name."""
        return await self._database.run(store.schedules)

    async def prune(self) -> int:
        """Remove what ended long ago; return how many jobs went."""
        return await self._database.run(
            store.prune, succeeded=KEEP_SUCCEEDED, others=KEEP_OTHERS
        )
