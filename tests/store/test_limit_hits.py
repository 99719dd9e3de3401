"""Limits that servers ran into: counted once, whatever container they ran in, and told as an event."""

from collections.abc import Collection, Mapping
from typing import cast

import pytest

from appliance.infra.database import Database, proxy
from appliance.runtimes.isolation import DataUse
from appliance.runtimes.model import Transport
from appliance.runtimes.ports import Executor
from appliance.runtimes.pressure import Pressure
from appliance.servers import store
from appliance.servers.isolating import store as limit_store
from appliance.servers.isolating.watch import LimitWatch
from appliance.servers.model import InstanceRecord, Server
from tests.harness.hosted import ada, add_server


class Kernel:
    """Counts as it is told to."""

    def __init__(self) -> None:
        self.counted: dict[str, Pressure] = {}
        self.used = 0

    async def pressures(self, container_ids: Collection[str]) -> Mapping[str, Pressure]:
        return {item: self.counted[item] for item in container_ids}

    async def data_uses(self, server_ids: Collection[int]) -> Mapping[int, DataUse]:
        return {item: DataUse(1000, self.used) for item in server_ids}


@pytest.fixture
async def server(database: Database) -> Server:
    user = await ada(database)
    return await database.run(add_server, user.id)


async def _run_in(database: Database, server: Server, container_id: str) -> None:
    def write() -> None:
        store.forget_instances(server.id)
        deployment = store.add_deployment(server, requested_by="ada")
        record = InstanceRecord(
            deployment.id, "docker", "mcp-clock", container_id, Transport.STDIO, ""
        )
        store.record_instance(server.id, record, started_at=None)

    await database.run(write)


async def _times(database: Database, server: Server) -> dict[str, int]:
    found = await database.run(limit_store.hits, server.id)
    return {item.limit.value: item.times for item in found}


async def _told(database: Database) -> int:
    return int(
        await database.run(
            lambda: proxy.execute_sql(
                "SELECT count(*) FROM events WHERE kind = %s", (limit_store.HIT,)
            ).fetchone()[0]
        )
    )


async def test_each_hit_is_counted_once_and_told(
    database: Database, server: Server
) -> None:
    kernel = Kernel()
    watch = LimitWatch(database, cast("Executor", kernel))
    await _run_in(database, server, "c1")
    kernel.counted = {"c1": Pressure()}
    await watch()
    assert await _times(database, server) == {}

    kernel.counted = {"c1": Pressure(processes=3)}
    await watch()
    await watch()
    kernel.counted = {"c1": Pressure(processes=5, memory=1)}
    await watch()

    assert await _times(database, server) == {"processes": 5, "memory": 1}
    assert await _told(database) == 3


async def test_a_hub_that_starts_anew_counts_nothing_twice_and_another_container_begins_at_nothing(
    database: Database, server: Server
) -> None:
    kernel = Kernel()
    await _run_in(database, server, "c1")
    kernel.counted = {"c1": Pressure(processes=3)}
    await LimitWatch(database, cast("Executor", kernel))()
    await LimitWatch(database, cast("Executor", kernel))()
    assert await _times(database, server) == {"processes": 3}

    await _run_in(database, server, "c2")
    kernel.counted = {"c2": Pressure(processes=2)}
    await LimitWatch(database, cast("Executor", kernel))()

    assert await _times(database, server) == {"processes": 5}


async def test_a_full_data_counts_when_it_becomes_full(
    database: Database, server: Server
) -> None:
    kernel = Kernel()
    watch = LimitWatch(database, cast("Executor", kernel))
    await _run_in(database, server, "c1")
    kernel.counted = {"c1": Pressure()}
    for used in (0, 995, 1000, 500, 999):
        kernel.used = used
        await watch()

    assert await _times(database, server) == {"data": 2}
    kernel.used = 1000
    await LimitWatch(database, cast("Executor", kernel))()
    assert await _times(database, server) == {"data": 2}
