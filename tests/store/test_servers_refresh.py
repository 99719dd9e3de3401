"""Manifests on a real Postgres: what changed is noted once, told as an event, and read again when the gateway says so."""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from appliance.infra.database import Database
from appliance.jobs.model import JobContext
from appliance.jobs.queue import JobQueue
from appliance.observability.events import EventLog, Subscription
from appliance.runtimes.model import Transport
from appliance.servers import manifest_store, refresh, service, store
from appliance.servers.mcp import Manifest, McpClient, McpUnavailableError
from appliance.servers.model import InstanceRecord, Server, Status
from appliance.servers.tables import ServerRow
from tests.harness.hosted import ada, add_server
from tests.harness.secrets import secrets_in

CLOCK = {"name": "clock", "description": "Tells the time."}
BEFORE = Manifest("2025-11-25", {"name": "s", "version": "1"}, {}, None, (CLOCK,))
#: No server here has secrets.
NOWHERE = Path("/nonexistent")


class Answers:
    """Answers as a server would."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest: Manifest | None = manifest
        self.asked: list[tuple[str, int | None]] = []

    async def probe(self, name: str, *, instance_id: int | None = None) -> Manifest:
        self.asked.append((name, instance_id))
        if self.manifest is None:
            raise McpUnavailableError("Nothing answers.")
        return self.manifest


@pytest.fixture
async def server(database: Database) -> Server:
    """A server that runs and said ``BEFORE``."""
    user = await ada(database)

    def write() -> Server:
        made = add_server(user.id)
        deployment = store.add_deployment(made, requested_by="ada")
        record = InstanceRecord(
            deployment.id, "docker", "mcp-clock", "c1", Transport.STDIO, ""
        )
        store.record_instance(made.id, record, started_at=None)
        store.promote(deployment, BEFORE.as_dict())
        store.set_status(made.id, Status.RUNNING)
        return store.get(made.id)

    return await database.run(write)


async def _noted(database: Database, server: Server) -> list[list[str]]:
    found = await database.run(manifest_store.of_server, server.id)
    return [
        [f"{c.what.value} {c.kind} {c.name}" for c in item.changes] for item in found
    ]


async def _keep(database: Database, server: Server, manifest: Manifest) -> None:
    assert server.deployment_id is not None
    await database.run(manifest_store.keep, server.deployment_id, manifest.as_dict())


async def test_the_first_manifest_of_a_server_is_no_change(
    database: Database, server: Server
) -> None:
    assert await _noted(database, server) == []


async def test_the_same_manifest_again_is_read_but_not_written(
    database: Database, server: Server
) -> None:
    assert server.deployment_id is not None
    before = await database.run(store.get_deployment, server.deployment_id)

    await _keep(database, server, BEFORE)

    after = await database.run(store.get_deployment, server.deployment_id)
    assert await _noted(database, server) == []
    assert before.manifest_at is not None
    assert after.manifest_at is not None
    assert after.manifest_at > before.manifest_at


async def _first(heard: Subscription) -> Any:
    async for event in heard:
        if event.kind == "server.manifest":
            return event.data
    return None


async def test_a_change_is_noted_whole_and_told_as_an_event(
    database: Database, server: Server
) -> None:
    changed = {**CLOCK, "description": "Tells another time."}
    events = EventLog(database)
    heard = events.subscribe(server_id=server.id, after_id=0)
    hearing = asyncio.create_task(_first(heard))

    await _keep(database, server, replace(BEFORE, tools=(changed,)))

    data = await asyncio.wait_for(hearing, 10)
    (noted,) = await database.run(manifest_store.of_server, server.id)
    assert data == {"changed": ["tool clock"]}
    assert noted.changes[0].before == CLOCK
    assert noted.changes[0].after == changed
    assert noted.deployment == 1
    await events.close()


async def test_a_new_deployment_is_compared_with_the_one_before(
    database: Database, server: Server
) -> None:
    def redeploy() -> None:
        deployment = store.add_deployment(server, requested_by="ada")
        store.promote(deployment, replace(BEFORE, tools=()).as_dict())

    await database.run(redeploy)

    assert await _noted(database, server) == [["removed tool clock"]]


async def test_only_the_newest_changes_are_kept(
    database: Database, server: Server
) -> None:
    for number in range(manifest_store.KEEP + 5):
        tool = {"name": f"t{number}"}
        await _keep(database, server, replace(BEFORE, tools=(tool,)))

    found = await database.run(manifest_store.of_server, server.id, limit=1000)

    assert len(found) == manifest_store.KEEP
    assert found[0].changes[-1].name == f"t{manifest_store.KEEP + 4}"


async def _refresh(database: Database, answers: Answers, server: Server) -> None:
    task = refresh.RefreshTask(
        database, cast("McpClient", answers), secrets_in(NOWHERE, database)
    )
    await task(cast("JobContext", None), {"server_id": server.id})


async def test_a_refresh_asks_the_routed_instance_and_keeps_its_answer(
    database: Database, server: Server
) -> None:
    answers = Answers(replace(BEFORE, tools=(CLOCK, {"name": "new"})))
    (record,) = await database.run(store.records, server.id)

    await _refresh(database, answers, server)

    assert answers.asked == [("clock", record.id)]
    assert await _noted(database, server) == [["added tool new"]]


async def test_a_server_that_does_not_answer_keeps_what_it_said(
    database: Database, server: Server
) -> None:
    answers = Answers(BEFORE)
    answers.manifest = None

    await _refresh(database, answers, server)

    assert server.deployment_id is not None
    kept = await database.run(store.get_deployment, server.deployment_id)
    assert kept.manifest == BEFORE.as_dict()


@pytest.mark.parametrize("status", [Status.STOPPED, Status.ERROR, Status.STARTING])
async def test_a_server_that_does_not_run_is_not_asked(
    database: Database, server: Server, status: Status
) -> None:
    answers = Answers(BEFORE)
    await database.run(store.set_status, server.id, status)

    await _refresh(database, answers, server)

    assert answers.asked == []


async def _jobs(database: Database) -> list[Any]:
    return await JobQueue(database).list(kind=service.REFRESH)


async def test_the_sweep_asks_for_everybody_once_each_at_its_own_moment(
    database: Database, server: Server
) -> None:
    await database.run(refresh.refresh_all)
    await database.run(refresh.refresh_all)

    (job,) = await _jobs(database)
    assert job.lane == f"server:{server.id}"


@pytest.mark.usefixtures("server")
async def test_a_server_that_says_its_lists_changed_is_asked_soon_and_once(
    database: Database,
) -> None:
    await database.run(refresh.refresh_all)
    watching = asyncio.create_task(refresh.watch_changes(database))
    await asyncio.sleep(0.3)  # until it listens

    for _ in range(3):
        await database.run(_notify, "clock")
    await database.run(_notify, "nobody")

    async with asyncio.timeout(10):
        while True:
            (job,) = await _jobs(database)
            if (job.run_at - job.created_at).total_seconds() < 5:
                break
            await asyncio.sleep(0.05)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


def _notify(name: str) -> None:
    ServerRow.raw("SELECT pg_notify('manifests', %s)", name).execute()
