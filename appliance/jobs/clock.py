"""Periodic work: APScheduler in one process at a time, with a memory in Postgres.

Entries are few, short and idempotent; what takes long enqueues a job. They live in code, so the scheduler keeps none of its
own: the ``schedules`` table says when each ran, and a new leader goes on from there.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from appliance.core.clock import WallClock, now
from appliance.core.errors import DomainError
from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.jobs import schedule_store
from appliance.jobs.leadership import Leadership, lead
from appliance.observability.metrics import Metrics

log = structlog.get_logger("jobs.clock")

Entry = Callable[[], Awaitable[object]]

#: Seconds between two attempts to lead, and between two checks that we still do.
TRY_EVERY_S = 2.0
CHECK_EVERY_S = 5.0
#: Seconds between two looks at whether the wall clock was set.
SET_EVERY_S = 1.0
#: A start that is later than this many seconds is left out; APScheduler's own default of one second loses starts
#: whenever the loop is busy for a moment.
GRACE_S = 300
#: An entry that runs more often is written down only so often: its rows would cost more than its work.
NOTE_EVERY_S = 10.0


@dataclass(frozen=True)
class _Entry:
    name: str
    every: timedelta
    run: Entry


@dataclass
class _Note:
    """What was written down of an entry last."""

    at: float = float("-inf")
    error: str | None = None
    #: Begun since then.
    runs: int = 0

    def is_due(self, every: timedelta) -> bool:
        if every.total_seconds() >= NOTE_EVERY_S:
            return True
        return time.monotonic() - self.at >= NOTE_EVERY_S


class Clock:
    """Runs registered functions every so often, in the one process that leads."""

    def __init__(
        self,
        database: Database,
        *,
        metrics: Metrics | None = None,
        wall_clock: WallClock | None = None,
    ) -> None:
        """Keep the collaborators; nothing ticks yet."""
        self._database = database
        self._metrics = metrics
        self._entries: dict[str, _Entry] = {}
        self._leading: asyncio.Task[None] | None = None
        self._scheduler: AsyncIOScheduler | None = None
        self._wall_clock = wall_clock or WallClock()
        self._running: set[asyncio.Task[None]] = set()
        self._notes: dict[str, _Note] = {}
        #: Whether this process leads.
        self.is_leader = False

    def every(self, seconds: float, name: str, run: Entry) -> None:
        """Register ``run`` to be started every ``seconds``, under a name that people see; before ``start``."""
        if name in self._entries:
            raise ValueError(f"the clock has an entry named {name} already")
        self._entries[name] = _Entry(name, timedelta(seconds=seconds), run)

    async def start(self) -> None:
        """Begin to try to lead; returns at once."""
        self._leading = asyncio.create_task(self._lead_for_ever(), name="clock")

    async def stop(self) -> None:
        """Stop, let another lead, and end what runs."""
        if self._leading is not None:
            self._leading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._leading

    async def _lead_for_ever(self) -> None:
        while True:
            try:
                async with lead(self._database) as leadership:
                    if leadership is not None:
                        await self._tick_until_lost(leadership)
            except DatabaseUnavailableError as error:
                log.warning("clock.waiting_for_database", reason=error.reason)
            except Exception:
                log.exception("clock.broke")
            await asyncio.sleep(TRY_EVERY_S)

    async def _tick_until_lost(self, leadership: Leadership) -> None:
        ends = [
            asyncio.create_task(self._tick_for_ever()),
            asyncio.create_task(leadership.lost(check_every_s=CHECK_EVERY_S)),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
            outcomes = await asyncio.gather(*ends, return_exceptions=True)
            self._set_leader(is_leader=False)
            await self._end_running()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _tick_for_ever(self) -> None:
        """Tick, and begin anew when the wall clock is set: the scheduler goes by it, and would wait for hours."""
        while True:
            scheduler = self._scheduler = await self._scheduled()
            scheduler.start()
            self._set_leader(is_leader=True)
            try:
                while not (moved_s := self._wall_clock.moved_s()):  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(SET_EVERY_S)
                log.warning("clock.was_set", by_s=round(moved_s))
            finally:
                scheduler.shutdown(wait=False)
                self._scheduler = None

    async def _scheduled(self) -> AsyncIOScheduler:
        rhythms = {entry.name: entry.every for entry in self._entries.values()}
        starts = await self._database.run(schedule_store.begin, rhythms, now())
        scheduler = self._make_scheduler()
        for entry in self._entries.values():
            start = starts[entry.name].at
            trigger = IntervalTrigger(
                seconds=entry.every.total_seconds(), start_date=start, timezone="UTC"
            )
            scheduler.add_job(
                self._tick, trigger, args=[entry], id=entry.name, next_run_time=start
            )
        return scheduler

    def _make_scheduler(self) -> AsyncIOScheduler:
        # Its own chatter goes to the log through the standard library; starts and ends are told here, with their names.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        scheduler = AsyncIOScheduler(
            timezone="UTC",
            executors={"default": AsyncIOExecutor()},
            job_defaults={
                "coalesce": True,
                "max_instances": 1,
                "misfire_grace_time": GRACE_S,
            },
        )
        scheduler.add_listener(
            self._note_missed, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES
        )
        return scheduler

    async def _tick(self, entry: _Entry) -> None:
        # A task of our own: the scheduler's shutdown cancels its tasks and logs a traceback for each.
        task = asyncio.create_task(self._run(entry), name=f"clock {entry.name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})

    async def _run(self, entry: _Entry) -> None:
        error: str | None = None
        note = self._notes.setdefault(entry.name, _Note())
        note.runs += 1
        is_noted = note.is_due(entry.every)
        try:
            if is_noted:
                await self._database.run(
                    schedule_store.note_start,
                    entry.name,
                    now(),
                    self._next_start(entry),
                    runs=note.runs,
                )
                note.runs = 0
            await entry.run()
        except DomainError as refused:
            error = refused.reason
            log.warning("clock.entry_failed", name=entry.name, reason=error)
        except Exception as fault:
            error = f"{type(fault).__name__}: {fault}"
            log.exception("clock.entry_broke", name=entry.name)
        if self._metrics:
            self._metrics.clock_run(entry.name, "failed" if error else "succeeded")
        if not is_noted and error == note.error:
            return
        note.at, note.error = time.monotonic(), error
        with contextlib.suppress(DatabaseUnavailableError):
            await self._database.run(schedule_store.note_end, entry.name, now(), error)

    def _next_start(self, entry: _Entry) -> datetime | None:
        job = self._scheduler.get_job(entry.name) if self._scheduler else None
        return job.next_run_time if job else None

    def _note_missed(self, event: JobEvent) -> None:
        log.warning("clock.entry_missed", name=event.job_id)
        if self._metrics:
            self._metrics.clock_missed(event.job_id)
        task = asyncio.create_task(self._count_missed(event.job_id))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _count_missed(self, name: str) -> None:
        with contextlib.suppress(DatabaseUnavailableError):
            await self._database.run(schedule_store.note_missed, name)

    def _set_leader(self, *, is_leader: bool) -> None:
        self.is_leader = is_leader
        log.info("clock.leads" if is_leader else "clock.stopped_leading")
        if self._metrics:
            self._metrics.clock_leads(leads=is_leader)

    async def _end_running(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
