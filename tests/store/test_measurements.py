"""What servers use, as rows: written once a look, put together to coarser spans, and forgotten in time."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from appliance.accounts.model import Role
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.measurements import store
from appliance.measurements.model import RESOLUTIONS, Sample
from appliance.measurements.sampler import Sampler
from appliance.measurements.spans import floor
from appliance.observability.metrics import Metrics
from appliance.runtimes.meters import Reading
from tests.fakes.metering import FakeMetering
from tests.fakes.printers import container

STEP, MINUTE, TEN_MINUTES = (item.step for item in RESOLUTIONS)
ROW = "SELECT count(*) FROM server_samples WHERE step_s = %s"


@pytest.fixture
async def server_id(database: Database) -> int:
    """A server, for rows to belong to."""

    def add() -> int:
        execute: Any = database.peewee.execute_sql
        (owner,) = execute(
            "INSERT INTO users (email, password_hash, role) VALUES ('a@example.org', 'x', %s) RETURNING id",
            (Role.ADMIN.value,),
        ).fetchone()
        (found,) = execute(
            "INSERT INTO servers (name, owner_id, source, config, endpoint_key_hash, endpoint_key_prefix)"
            " VALUES ('one', %s, '{}', '{}', 'x', 'x') RETURNING id",
            (owner,),
        ).fetchone()
        return int(found)

    return await database.run(add)


def _sample(server_id: int, at: datetime, **changes: int) -> Sample:
    values = {"memory_bytes": 100, "received_bytes": 5, "sent_bytes": 7, **changes}
    return Sample(
        server_id=server_id, at=at, cpu_s=1.0, containers=1, covered_s=10.0, **values
    )


async def _count(database: Database, step: timedelta) -> int:
    rows = await database.run(database.peewee.execute_sql, ROW, (step.total_seconds(),))
    return int(rows.fetchone()[0])


async def test_a_look_is_one_row_for_each_server_whatever_its_containers(
    database: Database, server_id: int
) -> None:
    metering = FakeMetering()
    own, session = container(server_id, "a"), container(server_id, "b", session="5e")
    gone = container(server_id + 1, "c")
    metering.running = [own, session, gone]
    sampler = Sampler(
        database, metering, running=lambda: metering.running, metrics=Metrics()
    )
    for cpu_ns in (0, 2 * 10**9):
        reading = Reading(cpu_ns, 50, cpu_ns, 0)
        metering.readings = {item.container_id: reading for item in metering.running}
        await sampler.look()

    newest = sampler.newest(server_id)

    assert newest
    assert (newest.cpu_s, newest.memory_bytes, newest.containers) == (4.0, 100, 2)
    assert (
        await _count(database, STEP) == 1
    )  # of one span, and none of a server that is no more


async def test_coarse_spans_are_made_of_fine_ones_once(
    database: Database, server_id: int
) -> None:
    end = floor(now(), TEN_MINUTES)
    begin = end - TEN_MINUTES
    samples = [_sample(server_id, begin + n * STEP, memory_bytes=n) for n in range(60)]
    await database.run(store.add, samples)

    for _ in range(2):
        for minute in range(11):
            await database.run(store.roll_up, begin + minute * MINUTE)
    minutes = await database.run(
        store.series, server_id, begin, end, step=MINUTE, stored=MINUTE
    )
    (whole,) = await database.run(
        store.series, server_id, begin, end, step=TEN_MINUTES, stored=TEN_MINUTES
    )

    assert len(minutes) == 10
    assert minutes[1].memory_bytes == 11
    assert (whole.cpu_s, whole.covered_s, whole.memory_bytes) == (60.0, 600.0, 59)
    assert (whole.received_bytes, whole.cpu_percent) == (300, 10.0)


async def test_fine_rows_go_before_coarse_ones(
    database: Database, server_id: int
) -> None:
    moment = now()
    old = floor(moment, TEN_MINUTES) - timedelta(hours=3)
    await database.run(store.add, [_sample(server_id, old)])
    await database.run(store.roll_up, old + MINUTE)

    await database.run(store.prune, moment)

    assert await _count(database, STEP) == 0
    assert await _count(database, MINUTE) == 1


async def test_rows_go_with_their_server(database: Database, server_id: int) -> None:
    await database.run(store.add, [_sample(server_id, floor(now(), STEP))])

    await database.run(
        database.peewee.execute_sql, "DELETE FROM servers WHERE id = %s", (server_id,)
    )

    assert await _count(database, STEP) == 0
