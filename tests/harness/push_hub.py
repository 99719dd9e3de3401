"""A hub beside a bench for pushes: what REST and SSE tell of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp.test_utils import TestClient, TestServer

from appliance.infra.database import Database
from appliance.web.app import make_app
from tests.functional.hub import Hub, services_for, settings_for
from tests.harness.pushes import PushBench

Client = TestClient[Any, Any]
#: What every registry event says, whatever happened.
EVERY_FIELD: dict[str, Any] = {
    "attempt": int,
    "retry_limit": int,
    "registry_endpoint": str,
    "error_kind": str | None,
    "auth_expired": bool,
    "platform": str | None,
    "scopes": list,
}
SCOPES = ["repository:team/time:push", "repository:team/time:pull"]
METRICS = "/api/servers/time/metrics"


@asynccontextmanager
async def push_hub(database: Database, bench: PushBench) -> AsyncIterator[Client]:
    """Give an administrator of a hub on the same database, whose server ``time`` the bench pushes."""
    async with aiohttp.ClientSession() as session:
        settings = await asyncio.to_thread(settings_for)
        services = await asyncio.to_thread(services_for, database, session, settings)
        server = TestServer(make_app(services))
        await server.start_server()
        hub = Hub(database, services, server)
        try:
            admin = await hub.client(await hub.person("admin@example.org"))
            body = {"name": "time", "package": "pypi:mcp-server-time"}
            made = await (await admin.post("/api/servers", json=body)).json()
            bench.server_id = made["server"]["id"]
            yield admin
        finally:
            await hub.close()


async def by_rest(client: Client) -> list[dict[str, Any]]:
    """Return the server's metrics as REST gives them, oldest first."""
    answer = await (await client.get(f"{METRICS}?limit=200")).json()
    return list(reversed(answer["items"]))


async def by_sse(client: Client, count: int) -> list[dict[str, Any]]:
    """Return the first ``count`` metrics of the stream."""
    found: list[dict[str, Any]] = []
    headers = {"Last-Event-ID": "0"}
    async with (
        asyncio.timeout(10),
        client.get(f"{METRICS}/stream", headers=headers) as response,
    ):
        async for raw in response.content:
            line = raw.decode()
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
            if len(found) == count:
                break
    return found


def told(events: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Return name and details of each."""
    return [(item["event_type"], item["details"]) for item in events]


def are_alike(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Tell whether both tell the same; platforms are pushed at once, and may have overtaken one another."""
    return sorted(map(repr, map(_sorted, told(one)))) == sorted(
        map(repr, map(_sorted, told(other)))
    )


def _sorted(event: tuple[str, dict[str, Any]]) -> tuple[str, list[tuple[str, Any]]]:
    return event[0], sorted(event[1].items())


def lacking(event: dict[str, Any]) -> list[str]:
    """Return the fields that an event lacks, or has in another type."""
    details = event["details"]
    return [
        f"{event['event_type']}.{name}"
        for name, kind in EVERY_FIELD.items()
        if name not in details or not isinstance(details[name], kind)
    ]
