"""Works the queue off: claims what is due, keeps its leases, writes what came of each run.

Everything it needs to go on after a crash is in the table. While Postgres is away, jobs that run go on running, and what
came of them is written when it is back.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from peewee import IntegrityError

from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.jobs import leases, store
from appliance.jobs.announcements import announce_progress, announce_state
from appliance.jobs.identity import is_gone, worker_name
from appliance.jobs.leases import RunName
from appliance.jobs.model import Handler, Job, JobState
from appliance.jobs.outcomes import Outcome
from appliance.jobs.run import Run
from appliance.observability.metrics import Metrics

log = structlog.get_logger("jobs.worker")
T = TypeVar("T")

CHANNEL = "jobs"


@dataclass(frozen=True)
class Timing:
    """How patient a worker is, in seconds."""

    #: A worker that is silent for so long has lost its jobs.
    lease_s: float = 10.0
    heartbeat_s: float = 3.0
    #: The longest wait between two looks at the queue; notifications and due times wake it earlier.
    poll_s: float = 3.0
    #: A run that takes longer is worth showing live.
    announce_after_s: float = 0.5
    database_retry_s: float = 0.5
    #: For handlers to end when the worker stops.
    stop_s: float = 10.0


class JobWorker:
    """Runs jobs of the kinds that ``handlers`` names, at most ``concurrency`` at once."""

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, Handler],
        *,
        concurrency: int = 8,
        metrics: Metrics | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Keep the collaborators; nothing runs yet."""
        self._database = database
        self._handlers = dict(handlers)
        self._kinds = sorted(self._handlers)
        self._concurrency = concurrency
        self._metrics = metrics
        self._timing = timing or Timing()
        #: What its leases are signed with; given at the start.
        self.name = ""
        self._runs: dict[int, tuple[Run, asyncio.Task[None]]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._looked_at = float("-inf")
        #: When it last took over what others left.
        self._swept_at = float("-inf")
        #: Since when Postgres has answered without a break; ``None``: it does not.
        self._steady_since: float | None = float("-inf")

    @property
    def running(self) -> int:
        """How many jobs run now."""
        return len(self._runs)

    @property
    def seconds_since_look(self) -> float:
        """How long ago it last looked at the queue; more than a few ``poll_s`` means that it cannot."""
        return time.monotonic() - self._looked_at

    async def start(self) -> None:
        """Begin to work; returns at once."""
        self.name = await asyncio.to_thread(worker_name)
        loops = (self._claim_for_ever, self._keep_for_ever, self._listen_for_ever)
        self._loops = [
            asyncio.create_task(loop(), name=loop.__name__) for loop in loops
        ]

    async def stop(self) -> None:
        """Take nothing more, end what runs and give it back to the queue."""
        self._is_stopping = True
        await _end(self._loops[:1])
        runs = list(self._runs.values())
        for run, _ in runs:
            run.release()
        if runs:
            await asyncio.wait({task for _, task in runs}, timeout=self._timing.stop_s)
        # Leases are kept to the last, or others would take what is still ending.
        await _end([*self._loops[1:], *(task for _, task in runs)])

    async def _unbroken(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Run ``loop`` again whatever breaks it: a hub without its worker would look alive and do nothing."""
        while True:
            try:
                await loop()
            except Exception:
                log.exception("jobs.loop_broke")
                await asyncio.sleep(self._timing.poll_s)

    # -- claiming

    async def _claim_for_ever(self) -> None:
        while True:
            self._wake.clear()
            wait_s = await self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _look(self) -> float:
        """Start what is due and return after how many seconds to look again."""
        free = self._concurrency - len(self._runs)
        try:
            await self._take_over()
            jobs, next_s = await self._database.run(self._claim, free)
        except DatabaseUnavailableError as error:
            self._note_outage(error)
            return self._timing.database_retry_s
        except IntegrityError:
            # Another worker was first in a lane; what it left is there at the next look.
            return 0.0
        self._note_answer()
        self._looked_at = time.monotonic()
        for job in jobs:
            self._begin(job)
        return min(self._timing.poll_s, next_s if next_s is not None else float("inf"))

    def _claim(self, free: int) -> tuple[list[Job], float | None]:
        jobs: list[Job] = []
        if free > 0:
            lease_s = self._timing.lease_s
            jobs = leases.claim(self.name, self._kinds, limit=free, lease_s=lease_s)
        return jobs, leases.seconds_to_next(self._kinds)

    async def _take_over(self) -> None:
        if time.monotonic() - self._swept_at < self._timing.poll_s:
            return
        steady_since = self._steady_since
        if steady_since is None or time.monotonic() - steady_since < self._timing.lease_s:
            # Postgres was away: others could not keep their leases either, and get the time to.
            return
        self._swept_at = time.monotonic()
        named = await self._database.run(leases.workers)
        dead = await asyncio.to_thread(
            lambda: [name for name in named if is_gone(name)]
        )
        taken = await self._database.run(
            leases.take_over, except_ids=list(self._runs), dead_workers=dead
        )
        for job in taken:
            log.warning("job.taken_over", job_id=job.id, kind=job.kind, state=job.state)

    def _begin(self, job: Job) -> None:
        run = Run(job, self._handlers[job.kind], write_progress=self._write_progress)
        task = asyncio.create_task(self._work(run), name=f"job {job.id}")
        self._runs[job.id] = (run, task)

    # -- one run

    async def _work(self, run: Run) -> None:
        announcing = asyncio.create_task(self._announce_if_long(run))
        try:
            outcome = await run.outcome()
            was_long = announcing.done()
            await _end([announcing])
            await self._write(run, outcome, was_announced=was_long)
        except DatabaseUnavailableError:
            log.warning("job.outcome_not_written", job_id=run.job.id)
        except Exception:
            # Its lease runs out, and it is taken over as after a crash.
            log.exception("job.bookkeeping_broke", job_id=run.job.id)
        finally:
            announcing.cancel()
            if self._runs.get(run.job.id, (None, None))[0] is run:
                del self._runs[run.job.id]  # or it runs again already
            self._wake.set()

    async def _write(self, run: Run, outcome: Outcome, *, was_announced: bool) -> None:
        job = None
        if not run.is_lost:
            job = await self._persistently(
                lambda: _finish(run.name, outcome, is_news=was_announced)
            )
        if job is None:
            log.warning("job.lost", job_id=run.job.id, kind=run.job.kind)
        if self._metrics:
            told = "lost" if job is None else _told(outcome)
            self._metrics.job_finished(run.job.kind, told, run.seconds)

    async def _announce_if_long(self, run: Run) -> None:
        await asyncio.sleep(self._timing.announce_after_s)
        with contextlib.suppress(DatabaseUnavailableError):
            await self._database.run(announce_state, run.job)

    async def _write_progress(self, run: Run, progress: Mapping[str, Any]) -> None:
        """Write what the page shows; not worth waiting for, so a Postgres that is away does not hold up the work."""
        with contextlib.suppress(DatabaseUnavailableError):
            await self._database.run(_note_progress, run.name, run.job, progress)

    # -- keeping

    async def _keep_for_ever(self) -> None:
        while True:
            try:
                await self._keep()
                if self._metrics:
                    self._metrics.jobs_now(await self._database.run(store.counts))
            except DatabaseUnavailableError as error:
                self._note_outage(error)
                await asyncio.sleep(self._timing.database_retry_s)
            else:
                await asyncio.sleep(self._timing.heartbeat_s)

    async def _keep(self) -> None:
        """Extend the leases, and end what was cancelled or is another's by now."""
        runs = {job_id: run for job_id, (run, _) in self._runs.items()}
        kept = await self._database.run(
            leases.keep, self.name, list(runs), lease_s=self._timing.lease_s
        )
        for job_id, run in runs.items():
            if job_id not in self._runs:
                continue  # it ended while we asked
            attempt, is_cancelled = kept.get(job_id, (None, False))
            if attempt != run.job.attempt:
                run.lose()
            elif is_cancelled:
                run.cancel()

    async def _listen_for_ever(self) -> None:
        async for _, payload in self._database.listen(CHANNEL):
            # The empty one: whatever came while nobody listened.
            if payload in {"", "cancel"}:
                await self._keep_if_possible()
            if payload in {"", "queued"}:
                self._wake.set()

    async def _keep_if_possible(self) -> None:
        try:
            await self._keep()
        except DatabaseUnavailableError as error:
            self._note_outage(error)

    def _note_outage(self, error: DatabaseUnavailableError) -> None:
        if self._steady_since is not None:
            log.warning("jobs.waiting_for_database", reason=error.reason)
        self._steady_since = None

    def _note_answer(self) -> None:
        if self._steady_since is None:
            log.info("jobs.database_is_back")
            self._steady_since = time.monotonic()

    async def _persistently(self, function: Callable[[], T]) -> T:
        """Run a transaction until it succeeds: what a run did must not be forgotten because Postgres was restarted."""
        while True:
            try:
                return await self._database.run(function)
            except DatabaseUnavailableError as error:
                self._note_outage(error)
                if self._is_stopping:
                    raise
                await asyncio.sleep(self._timing.database_retry_s)
            except IntegrityError:
                # The same work was enqueued between our look and our write; the next look sees it.
                continue


def _finish(name: RunName, outcome: Outcome, *, is_news: bool) -> Job | None:
    job = leases.finish(name, outcome)
    if job is not None and (
        is_news or job.state in {JobState.FAILED, JobState.CANCELLED}
    ):
        announce_state(job)
    return job


def _note_progress(name: RunName, job: Job, progress: Mapping[str, Any]) -> None:
    if leases.write_progress(name, progress):
        announce_progress(job, progress)


def _told(outcome: Outcome) -> str:
    words = {"RunAgain": "again", "Retry": "retried"}
    name = type(outcome).__name__
    return words.get(name, name.lower())


async def _end(tasks: "list[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, DatabaseUnavailableError):
            await task
