"""One run of one job: calls the handler, and tells what came of it."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from appliance.jobs.leases import RunName
from appliance.jobs.model import Again, Handler, Job, JobContext
from appliance.jobs.outcomes import (
    Cancelled,
    Outcome,
    Released,
    Retry,
    RunAgain,
    Succeeded,
    after_error,
)

log = structlog.get_logger("jobs.run")

#: Seconds between two progress notes that are written.
PROGRESS_EVERY_S = 0.5

WriteProgress = Callable[["Run", Mapping[str, Any]], Awaitable[None]]


class Run:
    """A job that this process works on."""

    def __init__(
        self, job: Job, handler: Handler, *, write_progress: WriteProgress
    ) -> None:
        """Keep the job; nothing runs yet."""
        self.job = job
        self._handler = handler
        self._write_progress = write_progress
        self._task: asyncio.Task[Again | None] | None = None
        self._stopped_by: Outcome | None = None
        #: Another worker has the job: nothing may be written of this run.
        self.is_lost = False
        self._progress_at = float("-inf")
        self._started = time.monotonic()

    @property
    def name(self) -> RunName:
        """What this run's writes are signed with."""
        return RunName(self.job.id, self.job.worker or "", self.job.attempt)

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._started

    def cancel(self) -> None:
        """End the handler because somebody asked for it."""
        self._stop(Cancelled())

    def release(self) -> None:
        """End the handler because this worker stops; the job goes to the next."""
        self._stop(Released())

    def lose(self) -> None:
        """End the handler because the job is another's by now."""
        self.is_lost = True
        self._stop(Released())

    async def outcome(self) -> Outcome:
        """Run the handler to its end and return what came of it; never raises."""
        with bound_contextvars(
            job_id=self.job.id,
            job_kind=self.job.kind,
            request_id=self.job.request_id,
        ):
            log.debug("job.started", attempt=self.job.attempt, lane=self.job.lane)
            found = await self._call()
            fields = {"duration_ms": round(self.seconds * 1000, 1)}
            if isinstance(found, Retry):
                fields["retry_in_s"] = round(found.after_s, 1)
            log.debug("job.ended", outcome=type(found).__name__, **fields)
            return found

    async def _call(self) -> Outcome:
        context = JobContext(self.job, self._report)
        self._task = asyncio.ensure_future(self._handler(context, self.job.payload))
        if self._stopped_by is not None:
            self._task.cancel()
        # The handler runs in a task of its own, so that its end never ends the worker.
        await asyncio.wait({self._task})
        return self._read(self._task)

    def _read(self, task: "asyncio.Task[Again | None]") -> Outcome:
        if task.cancelled():
            return self._stopped_by or Cancelled()
        error = task.exception()
        if error is None:
            answer = task.result()
            return Succeeded() if answer is None else RunAgain(answer.after_s)
        if self._stopped_by is not None:
            # What breaks while it is being ended was ended.
            log.debug("job.broke_while_ending", error=str(error))
            return self._stopped_by
        return self._after(error)

    def _after(self, error: BaseException) -> Outcome:
        if not isinstance(error, Exception):
            raise error
        found = after_error(
            error,
            attempt=self.job.attempt,
            max_attempts=self.job.max_attempts,
            spread=random.random(),  # noqa: S311 - spreads retries, guards nothing
        )
        is_told = getattr(error, "reason", None)
        if is_told is None:
            log.error("job.fault", attempt=self.job.attempt, exc_info=error)
        else:
            log.warning("job.failed", attempt=self.job.attempt, reason=is_told)
        return found

    def _stop(self, outcome: Outcome) -> None:
        if self._stopped_by is None:
            self._stopped_by = outcome
            if self._task is not None:
                self._task.cancel()

    async def _report(self, done: float, total: float | None, message: str) -> None:
        is_last = total is not None and done >= total
        if not is_last and time.monotonic() - self._progress_at < PROGRESS_EVERY_S:
            return
        self._progress_at = time.monotonic()
        known = {"done": done, "total": total, "message": message}
        await self._write_progress(self, known)
