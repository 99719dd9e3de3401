"""Clients that nobody here wrote, in front of servers of both kinds."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from appliance.servers.exchange import Gateway
from appliance.servers.mcp import McpCallError, McpClient, McpUnavailableError
from tests.fakes.mcp_box import ROOT, Box, stdio_container, wait_until
from tests.functional.gateway.conftest import accepts
from tests.harness.ports import free_port

MODES = ["auto", "legacy", "2026-07-28"]


@pytest.fixture(scope="module")
def sdk_server() -> Iterator[str]:
    """The address of a server written with the SDK."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fakes.mcp_sdk", str(port)]
    with subprocess.Popen(command, cwd=ROOT) as server:
        wait_until(lambda: accepts(port), "the SDK's server listens")
        yield f"http://127.0.0.1:{port}/mcp"
        server.kill()


@pytest.fixture(params=["stdio", "http"])
def any_box(request: pytest.FixtureRequest, box: Box, sdk_server: str) -> Iterator[Box]:
    """A gateway before a server called ``any``."""
    if request.param == "http":
        box.host_http("any", sdk_server)
        yield box
        return
    with stdio_container() as container_id:
        box.host_stdio("any", container_id)
        yield box


@asynccontextmanager
async def connected(box: Box, mode: str, **options: Any) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {box.key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=20) as http:
        transport = streamable_http_client(
            f"{box.url}/servers/any/mcp", http_client=http
        )
        async with Client(transport, mode=mode, **options) as client:
            yield client


def text(result: Any) -> str:
    return str(result.content[0].text)


@pytest.mark.parametrize("mode", MODES)
async def test_the_sdks_client_lists_and_calls(any_box: Box, mode: str) -> None:
    async with connected(any_box, mode) as client:
        tools = await client.list_tools()
        result = await client.call_tool("echo", {"message": "hi"})

    assert "echo" in [tool.name for tool in tools.tools]
    assert text(result) == "Echo: hi"


@pytest.mark.parametrize(
    ("mode", "revision"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")]
)
async def test_the_newest_revision_of_each_era_is_agreed_on(
    any_box: Box, mode: str, revision: str
) -> None:
    async with connected(any_box, mode) as client:
        assert client.protocol_version == revision


@pytest.mark.parametrize("mode", MODES)
async def test_progress_reaches_the_sdks_client(any_box: Box, mode: str) -> None:
    tool = "steps" if "steps" in await tool_names(any_box) else "progress"
    seen: list[float] = []

    async def note(
        progress: float,
        total: float | None,  # noqa: ARG001
        message: str | None,  # noqa: ARG001
    ) -> None:
        seen.append(progress)

    async with connected(any_box, mode) as client:
        result = await client.call_tool(tool, {}, progress_callback=note)

    assert text(result).startswith("done")
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("mode", MODES)
async def test_a_method_that_the_server_lacks_is_an_error_and_no_hang(
    any_box: Box, mode: str
) -> None:
    async with connected(any_box, mode) as client:
        if any_box.transport == "streamable-http":
            assert (await client.list_prompts()).prompts == []
        else:
            with pytest.raises(MCPError):
                await client.list_prompts()


@pytest.mark.parametrize("mode", MODES)
async def test_many_sdk_clients_at_once_get_their_own_answers(
    any_box: Box, mode: str
) -> None:
    async def one(number: int) -> str:
        async with connected(any_box, mode) as client:
            return text(await client.call_tool("echo", {"message": str(number)}))

    answers = await asyncio.gather(*(one(number) for number in range(8)))

    assert answers == [f"Echo: {number}" for number in range(8)]


async def test_a_modern_subscription_hears_of_changed_lists(stdio_box: Box) -> None:
    headers = modern_headers(stdio_box, "subscriptions/listen")
    body = modern_request(
        "subscriptions/listen",
        {"notifications": {"toolsListChanged": True, "promptsListChanged": True}},
    )
    url = f"{stdio_box.url}/servers/fake/mcp"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=body, headers=headers) as response,
    ):
        first = await next_event(response)
        await asyncio.to_thread(stdio_box.call, "fake", "changed")
        second = await next_event(response)

    assert first["method"] == "notifications/subscriptions/acknowledged"
    assert first["params"]["notifications"] == {"toolsListChanged": True}
    assert second["method"] == "notifications/tools/list_changed"
    assert second["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": 1}


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"Mcp-Method": "tools/list"}, 400, -32020),
        ({"Mcp-Method": ""}, 400, -32020),
        ({"Mcp-Name": "die"}, 400, -32020),
        ({"Mcp-Name": "=?base64?ZGll?="}, 400, -32020),
        ({"Mcp-Name": "=?base64?ZWNobw==?="}, 200, None),
        ({"MCP-Protocol-Version": "2099-01-01"}, 400, -32020),
    ],
)
def test_modern_headers_and_bodies_must_agree(
    stdio_box: Box, changes: dict[str, str], status: int, code: int | None
) -> None:
    headers = modern_headers(stdio_box, "tools/call", "echo") | changes
    body = modern_request("tools/call", {"name": "echo", "arguments": {}})

    answered, answer = stdio_box.post(
        "fake", body, headers={key: value for key, value in headers.items() if value}
    )

    assert answered == status
    assert answer.get("error", {}).get("code") == code


@pytest.mark.parametrize(
    "method",
    ["ping", "initialize", "unheard/of", "resources/subscribe", "logging/setLevel"],
)
def test_methods_that_the_modern_era_lacks_are_not_found(
    stdio_box: Box, method: str
) -> None:
    status, answer = stdio_box.post(
        "fake", modern_request(method), headers=modern_headers(stdio_box, method)
    )

    assert (status, answer["error"]["code"]) == (404, -32601)


def test_a_client_that_sends_both_openings_is_served(stdio_box: Box) -> None:
    discover = modern_request("server/discover")
    initialize = {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "initialize",
        "params": {"protocolVersion": "2026-07-28"},
    }

    first = stdio_box.post(
        "fake", discover, headers=modern_headers(stdio_box, "server/discover")
    )
    second = stdio_box.post(
        "fake", initialize, headers=modern_headers(stdio_box, "initialize")
    )

    assert "2026-07-28" in first[1]["result"]["supportedVersions"]
    assert second[1]["result"]["protocolVersion"] == "2025-11-25"


def test_a_modern_revision_that_is_not_known_names_those_that_are(
    stdio_box: Box,
) -> None:
    body = modern_request("tools/list")
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2099-01-01"
    headers = modern_headers(stdio_box, "tools/list") | {
        "MCP-Protocol-Version": "2099-01-01"
    }

    status, answer = stdio_box.post("fake", body, headers=headers)

    assert (status, answer["error"]["code"]) == (400, -32022)
    assert "2026-07-28" in answer["error"]["data"]["supported"]


def test_modern_results_say_how_long_they_keep_and_older_servers_see_no_envelope(
    stdio_box: Box,
) -> None:
    listed = stdio_box.post(
        "fake",
        modern_request("tools/list"),
        headers=modern_headers(stdio_box, "tools/list"),
    )[1]
    body = modern_request("tools/call", {"name": "meta", "arguments": {}})
    called = stdio_box.post(
        "fake", body, headers=modern_headers(stdio_box, "tools/call", "meta")
    )[1]

    assert listed["result"]["resultType"] == "complete"
    assert (listed["result"]["ttlMs"], listed["result"]["cacheScope"]) == (0, "private")
    assert json.loads(called["result"]["content"][0]["text"]) == {"traceparent": "00-1"}


async def test_the_hub_asks_through_the_gateway(any_box: Box) -> None:
    async with aiohttp.ClientSession() as session:
        client = McpClient(Gateway(session, any_box.url, any_box.internal_key))

        manifest = await client.probe("any")
        result = await client.call_tool("any", "echo", {"message": "hub"}, timeout_s=10)

    assert "echo" in [tool["name"] for tool in manifest.tools]
    assert manifest.protocol_version == "2025-11-25"
    assert manifest.as_dict()["serverInfo"]["name"] in {"fake", "sdk-fixture"}
    assert result["content"][0]["text"] == "Echo: hub"


async def test_the_hub_notices_that_an_older_instance_answered(any_box: Box) -> None:
    async with aiohttp.ClientSession() as session:
        client = McpClient(Gateway(session, any_box.url, any_box.internal_key))
        instance_id = any_box.execute("SELECT id FROM instances")

        assert (await client.probe("any", instance_id=instance_id)).tools
        with pytest.raises(McpUnavailableError):
            await client.probe("any", instance_id=instance_id + 1)


async def test_the_hub_is_told_what_went_wrong(any_box: Box) -> None:
    any_box.add_server(
        "idle", any_box.owner, status="error", reason="It ended with exit code 3."
    )
    any_box.wait_routed("idle")
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with aiohttp.ClientSession() as session:
        client = McpClient(Gateway(session, any_box.url, any_box.internal_key))

        with pytest.raises(McpUnavailableError, match="idle is error: It ended"):
            await client.probe("idle")
        with pytest.raises(McpUnavailableError, match=r"within 0\.5 seconds"):
            await client.call_tool(
                "any",
                "slow" if any_box.transport == "stdio" else "sleep",
                {"seconds": 9},
                timeout_s=0.5,
            )
        with pytest.raises(McpUnavailableError, match="does not answer"):
            await McpClient(Gateway(session, nowhere, "k")).probe("any")
        with pytest.raises(McpCallError):
            await McpClient(Gateway(session, any_box.url, "wrong")).probe("any")


async def tool_names(box: Box) -> list[str]:
    async with connected(box, "legacy") as client:
        return [tool.name for tool in (await client.list_tools()).tools]


def modern_headers(box: Box, method: str, name: str | None = None) -> dict[str, str]:
    headers = {
        "Authorization": f"Bearer {box.key}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": method,
    }
    return headers | ({"Mcp-Name": name} if name else {})


def modern_request(method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "traceparent": "00-1",
    }
    return {
        "jsonrpc": "2.0",
        "id": 1,
        "method": method,
        "params": {**(params or {}), "_meta": meta},
    }


async def next_event(response: aiohttp.ClientResponse) -> Any:
    async with asyncio.timeout(5):
        while not (line := await response.content.readline()).startswith(b"data: "):
            assert line, "the stream ended"
    return json.loads(line[6:])
