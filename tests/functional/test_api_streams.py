"""Streams: what happens arrives, a reader that comes back misses nothing, and nobody else's things are told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from appliance.core.errors import FailedError
from appliance.infra.database import Database
from appliance.servers import store
from appliance.web.app import make_app
from appliance.web.health import Check
from appliance.web.keys import HEARTBEAT_S, REQUEST_ID, STOPPING
from appliance.web.requests import Access, access
from appliance.web.sse import Message, stream
from tests.functional.hub import Hub, services_for, settings_for

Client = TestClient[Any, Any]
CLOCK = {"name": "clock", "package": "pypi:mcp-server-time"}
PATIENCE_S = 5


class Reader:
    """Reads a stream's events one by one."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    async def next(self) -> dict[str, Any]:
        """Return the next event; comments and hints are passed over."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                fields: dict[str, str] = {}
                while line := (await self._line()):
                    name, _, value = line.partition(": ")
                    fields[name] = value
                if "data" in fields:
                    return {**fields, "data": json.loads(fields["data"])}

    async def skip_all(self) -> None:
        """Read on until the stream ends, which raises."""
        while True:
            await self.next()

    async def _line(self) -> str:
        raw = await self.response.content.readline()
        if not raw:
            raise EOFError
        return raw.decode().rstrip("\n")


async def _follow(client: Client, path: str, **headers: str) -> Reader:
    response = await client.get(path, headers=headers)
    assert response.status == 200
    assert response.content_type == "text/event-stream"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert response.headers["X-Request-Id"]
    return Reader(response)


async def test_a_servers_stream_begins_with_what_is(admin: Client) -> None:
    await admin.post("/api/servers", json=CLOCK)

    reader = await _follow(admin, "/api/servers/clock/events")
    first = await reader.next()

    assert first["event"] == "server"
    assert first["data"]["status"] == "queued"


async def test_what_happens_arrives(hub: Hub, admin: Client) -> None:
    made = await (await admin.post("/api/servers", json=CLOCK)).json()
    reader = await _follow(admin, "/api/servers/clock/events")
    await reader.next()

    await hub.services.events.publish(
        kind="server.status", server_id=made["server"]["id"], data={"status": "x"}
    )
    event = await reader.next()

    assert event["event"] == "server.status"
    assert event["data"]["status"] == "x"


async def test_a_reader_that_comes_back_misses_nothing(hub: Hub, admin: Client) -> None:
    made = await (await admin.post("/api/servers", json=CLOCK)).json()
    reader = await _follow(admin, "/api/servers/clock/events")
    last = (await reader.next())["id"]
    reader.response.close()
    for number in range(3):
        await hub.services.events.publish(
            kind="server.status", server_id=made["server"]["id"], data={"n": number}
        )

    again = await _follow(admin, "/api/servers/clock/events", **{"Last-Event-ID": last})
    found = [(await again.next())["data"]["n"] for _ in range(3)]

    assert found == [0, 1, 2]


async def test_the_stream_of_a_deleted_server_says_so_and_ends(
    hub: Hub, admin: Client
) -> None:
    made = await (await admin.post("/api/servers", json=CLOCK)).json()
    server_id = made["server"]["id"]
    reader = await _follow(admin, "/api/servers/clock/events")
    await reader.next()

    await hub.database.run(store.destroy, server_id)
    last = await reader.next()

    assert last["event"] == "deleted"
    with pytest.raises(EOFError):
        await reader.next()


async def test_what_others_own_is_not_told(
    hub: Hub, admin: Client, maintainer: Client
) -> None:
    theirs = await (await admin.post("/api/servers", json=CLOCK)).json()
    mine = await (
        await maintainer.post("/api/servers", json={**CLOCK, "name": "mine"})
    ).json()
    reader = await _follow(maintainer, "/api/events")
    await asyncio.sleep(0.3)  # until the hub listens

    events = hub.services.events
    await events.publish(kind="server.status", server_id=theirs["server"]["id"])
    await events.publish(kind="hub.secret")
    await events.publish(
        kind="server.status", server_id=mine["server"]["id"], data={"mine": True}
    )

    found = await reader.next()
    while found["event"] == "events.reset":
        found = await reader.next()
    assert found["data"].get("mine") is True


async def test_a_stream_of_what_one_may_not_know_is_not_found(
    admin: Client, maintainer: Client
) -> None:
    await admin.post("/api/servers", json=CLOCK)

    statuses = [
        (await maintainer.get(f"/api/servers/clock/{name}")).status
        for name in (
            "events",
            "logs/stream",
            "metrics/stream",
            "builds/latest/log/stream",
        )
    ]

    assert statuses == [404] * 4


async def test_a_stopping_hub_ends_its_streams_at_once(hub: Hub, admin: Client) -> None:
    reader = await _follow(admin, "/api/events")

    async with asyncio.timeout(PATIENCE_S):
        await hub.server.close()

    with pytest.raises(EOFError):
        await reader.skip_all()


async def test_asking_for_the_head_of_a_stream_does_not_open_it(
    admin: Client,
) -> None:
    async with asyncio.timeout(PATIENCE_S):
        response = await admin.head("/api/events")

    assert response.status == 200
    assert response.content_type == "text/event-stream"


@pytest.fixture
async def hasty(database: Database) -> AsyncIterator[Hub]:
    """A hub that gives requests a moment only, and looks often who reads its streams."""
    async with aiohttp.ClientSession() as session:
        settings = await asyncio.to_thread(settings_for, hub_timeout=0.3)
        checks: dict[str, Check] = {"slow": _never}
        services = replace(
            await asyncio.to_thread(
                services_for, database, session, settings, checks=checks
            ),
            heartbeat_s=0.1,
        )
        server = TestServer(make_app(services))
        await server.start_server()
        hub = Hub(database, services, server)
        yield hub
        await hub.close()


async def _never() -> str:
    await asyncio.sleep(60)
    return ""


async def test_what_takes_too_long_is_ended_and_said(hasty: Hub) -> None:
    client = await hasty.client()

    response = await client.get("/readyz")

    assert (response.status, (await response.json())["code"]) == (503, "timed_out")
    assert response.headers["Retry-After"]


async def test_a_stream_outlives_the_limit_and_ends_with_its_key(hasty: Hub) -> None:
    client = await hasty.client(await hasty.person("admin@example.org"))
    made = await (await client.post("/api/keys", json={"name": "short"})).json()
    reader = await _follow(await hasty.client(made["key"]), "/api/events")
    await asyncio.sleep(0.6)
    assert not reader.response.content.at_eof()

    await client.delete(f"/api/keys/{made['id']}")

    with pytest.raises(EOFError):
        await reader.skip_all()


def _add_left(app: web.Application) -> None:
    app.router.add_get("/left", _left)


@access(Access.PUBLIC)
async def _left(request: web.Request) -> web.StreamResponse:
    """Go on with an answer whose client has left a moment ago."""
    response = web.StreamResponse()
    await response.prepare(request)
    assert request.transport is not None
    request.transport.close()
    await response.write(b"nobody reads it")
    return response


async def test_a_client_that_breaks_off_is_no_fault_of_ours(database: Database) -> None:
    async with aiohttp.ClientSession() as session:
        settings = await asyncio.to_thread(settings_for)
        services = await asyncio.to_thread(services_for, database, session, settings)
        app = make_app(services, setups=[_add_left])
        async with TestClient(TestServer(app)) as client:
            with suppress(aiohttp.ClientError):
                await (await client.get("/left")).read()

            text = await (await client.get("/metrics")).text()

    counted = [line for line in text.splitlines() if 'route="/left"' in line]
    assert all('status="499"' in line for line in counted if "status=" in line)
    assert any('status="499"' in line for line in counted), text


# -- the helper alone


def test_every_line_of_data_is_data_of_the_event() -> None:
    message = Message("a\nb", event="x\ny", id=7)

    assert message.encode() == b"id: 7\nevent: x y\ndata: a\ndata: b\n\n"


@pytest.fixture
async def small() -> AsyncIterator[Client]:
    """The helper in an application of its own, with a short heartbeat."""

    async def messages() -> AsyncIterator[Message]:
        await asyncio.sleep(0.25)
        yield Message({"n": 1})
        raise FailedError("It broke.", output=("last",))

    async def handler(request: web.Request) -> web.StreamResponse:
        request[REQUEST_ID] = "r"
        return await stream(request, messages())

    app = web.Application()
    app[STOPPING] = asyncio.Event()
    app[HEARTBEAT_S] = 0.1
    app.router.add_get("/", handler)
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_a_silent_stream_sends_heartbeats(small: Client) -> None:
    text = await (await small.get("/")).text()

    assert text.startswith("retry: 2000\n\n: still here\n\n: still here\n\ndata: ")


async def test_an_error_in_mid_stream_is_told_as_the_last_event(small: Client) -> None:
    reader = Reader(await small.get("/"))
    await reader.next()

    told = await reader.next()

    assert told["event"] == "problem"
    assert told["data"]["code"] == "failed"
    assert told["data"]["output"] == ["last"]
    with pytest.raises(EOFError):
        await reader.next()
