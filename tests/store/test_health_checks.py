"""Health on a real Postgres, asked over real HTTP: who is due, what is written, what the history keeps."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from appliance.core.clock import now
from appliance.infra.database import Database, proxy
from appliance.jobs.queue import JobQueue
from appliance.observability.usage import record_usage
from appliance.runtimes.model import Instance, InstanceState, Transport
from appliance.servers import store
from appliance.servers.checks import due as dues
from appliance.servers.checks.check import Checker
from appliance.servers.checks.watch import HealthWatch
from appliance.servers.deploys.model import Trigger
from appliance.servers.exchange import Gateway
from appliance.servers.health import store as health_store
from appliance.servers.health.model import Health, HealthState, Liveness
from appliance.servers.model import InstanceRecord, Server, Status
from appliance.servers.service import RECONCILE
from tests.fakes.executor import IdleExecutor
from tests.harness.hosted import ada, add_server
from tests.harness.invocations import add_call

A_SECOND = timedelta(seconds=1)
REFUSAL = {"code": -32603, "message": "the moon is in the wrong house"}


class Container(IdleExecutor):
    """Runs one instance, paused or not."""

    def __init__(self) -> None:
        self.is_paused = False

    async def instances(self, server_id: int | None = None) -> list[Instance]:
        state = InstanceState.RUNNING
        return [
            Instance(
                "mcp-clock", "c1", server_id or 0, 1, state, is_paused=self.is_paused
            )
        ]


@dataclass
class FakeGateway:
    """Answers as the gateway and a server behind it do; a method among ``errors`` is refused."""

    errors: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    is_away: bool = False

    async def handle(self, request: web.Request) -> web.Response:
        message = await request.json()
        method = message["method"]
        self.asked.append((request.match_info["name"], method))
        assert request.headers["X-Gateway-Untraced"] == "1"
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if self.is_away:
            error = {
                "code": -32050,
                "message": "x",
                "data": {"code": "bridge_unavailable"},
            }
            return web.json_response(answer | {"error": error}, status=503)
        if method in self.errors:
            return web.json_response(answer | {"error": self.errors[method]})
        result = {"capabilities": {"tools": {}}, "tools": [], "content": []}
        return web.json_response(answer | {"result": result})


@dataclass
class Box:
    """Servers that run, and all that asks them."""

    database: Database
    gateway: FakeGateway
    container: Container
    watch: HealthWatch
    owner_id: int

    async def server(self, name: str = "clock") -> Server:
        return await self.database.run(self._add, name)

    def _add(self, name: str) -> Server:
        made = add_server(self.owner_id, name)
        deployment = store.add_deployment(
            made, requested_by="ada", trigger=Trigger.CREATE
        )
        self.launch(made, deployment.id)
        store.set_status(made.id, Status.RUNNING)
        return store.get(made.id)

    def launch(self, server: Server, deployment_id: int, name: str = "c1") -> None:
        store.record_instance(
            server.id,
            InstanceRecord(
                deployment_id, "docker", "mcp-clock", name, Transport.STDIO, ""
            ),
            started_at=None,
        )
        store.route_to(server.id, deployment_id)

    async def check(self, server: Server) -> Health:
        found = await self.watch.check_now(server.id)
        assert found is not None
        await self.watch.write()
        return found

    async def kept(self, server: Server) -> Health:
        found = await self.database.run(health_store.of, server.id)
        assert found is not None
        return found

    async def reconciliations(self) -> int:
        return len(await JobQueue(self.database).list(kind=RECONCILE))


@pytest.fixture
async def box(database: Database) -> AsyncIterator[Box]:
    user = await ada(database)
    gateway, container = FakeGateway(), Container()
    app = web.Application()
    app.router.add_post("/servers/{name}/mcp", gateway.handle)
    async with aiohttp.ClientSession() as session, TestServer(app) as running:
        url = str(running.make_url("/"))
        watch = HealthWatch(database, Checker(Gateway(session, url, "k"), container))
        yield Box(database, gateway, container, watch, user.id)
        await watch.stop()


# -- the history


async def test_every_change_of_a_status_is_kept_with_its_reason(box: Box) -> None:
    server = await box.server()

    await box.database.run(store.set_status, server.id, Status.DEGRADED, "why")
    await box.database.run(store.set_status, server.id, Status.DEGRADED, "why")

    newest, *others = await box.database.run(health_store.history, server.id)
    assert (newest.before, newest.after, newest.reason) == (
        "running",
        "degraded",
        "why",
    )
    assert newest.deployment == 1
    assert [item.after for item in others] == ["running", "queued"]


async def test_a_change_that_is_taken_back_leaves_no_line(box: Box) -> None:
    server = await box.server()

    def write() -> None:
        store.set_status(server.id, Status.ERROR, "never was")
        record_usage(server.id, "no such event", {"a": object()})

    with pytest.raises(TypeError):
        await box.database.run(write)

    history = await box.database.run(health_store.history, server.id)
    assert "never was" not in {item.reason for item in history}


async def test_old_history_goes_but_for_the_last_line_of_each_server(box: Box) -> None:
    server = await box.server()
    old = now() - health_store.KEEP - A_SECOND
    await box.database.run(
        lambda: proxy.execute_sql("UPDATE status_changes SET at = %s", (old,))
    )

    await box.database.run(health_store.prune)

    (kept,) = await box.database.run(health_store.history, server.id)
    assert kept.after == "running"


# -- who is due


async def due_at(box: Box, server: Server, seconds_ago: float) -> None:
    moment = now() - timedelta(seconds=seconds_ago)
    sql = "UPDATE server_health SET next_check_at = %s WHERE server_id = %s"
    await box.database.run(lambda: proxy.execute_sql(sql, (moment, server.id)))


async def test_a_check_is_claimed_once_and_is_due_again_without_anybody_who_did_it(
    box: Box,
) -> None:
    server = await box.server()
    await due_at(box, server, 1)

    first = await box.database.run(lambda: dues.claim(10, ahead=A_SECOND))
    second = await box.database.run(lambda: dues.claim(10, ahead=A_SECOND))
    later = await box.database.run(
        lambda: dues.claim(10, ahead=timedelta(seconds=first[0].policy.interval_s))
    )

    assert [item.server_id for item in first] == [server.id]
    assert second == []
    assert [item.server_id for item in later] == [server.id]


async def test_no_more_are_claimed_than_may_run_and_the_longest_due_come_first(
    box: Box,
) -> None:
    servers = [await box.server(f"s{number}") for number in range(5)]
    for number, server in enumerate(servers):
        await due_at(box, server, number)

    claimed = await box.database.run(lambda: dues.claim(2, ahead=A_SECOND))

    assert [item.name for item in claimed] == ["s4", "s3"]


@pytest.mark.parametrize("status", [Status.STOPPED, Status.ERROR, Status.STARTING])
async def test_a_server_that_does_not_serve_is_not_asked(
    box: Box, status: Status
) -> None:
    server = await box.server()

    await box.database.run(store.set_status, server.id, status)

    assert (await box.kept(server)).next_check_at is None


async def test_a_clock_that_was_put_back_leaves_no_check_in_a_far_future(
    box: Box,
) -> None:
    server = await box.server()
    await due_at(box, server, -3600)

    await box.database.run(dues.bring_near)

    moment = (await box.kept(server)).next_check_at
    assert moment is not None
    assert moment <= now()


# -- verdicts


async def test_a_server_that_answers_is_ready_and_it_is_said_that_nobody_called(
    box: Box,
) -> None:
    server = await box.server()

    await box.check(server)

    kept = await box.kept(server)
    assert (kept.state, kept.liveness) == (HealthState.READY, Liveness.ALIVE)
    assert box.gateway.asked == [("clock", "server/discover"), ("clock", "tools/list")]
    assert {step.name: step.detail for step in kept.steps}[
        "calls"
    ] == "No call was seen."


async def test_a_failing_answer_is_kept_and_the_reconciler_told_once(box: Box) -> None:
    server = await box.server()
    box.gateway.errors["tools/list"] = REFUSAL
    before = await box.reconciliations()

    await box.check(server)
    await box.database.run(
        store.set_status, server.id, Status.DEGRADED, "as the reconciler would"
    )
    await box.check(server)

    kept = await box.kept(server)
    assert kept.state is HealthState.FAILING
    assert "wrong house" in kept.answer
    assert "wrong house" in kept.reason
    assert kept.failures == 2
    assert await box.reconciliations() == before + 1


async def test_calls_that_all_fail_make_a_server_failing_that_answers_its_checks(
    box: Box,
) -> None:
    server = await box.server()
    bad = {
        "server_id": server.id,
        "error_class": "rpc_error",
        "rpc_code": -32603,
        "response": '{"error":{"code":-32603,"message":"house"}}',
    }
    await box.database.run(lambda: add_call(started_at=now() - A_SECOND, **bad))
    instance = "UPDATE instances SET created_at = created_at - interval '1 hour'"
    await box.database.run(lambda: proxy.execute_sql(instance))

    failing = await box.check(server)
    await box.database.run(lambda: add_call(started_at=now(), server_id=server.id))
    mended = await box.check(server)

    assert failing.state is HealthState.FAILING
    assert "house" in failing.reason
    assert mended.state is HealthState.READY


async def test_calls_of_an_instance_that_is_gone_say_nothing_of_its_successor(
    box: Box,
) -> None:
    server = await box.server()
    bad = {"server_id": server.id, "error_class": "call_timed_out"}
    await box.database.run(
        lambda: add_call(started_at=now() - timedelta(seconds=60), **bad)
    )

    assert (await box.check(server)).state is HealthState.READY


async def test_a_verdict_about_another_instance_is_none(box: Box) -> None:
    server = await box.server()
    box.gateway.errors["tools/list"] = REFUSAL
    await box.check(server)

    def replace() -> None:
        store.forget_instances(server.id)
        assert server.deployment_id is not None
        box.launch(server, server.deployment_id, "c2")

    await box.database.run(replace)

    assert (await box.kept(server)).state is HealthState.UNKNOWN


async def test_a_gateway_that_is_away_is_not_the_servers_fault(box: Box) -> None:
    server = await box.server()
    await box.check(server)
    box.gateway.is_away = True

    await box.check(server)

    kept = await box.kept(server)
    assert kept.state is HealthState.READY
    assert "skipped" in {step.result.value for step in kept.steps}


async def test_a_paused_container_is_said_to_be_paused_without_asking_it(
    box: Box,
) -> None:
    server = await box.server()
    box.container.is_paused = True
    await box.watch.look_at(server.id)

    await box.watch.tick()
    async with asyncio.timeout(10):
        while (await box.kept(server)).state is not HealthState.FAILING:
            await asyncio.sleep(0.02)

    kept = await box.kept(server)
    assert kept.liveness is Liveness.PAUSED
    assert "paused" in kept.reason
    assert box.gateway.asked == []
