"""Looks at every running container each ten seconds, and hands what it sees to Postgres, to watchers and to Prometheus."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import aiodocker
import structlog

from appliance.core.clock import now
from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.infra.errors import EngineUnavailableError
from appliance.measurements import store
from appliance.measurements.model import RESOLUTIONS, Sample
from appliance.measurements.spans import difference, floor, together
from appliance.observability.metrics import Metrics
from appliance.runtimes.meters import Reading
from appliance.runtimes.printing import Printer

log = structlog.get_logger(__name__)

STEP = RESOLUTIONS[0].step
MINUTE = RESOLUTIONS[1].step
PRUNE_EVERY = timedelta(hours=1)
#: Samples that wait for one watcher at most.
MAX_WAITING = 60


class Metering(Protocol):
    """Reads what containers have used so far."""

    async def read(self, printers: Sequence[Printer]) -> dict[str, Reading]:
        """Return readings by container id; one that is not due, or has ended, is left out."""
        ...


class Sampler:
    """Takes the samples.

    Args:
        metering: Reads the containers.
        running: Tells which containers run.
        metrics: Told the newest, for Prometheus.
    """

    def __init__(
        self,
        database: Database,
        metering: Metering,
        *,
        running: Callable[[], Iterable[Printer]],
        metrics: Metrics,
    ) -> None:
        """Keep the parts; ``run`` looks."""
        self._database = database
        self._metering = metering
        self._running = running
        self._metrics = metrics
        self._before: dict[str, tuple[float, Reading]] = {}
        self._newest: dict[int, Sample] = {}
        self._watchers: dict[int, set[asyncio.Queue[Sample]]] = defaultdict(set)

    def newest(self, server_id: int) -> Sample | None:
        """Return what a server used just now; ``None``: it does not run."""
        return self._newest.get(server_id)

    async def watch(self, server_id: int) -> AsyncGenerator[Sample]:
        """Yield every new sample of a server, for ever."""
        queue: asyncio.Queue[Sample] = asyncio.Queue(maxsize=MAX_WAITING)
        self._watchers[server_id].add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers[server_id].discard(queue)
            if not self._watchers[server_id]:
                del self._watchers[server_id]

    async def run(self) -> None:
        """Look for ever, at every full ten seconds."""
        while True:
            step_s = STEP.total_seconds()
            await asyncio.sleep(step_s - time.time() % step_s)
            try:
                await self.look()
            except (
                EngineUnavailableError,
                DatabaseUnavailableError,
                aiodocker.DockerError,
            ) as error:
                log.warning("samples_missed", reason=str(error))

    async def look(self) -> None:
        """Take one sample of every server that runs."""
        moment = now()
        at = floor(moment, STEP) - STEP
        samples = self._samples(at, await self._readings())
        self._newest = {item.server_id: item for item in samples}
        self._tell(samples)
        if samples:
            await self._database.run(store.add, samples)
        # The look happens right after a span ended, so a minute that ended did so less than a step ago.
        if moment - floor(moment, MINUTE) < STEP:
            await self._database.run(store.roll_up, moment)
        if moment - floor(moment, PRUNE_EVERY) < STEP:
            await self._database.run(store.prune, moment)

    async def _readings(self) -> list[tuple[Printer, float, Reading]]:
        """Return what every container used since it was read before, and in how many seconds."""
        printers = [item for item in self._running() if item.is_running]
        found = await self._metering.read(printers)
        moment = time.monotonic()
        used = []
        for printer in printers:
            reading = found.get(printer.container_id)
            if reading is None:
                continue
            before = self._before.get(printer.container_id)
            passed = moment - before[0] if before else 0.0
            used.append((printer, passed, difference(before and before[1], reading)))
            self._before[printer.container_id] = (moment, reading)
        known = {item.container_id for item in printers}
        self._before = {key: kept for key, kept in self._before.items() if key in known}
        return used

    def _samples(
        self, at: datetime, used: Iterable[tuple[Printer, float, Reading]]
    ) -> list[Sample]:
        of_server: dict[int, list[Reading]] = defaultdict(list)
        covered: dict[int, float] = defaultdict(float)
        for printer, passed, reading in used:
            of_server[printer.server_id].append(reading)
            covered[printer.server_id] = max(covered[printer.server_id], passed)
        return [
            together(server_id, at, readings, covered_s=covered[server_id])
            for server_id, readings in of_server.items()
        ]

    def _tell(self, samples: Sequence[Sample]) -> None:
        self._metrics.servers_now(
            {
                item.server_id: (item.cpu_percent / 100, item.memory_bytes)
                for item in samples
            }
        )
        for sample in samples:
            for queue in self._watchers.get(sample.server_id, ()):
                # Whoever reads so slowly gets later ones.
                with contextlib.suppress(asyncio.QueueFull):
                    queue.put_nowait(sample)
