"""The jobs that run in this process: from the claim to the outcome in the table."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.jobs import leases
from appliance.jobs.announcements import announce_progress, announce_state
from appliance.jobs.leases import RunName
from appliance.jobs.model import Handler, Job, JobState
from appliance.jobs.outages import Outages
from appliance.jobs.outcomes import Outcome
from appliance.jobs.run import Run
from appliance.jobs.timing import Timing
from appliance.observability.metrics import Metrics

log = structlog.get_logger("jobs.worker")


class Running:
    """Every run of this process, each in a task of its own."""

    def __init__(
        self,
        database: Database,
        outages: Outages,
        timing: Timing,
        *,
        metrics: Metrics | None,
        on_end: Callable[[], None],
    ) -> None:
        """Keep the collaborators; nothing runs yet."""
        self._database = database
        self._outages = outages
        self._timing = timing
        self._metrics = metrics
        self._on_end = on_end
        self._runs: dict[int, tuple[Run, asyncio.Task[None]]] = {}

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def runs(self) -> dict[int, Run]:
        """Job id to its run, as of now."""
        return {job_id: run for job_id, (run, _) in self._runs.items()}

    def begin(self, job: Job, handler: Handler) -> None:
        """Run a job that was claimed."""
        run = Run(job, handler, write_progress=self._write_progress)
        task = asyncio.create_task(self._work(run), name=f"job {job.id}")
        self._runs[job.id] = (run, task)

    async def release_all(self) -> None:
        """End every handler and give its job back to the queue; those that do not end are left to their leases."""
        found = list(self._runs.values())
        for run, _ in found:
            run.release()
        tasks = {task for _, task in found}
        if tasks:
            await asyncio.wait(tasks, timeout=self._timing.stop_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, run: Run) -> None:
        announcing = asyncio.create_task(self._announce_if_long(run))
        try:
            outcome = await run.outcome()
            # What is being told is told to its end, so that the end is told after it.
            was_announced = run.seconds > self._timing.announce_after_s
            if was_announced:
                await announcing
            await self._write(run, outcome, was_announced=was_announced)
        except DatabaseUnavailableError:
            log.warning("job.outcome_not_written", job_id=run.job.id)
        except Exception:
            # Its lease runs out, and it is taken over as after a crash.
            log.exception("job.bookkeeping_broke", job_id=run.job.id)
        finally:
            announcing.cancel()
            if self.runs.get(run.job.id) is run:
                del self._runs[run.job.id]  # or it runs again already
            self._on_end()

    async def _write(self, run: Run, outcome: Outcome, *, was_announced: bool) -> None:
        job = None
        if not run.is_lost:
            job = await self._outages.persistently(
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


def _finish(name: RunName, outcome: Outcome, *, is_news: bool) -> Job | None:
    job = leases.finish(name, outcome)
    if job and (is_news or job.state in {JobState.FAILED, JobState.CANCELLED}):
        announce_state(job)
    return job


def _note_progress(name: RunName, job: Job, progress: Mapping[str, Any]) -> None:
    if leases.write_progress(name, progress):
        announce_progress(job, progress)


def _told(outcome: Outcome) -> str:
    words = {"RunAgain": "again", "Retry": "retried"}
    name = type(outcome).__name__
    return words.get(name, name.lower())
