"""Calling a tool in plain JSON: what the gateway says, told as the API tells it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from appliance.infra.database import Database
from appliance.servers import store
from appliance.servers.model import Status
from appliance.web.app import make_app
from tests.functional.hub import Hub, services_for, settings_for

Client = TestClient[Any, Any]


async def _gateway(request: web.Request) -> web.StreamResponse:
    """Answer as a gateway with one server that has one tool."""
    message = json.loads(await request.read())
    if "id" not in message:
        return web.Response(status=202)
    answer = {"jsonrpc": "2.0", "id": message["id"]} | _answer(message)
    return web.json_response(answer)


def _answer(message: dict[str, Any]) -> dict[str, Any]:
    if message["method"] == "initialize":
        return {
            "result": {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "fake", "version": "1"},
            }
        }
    if message["method"] != "tools/call":
        return {"error": {"code": -32601, "message": "Method not found"}}
    arguments = message["params"]["arguments"]
    if message["params"]["name"] == "echo":
        return {"result": {"content": [{"type": "text", "text": arguments["text"]}]}}
    if message["params"]["name"] == "broken":
        return {"error": {"code": -32603, "message": "It broke."}}
    return {"error": {"code": -32602, "message": "Unknown tool"}}


@pytest.fixture
async def caller(database: Database) -> AsyncIterator[Client]:
    """An administrator of a hub with such a gateway and a running server."""
    app = web.Application()
    app.router.add_post("/servers/{name}/mcp", _gateway)
    app.router.add_delete("/servers/{name}/mcp", _gateway)
    async with TestServer(app) as gateway, aiohttp.ClientSession() as session:
        settings = await asyncio.to_thread(settings_for)
        url = str(gateway.make_url("")).rstrip("/")
        services = await asyncio.to_thread(
            services_for, database, session, settings, gateway_url=url
        )
        server = TestServer(make_app(services))
        await server.start_server()
        hub = Hub(database, services, server)
        client = await hub.client(await hub.person("admin@example.org"))
        made = await client.post(
            "/api/servers", json={"name": "clock", "package": "pypi:x"}
        )
        server_id = (await made.json())["server"]["id"]
        await database.run(store.set_status, server_id, Status.RUNNING)
        yield client
        await hub.close()


async def test_a_tool_answers(caller: Client) -> None:
    response = await caller.post(
        "/api/servers/clock/invoke", json={"tool": "echo", "arguments": {"text": "hi"}}
    )
    answer = await response.json()

    assert response.status == 200
    assert answer["result"]["content"] == [{"type": "text", "text": "hi"}]
    assert answer["duration_ms"] > 0


async def test_a_tool_that_is_not_there_is_the_callers_fault(caller: Client) -> None:
    response = await caller.post("/api/servers/clock/invoke", json={"tool": "nope"})

    assert (response.status, (await response.json())["code"]) == (422, "call_refused")


async def test_a_server_that_breaks_is_not_the_callers_fault(caller: Client) -> None:
    response = await caller.post("/api/servers/clock/invoke", json={"tool": "broken"})
    problem = await response.json()

    assert (response.status, problem["code"]) == (502, "mcp_call_failed")
    assert "It broke." in problem["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "tool"),
        ({"tool": "echo", "arguments": []}, "arguments"),
        ({"tool": "echo", "timeout_s": 0}, "timeout_s"),
        ({"tool": "echo", "arguments": {"text": "a\x00"}}, "arguments.text"),
    ],
)
async def test_bad_calls_name_their_field(
    caller: Client, body: dict[str, Any], field: str
) -> None:
    response = await caller.post("/api/servers/clock/invoke", json=body)

    assert response.status == 422
    assert (await response.json())["errors"][0]["field"] == field


async def test_every_call_is_in_the_trail_without_its_arguments(caller: Client) -> None:
    await caller.post(
        "/api/servers/clock/invoke",
        json={"tool": "echo", "arguments": {"text": "private"}},
    )

    trail = await (await caller.get("/api/audit?action=server.invoke")).text()

    assert "echo" in trail
    assert "private" not in trail
