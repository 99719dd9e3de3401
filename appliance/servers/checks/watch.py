"""Asks every server when it is its turn: one look a second at what is due, and no more than so many checks at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from appliance.core.clock import WallClock, now
from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.jobs.queue import enqueue
from appliance.observability.events import publish_in_transaction
from appliance.servers.checks import due as dues
from appliance.servers.checks.check import Checker
from appliance.servers.checks.due import Due
from appliance.servers.health import store as health_store
from appliance.servers.health.model import Health, HealthState
from appliance.servers.health.verdict import Finding, verdict
from appliance.servers.service import RECONCILE, lane_of

log = structlog.get_logger("servers.health")

#: Seconds between two looks at what is due.
EVERY_S = 1.0
#: Checks at once. One that waits for an answer costs nothing; this bounds what the gateway is asked at the same moment.
AT_ONCE = 64


@dataclass(frozen=True)
class Result:
    """One check that is over, and what was made of it."""

    due: Due
    found: Finding
    health: Health

    @property
    def is_news(self) -> bool:
        """Whether people, or the reconciler, are to be told."""
        before, after = self.due.health, self.health
        has_changed = (before.state, before.reason) != (after.state, after.reason)
        contradicts = {
            HealthState.FAILING: "running",
            HealthState.READY: "degraded",
        }.get(after.state)
        return has_changed or self.due.status == contradicts


class HealthWatch:
    """Does the checks that are due.

    Args:
        database: Says which are.
        checker: Does one.
        at_once: How many run at the same time.
    """

    def __init__(
        self, database: Database, checker: Checker, *, at_once: int = AT_ONCE
    ) -> None:
        """Check nothing yet."""
        self._database = database
        self._checker = checker
        self._at_once = at_once
        self._running: dict[int, asyncio.Task[Result]] = {}
        self._unwritten: list[Result] = []
        #: Servers to whose processes something happened.
        self._told: set[int] = set()
        self._wall_clock = WallClock()
        self._has_looked = False

    async def tick(self) -> None:
        """Write what the last checks found, and begin those that are due; for the clock. Returns at once."""
        results, self._unwritten = self._unwritten, []
        free = self._at_once - len(self._running)
        begun = await self._database.run(
            _round, results, free, has_jumped=self._has_jumped()
        )
        for due in begun:
            if due.server_id not in self._running:
                self._begin(due, wait_s=(due.at - now()).total_seconds())

    async def look_at(self, server_id: int) -> None:
        """Have a server asked at once, because its executor says that something happened to it."""
        self._told.add(server_id)
        await self._database.run(dues.hurry, [server_id])

    async def check_now(self, server_id: int) -> Health | None:
        """Ask a server now and return the verdict; ``None``: nothing of it runs. Who asks at the same time is told the same."""
        if server_id not in self._running:
            due = await self._database.run(dues.one, server_id)
            if due is None:
                return None
            if server_id not in self._running:
                self._begin(due)
        result = await asyncio.shield(self._running[server_id])
        return result.health

    async def write(self) -> None:
        """Write what checks found that was no news."""
        results, self._unwritten = self._unwritten, []
        if results:
            await self._database.run(_write, results)

    async def stop(self) -> None:
        """End what runs; whatever is lost is due again anyway."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _begin(self, due: Due, *, wait_s: float = 0) -> None:
        task = asyncio.create_task(self._check(due, wait_s), name=f"health {due.name}")
        self._running[due.server_id] = task
        task.add_done_callback(lambda done: self._ended(due.server_id, done))

    def _ended(self, server_id: int, task: "asyncio.Task[Result]") -> None:
        self._running.pop(server_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("health.check_broke", server_id=server_id, exc_info=error)

    async def _check(self, due: Due, wait_s: float) -> Result:
        if wait_s > 0:
            await asyncio.sleep(min(wait_s, EVERY_S))
        looks_first = due.server_id in self._told
        self._told.discard(due.server_id)
        found = await self._checker.check(due, looks_first=looks_first)
        result = Result(due, found, verdict(due.health, found, due.policy))
        if not result.is_news:
            self._unwritten.append(result)
            return result
        try:
            await self._database.run(_write, [result])
        except DatabaseUnavailableError:
            self._unwritten.append(result)
        log.info(
            "health.changed",
            server_id=due.server_id,
            state=result.health.state.value,
            reason=result.health.reason,
        )
        return result

    def _has_jumped(self) -> bool:
        """Return whether the wall clock was put back since the last look, or nobody has looked since the start."""
        is_first, self._has_looked = not self._has_looked, True
        return self._wall_clock.moved_s() < 0 or is_first


def _round(results: Sequence[Result], limit: int, *, has_jumped: bool) -> list[Due]:
    if results:
        _write(results)
    if has_jumped:
        dues.bring_near()
    ahead = timedelta(seconds=EVERY_S)
    return dues.claim(limit, ahead=ahead) if limit > 0 else []


def _write(results: Sequence[Result]) -> None:
    health_store.write([(item.found, item.health) for item in results])
    for item in results:
        if item.is_news:
            _tell(item.due.server_id, item.health)


def _tell(server_id: int, health: Health) -> None:
    publish_in_transaction(
        "server.health",
        server_id,
        {"state": health.state.value, "reason": health.reason},
    )
    # The verdict becomes the status there, where all that decides it comes together.
    enqueue(RECONCILE, {"server_id": server_id}, lane=lane_of(server_id))
