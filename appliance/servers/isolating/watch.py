"""Looks now and then at which servers ran into their limits: nobody else tells of it."""

import structlog

from appliance.infra.database import Database
from appliance.runtimes.ports import Executor
from appliance.runtimes.pressure import Pressure
from appliance.servers.isolating import store
from appliance.servers.isolating.model import Limit

log = structlog.get_logger("servers.limits")

#: Seconds between two looks; a container that ends in between takes its counts along, and its end tells the rest.
EVERY_S = 10.0


class LimitWatch:
    """Asks the executor what the kernel counted, and keeps what rose since the last look."""

    def __init__(self, database: Database, executor: Executor) -> None:
        """Keep the collaborators; nothing was seen yet."""
        self._database = database
        self._executor = executor
        self._seen: dict[str, Pressure] = {}
        self._full: set[int] | None = None

    async def __call__(self) -> None:
        """Look at every running instance once."""
        containers = await self._database.run(store.containers)
        pressures = await self._executor.pressures(containers)
        # Most never rise: only those that did since the last look reach the database.
        risen = {
            item: seen
            for item, seen in pressures.items()
            if seen != self._seen.get(item, Pressure())
        }
        uses = await self._executor.data_uses(set(containers.values()))
        full = {server_id for server_id, use in uses.items() if use.is_full}
        before = set(uses) if self._full is None else self._full & set(uses)
        if risen or full != before:
            await self._database.run(_keep, risen, containers, full ^ before, full)
        self._seen, self._full = dict(pressures), full


def _keep(
    risen: dict[str, Pressure],
    containers: dict[str, int],
    changed: set[int],
    full: set[int],
) -> None:
    for container_id, seen in risen.items():
        server_id = containers[container_id]
        counters = {Limit.PROCESSES: seen.processes, Limit.MEMORY: seen.memory}
        for limit in store.counted(server_id, container_id, counters):
            log.warning("server.limit_hit", server_id=server_id, limit=limit.value)
    for server_id in changed:
        if store.filled(server_id, is_full=server_id in full):
            log.warning("server.limit_hit", server_id=server_id, limit=Limit.DATA.value)
