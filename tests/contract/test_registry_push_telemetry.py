"""The push telemetry as REST and SSE give it, from real pushes: names, fields, and what each says."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from appliance.core.images import PlatformImage
from appliance.infra.database import Database
from appliance.registry.errors import RegistryError
from appliance.web.app import make_app
from tests.functional.hub import Hub, services_for, settings_for
from tests.harness.faults import Fault
from tests.harness.pushes import AMD64, ARM64, PushBench, push_bench, small_image

Client = TestClient[Any, Any]
#: Whatever happens, an event says these.
EVERY = {
    "attempt": int,
    "retry_limit": int,
    "registry_endpoint": str,
    "error_kind": str | None,
    "auth_expired": bool,
    "platform": str | None,
    "scopes": list,
}
SUCCESS = [
    "auth_health_reported",
    "tag_started",
    "tag_succeeded",
    "push_started",
    "push_succeeded",
    "manifest_published",
]


@pytest.fixture(scope="module")
def image() -> Iterator[PlatformImage]:
    with small_image(1000) as made:
        yield made


@pytest.fixture(scope="module")
def arm_image() -> Iterator[PlatformImage]:
    with small_image(1000, platform=ARM64) as made:
        yield made


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[PushBench]:
    async with push_bench(database) as made:
        yield made


@pytest.fixture
async def client(database: Database, bench: PushBench) -> AsyncIterator[Client]:
    """An administrator of a hub on the same database, whose server the bench pushes."""
    async with aiohttp.ClientSession() as session:
        settings = await asyncio.to_thread(settings_for)
        services = await asyncio.to_thread(services_for, database, session, settings)
        server = TestServer(make_app(services))
        await server.start_server()
        hub = Hub(database, services, server)
        admin = await hub.client(await hub.person("admin@example.org"))
        body = {"name": "time", "package": "pypi:mcp-server-time"}
        made = await (await admin.post("/api/servers", json=body)).json()
        bench.server_id = made["server"]["id"]
        yield admin
        await hub.close()


async def _rest(client: Client) -> list[dict[str, Any]]:
    answer = await (await client.get("/api/servers/time/metrics?limit=200")).json()
    return list(reversed(answer["items"]))


async def _sse(client: Client, count: int, after: str = "0") -> list[dict[str, Any]]:
    """Return the next ``count`` metrics of the stream, from its beginning."""
    found: list[dict[str, Any]] = []
    path = "/api/servers/time/metrics/stream"
    async with (
        asyncio.timeout(10),
        client.get(path, headers={"Last-Event-ID": after}) as response,
    ):
        assert response.content_type == "text/event-stream"
        async for raw in response.content:
            line = raw.decode()
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
            if len(found) == count:
                break
    return found


def _check(event: dict[str, Any], bench: PushBench) -> None:
    details = event["details"]
    for name, kind in EVERY.items():
        assert isinstance(details[name], kind), f"{event['event_type']}: {name}"
    assert details["registry_endpoint"] == bench.proxy.host
    assert details["scopes"] == [
        "repository:team/time:push",
        "repository:team/time:pull",
    ]
    assert details["retry_limit"] == 3


async def test_rest_and_sse_tell_every_event_of_a_push_with_every_field(
    bench: PushBench, client: Client, image: PlatformImage, arm_image: PlatformImage
) -> None:
    published = await bench.publish(await bench.service(), image, arm_image)

    told = await _rest(client)
    streamed = await _sse(client, len(told))

    assert sorted(item["event_type"] for item in told) == sorted(SUCCESS + SUCCESS[1:5])
    for event in told:
        _check(event, bench)
    assert [(i["event_type"], i["details"]) for i in streamed] == [
        (i["event_type"], i["details"]) for i in told
    ]
    for platform in (AMD64, ARM64):
        own = [i for i in told if i["details"]["platform"] == platform]
        assert [item["event_type"] for item in own] == SUCCESS[1:5]
        assert [item["details"]["attempt"] for item in own] == [0, 0, 1, 1]
    last = told[-1]
    assert last["event_type"] == "manifest_published"
    assert last["details"]["digest"] == published.digest
    assert last["details"]["architectures"] == [AMD64, ARM64]


async def test_rest_and_sse_tell_of_retries_and_of_the_end(
    bench: PushBench, client: Client, image: PlatformImage
) -> None:
    bench.proxy.faults.append(Fault("PATCH", "uploads", status=503))
    with pytest.raises(RegistryError):
        await bench.publish(await bench.service(), image)

    told = await _rest(client)
    streamed = await _sse(client, len(told))

    assert [item["event_type"] for item in told] == [
        *SUCCESS[:4],
        *["push_retry"] * 3,
        "push_failed",
    ]
    assert [(i["event_type"], i["details"]) for i in streamed] == [
        (i["event_type"], i["details"]) for i in told
    ]
    for number, event in enumerate(told[4:7], start=2):
        _check(event, bench)
        assert event["details"]["attempt"] == number
        assert event["details"]["reason"] == "transient"
        assert event["details"]["error_kind"] == "server_error"
        assert "503" in event["details"]["error"]
    _check(told[7], bench)
    assert told[7]["details"]["attempt"] == 4


async def test_health_says_what_rotation_is_due(
    bench: PushBench, client: Client, image: PlatformImage
) -> None:
    await bench.publish(await bench.service(), image)

    health = next(
        item["details"]
        for item in await _rest(client)
        if item["event_type"] == "auth_health_reported"
    )

    assert {"rotation_recommended", "rotation_configured", "seconds_until_expiry"} <= (
        set(health)
    )
