"""What a job is, and what its handler sees and says."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_finished(self) -> bool:
        """Whether nothing more happens unless somebody asks for it."""
        return self not in {JobState.QUEUED, JobState.RUNNING}


@dataclass(frozen=True)
class Job:
    """One piece of work, as its row says."""

    id: int
    #: Names the handler: ``servers.reconcile``.
    kind: str
    payload: Mapping[str, Any]
    #: Jobs of one lane run one after another; ``None``: beside all others.
    lane: str | None
    state: JobState
    #: Lower runs first.
    priority: int
    #: Runs started so far.
    attempt: int
    max_attempts: int
    #: Not before this.
    run_at: datetime
    worker: str | None
    lease_until: datetime | None
    cancel_requested: bool
    #: ``done``, ``total`` and ``message``, as far as they are known.
    progress: Mapping[str, Any]
    #: What went wrong in the last run that failed.
    error: str | None
    request_id: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class Schedule:
    """One entry of the clock, as its row says."""

    name: str
    #: Seconds between two starts.
    every_s: float
    last_started_at: datetime | None
    last_finished_at: datetime | None
    last_error: str | None
    next_run_at: datetime | None
    runs: int
    #: Starts that were due and did not happen: nobody led the clock, or the run before took too long.
    missed: int


@dataclass(frozen=True)
class Again:
    """A handler's answer: this went well, run the same job again after so many seconds."""

    after_s: float = 0.0


#: Takes ``done``, ``total`` (``None``: not known) and a message.
Report = Callable[[float, float | None, str], Awaitable[None]]


@dataclass(frozen=True)
class JobContext:
    """What a handler may know of its run."""

    job: Job
    report: Report = field(repr=False)

    async def progress(
        self, done: float, total: float | None = None, message: str = ""
    ) -> None:
        """Show how far the work is. Cheap to call often: what comes too fast is not written."""
        await self.report(done, total, message)


class Handler(Protocol):
    """Does one kind of job.

    It may be run again after a crash at any line, so it looks at what is there before it does anything. It is cancelled by
    an ordinary ``asyncio.CancelledError``.
    """

    async def __call__(
        self, context: JobContext, payload: Mapping[str, Any], /
    ) -> Again | None:
        """Do the work; ``Again`` asks for another run of the same job.

        Raises:
            RetryLaterError: Try again after its delay.
            UnavailableError: Try again, each time later.
            DomainError: This fails, and would fail again.
            Exception: A fault; try again, each time later.
        """
