"""Works the queue off: claims what is due, keeps its leases, takes over what others left.

Everything it needs to go on after a crash is in the table. While Postgres is away, jobs that run go on running, and what
came of them is written when it is back.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

import structlog
from peewee import IntegrityError

from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.infra.unbroken import unbroken
from appliance.infra.waiting import set_within
from appliance.jobs import leases, store
from appliance.jobs.identity import is_gone, worker_name
from appliance.jobs.model import Handler, Job
from appliance.jobs.outages import Outages
from appliance.jobs.running import Running
from appliance.jobs.timing import Timing
from appliance.observability.metrics import Metrics

__all__ = ["JobWorker", "Timing"]

log = structlog.get_logger("jobs.worker")

CHANNEL = "jobs"


class JobWorker:
    """Runs jobs of the kinds that ``handlers`` names.

    Args:
        concurrency: Jobs at once.
        at_most: Of some kinds, how many of those; what waits for its turn would keep others from theirs.
    """

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, Handler],
        *,
        concurrency: int = 8,
        at_most: Mapping[str, int] | None = None,
        metrics: Metrics | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Keep the collaborators; nothing runs yet."""
        self._database = database
        self._handlers = dict(handlers)
        self._kinds = sorted(self._handlers)
        self._concurrency = concurrency
        self._at_most = dict(at_most or {})
        self._metrics = metrics
        self._timing = timing or Timing()
        self._wake = asyncio.Event()
        self._outages = Outages(database, retry_s=self._timing.database_retry_s)
        self._running = Running(
            database,
            self._outages,
            self._timing,
            metrics=metrics,
            on_end=self._wake.set,
        )
        self._claiming: asyncio.Task[None] | None = None
        self._keeping: list[asyncio.Task[None]] = []
        self._looked_at = float("-inf")
        self._swept_at = float("-inf")
        #: What its leases are signed with; given at the start.
        self.name = ""

    @property
    def running(self) -> int:
        """How many jobs run now."""
        return len(self._running)

    @property
    def seconds_since_look(self) -> float:
        """How long ago it last looked at the queue; more than a few ``poll_s`` means that it cannot."""
        return time.monotonic() - self._looked_at

    async def start(self) -> None:
        """Begin to work; returns at once."""
        self.name = await asyncio.to_thread(worker_name)
        again_s = self._timing.poll_s
        self._claiming = unbroken(
            "jobs-claim", self._claim_for_ever, again_after_s=again_s
        )
        self._keeping = [
            unbroken("jobs-keep", self._keep_for_ever, again_after_s=again_s),
            unbroken("jobs-listen", self._listen_for_ever, again_after_s=again_s),
        ]

    async def stop(self) -> None:
        """Take nothing more, end what runs and give it back to the queue."""
        self._outages.hurry()
        if self._claiming is not None:
            await _end(self._claiming)
        # Leases are kept to the last, or others would take what is still ending.
        await self._running.release_all()
        await _end(*self._keeping)

    # -- claiming

    async def _claim_for_ever(self) -> None:
        while True:
            self._wake.clear()
            wait_s = await self._look()
            await set_within(self._wake, wait_s)

    async def _look(self) -> float:
        """Start what is due and return after how many seconds to look again."""
        try:
            await self._take_over()
            # Counted here: runs end on the event loop, and not while a thread goes through them.
            running = Counter(run.job.kind for run in self._running.runs.values())
            jobs, next_s = await self._database.run(self._claim, running)
        except DatabaseUnavailableError as error:
            self._outages.begin(error)
            return self._timing.database_retry_s
        except IntegrityError:
            # Another worker was first in a lane; what it left is there at the next look.
            return 0.0
        self._outages.end()
        self._looked_at = time.monotonic()
        for job in jobs:
            self._running.begin(job, self._handlers[job.kind])
        return min(self._timing.poll_s, next_s if next_s is not None else float("inf"))

    def _claim(self, running: Counter[str]) -> tuple[list[Job], float | None]:
        free = self._concurrency - running.total()
        unbounded = [kind for kind in self._kinds if kind not in self._at_most]
        rooms = [(unbounded, free)]
        rooms += [([kind], n - running[kind]) for kind, n in self._at_most.items()]
        jobs: list[Job] = []
        for kinds, room in rooms:
            limit = min(room, free - len(jobs))
            if limit > 0:
                lease_s = self._timing.lease_s
                jobs += leases.claim(self.name, kinds, limit=limit, lease_s=lease_s)
        return jobs, leases.seconds_to_next(self._kinds)

    async def _take_over(self) -> None:
        """Give back to the queue what workers left that are gone."""
        if time.monotonic() - self._swept_at < self._timing.poll_s:
            return
        if not self._outages.has_answered_for(self._timing.lease_s):
            # Postgres was away: others could not keep their leases either, and get the time to.
            return
        self._swept_at = time.monotonic()
        named = await self._database.run(leases.workers)
        gone = await asyncio.to_thread(
            lambda: [name for name in named if is_gone(name)]
        )
        taken = await self._database.run(
            leases.take_over, except_ids=list(self._running.runs), dead_workers=gone
        )
        for job in taken:
            log.warning("job.taken_over", job_id=job.id, kind=job.kind, state=job.state)

    # -- keeping

    async def _keep_for_ever(self) -> None:
        while True:
            is_kept = await self._keep()
            timing = self._timing
            await asyncio.sleep(
                timing.heartbeat_s if is_kept else timing.database_retry_s
            )

    async def _keep(self) -> bool:
        """Extend the leases, end what was cancelled or is another's by now; return whether Postgres answered."""
        runs = self._running.runs
        lease_s = self._timing.lease_s
        try:
            kept = await self._database.run(
                leases.keep, self.name, list(runs), lease_s=lease_s
            )
            if self._metrics:
                self._metrics.jobs_now(await self._database.run(store.counts))
        except DatabaseUnavailableError as error:
            self._outages.begin(error)
            return False
        for job_id, run in runs.items():
            attempt, is_cancelled = kept.get(job_id, (None, False))
            if attempt != run.job.attempt:
                run.lose()  # or it has ended while we asked, and nobody minds
            elif is_cancelled:
                run.cancel()
        return True

    async def _listen_for_ever(self) -> None:
        async for _, payload in self._database.listen(CHANNEL):
            # The empty one: whatever came while nobody listened.
            if payload in {"", "cancel"}:
                await self._keep()
            if payload in {"", "queued"}:
                self._wake.set()


async def _end(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
