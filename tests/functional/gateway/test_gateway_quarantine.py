"""Tools that are held back, through a gateway as it runs: in both eras, at every door, in bundles, and before the hub knows."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from psycopg2.extras import Json

from appliance.core.definitions import fingerprint
from appliance.infra.connections import connection_arguments, listen
from tests.fakes.mcp_box import ROOT, Box, stdio_container, wait_until
from tests.functional.gateway.conftest import accepts
from tests.functional.gateway.test_gateway_bundles import add_bundle, bearer
from tests.harness.ports import free_port

MODES = ["legacy", "2026-07-28"]
KINDS = ["stdio", "http"]
#: Three tools: what is approved, what has changed since, and what nobody has seen.
THREE = """
import json, sys
NAMES = ("echo", "steps", "sleep")
TOOLS = [{"name": name, "description": "As ever.", "inputSchema": {"type": "object"}} for name in NAMES]
for line in sys.stdin:
    asked = json.loads(line.strip() or "{}")
    if "id" not in asked:
        continue
    result = {"tools": TOOLS}
    if asked["method"] == "initialize":
        info = {"name": "l", "version": "1"}
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
    if asked["method"] == "tools/call":
        said = (asked["params"].get("arguments") or {}).get("message")
        result = {"content": [{"type": "text", "text": f"Echo: {said}"}]}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """A stdio server's container and the URL of one written with the SDK, both with the three tools."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fakes.mcp_sdk", str(port)]
    with (
        stdio_container(script=THREE) as container_id,
        subprocess.Popen(command, cwd=ROOT) as server,
    ):
        wait_until(lambda: accepts(port), "the SDK's server listens")
        yield {"stdio": container_id, "http": f"http://127.0.0.1:{port}/mcp"}
        server.kill()


@asynccontextmanager
async def connected(box: Box, path: str, key: str, mode: str) -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(headers=bearer(key), timeout=20) as http:
        transport = streamable_http_client(f"{box.url}{path}", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


def names(listed: Any) -> list[str]:
    return [tool.name for tool in listed.tools]


async def definitions(box: Box, mode: str = "legacy") -> dict[str, Any]:
    """Return what the hub reads: everything."""
    async with connected(box, "/servers/some/mcp", box.internal_key, mode) as client:
        listed = await client.list_tools()
    return {
        tool.name: tool.model_dump(mode="json", by_alias=True, exclude_unset=True)
        for tool in listed.tools
    }


def quarantine(box: Box, server: str, known: dict[str, Any]) -> None:
    """Have ``echo`` be approved as it is and ``steps`` as it was; nobody has seen ``sleep``."""
    with box.one_transaction():
        server_id = box.execute(
            'UPDATE servers SET config = config || \'{"pinning": "quarantine"}\' WHERE name = %s RETURNING id',
            server,
        )
        pins = {"echo": fingerprint(known["echo"]), "steps": fingerprint("as it was")}
        for name, hashed in pins.items():
            box.execute(
                "INSERT INTO tool_pins (server_id, kind, name, definition, hash, image, deployment, approved_by, approved_at)"
                " VALUES (%s, 'tool', %s, '{}', %s, '', 1, 'ada', now())",
                server_id,
                name,
                hashed,
            )
        box.execute(
            "INSERT INTO tool_changes (server_id, what, kind, name, renamed_from, after, hash, deployment, found_at, state,"
            " decided_by, reason) VALUES (%s, 'changed', 'tool', 'steps', '', %s, 'x', 1, now(), 'waiting', '', '')",
            server_id,
            Json(known["steps"]),
        )
        box.execute(
            "INSERT INTO tool_decisions (server_id, at, actor, action, reason, items, is_undone)"
            " VALUES (%s, now(), 'ada', 'pin', '', '[]', false)",
            server_id,
        )


def is_held(box: Box) -> bool:
    # Each of the two workers reads the routes for itself.
    answers = [json.dumps(box.call("some", "steps")) for _ in range(6)]
    return all("tool_held" in answer for answer in answers)


@pytest.fixture(params=KINDS)
async def guarded(box: Box, addresses: dict[str, str], request: Any) -> Box:
    """A gateway before ``some``, of whose tools clients get ``echo`` alone."""
    kind = request.param
    host = box.host_stdio if kind == "stdio" else box.host_http
    await asyncio.to_thread(host, "some", addresses[kind])
    known = await definitions(box)
    await asyncio.to_thread(quarantine, box, "some", known)
    await asyncio.to_thread(wait_until, lambda: is_held(box), "the pins are routed")
    return box


@pytest.mark.parametrize("mode", MODES)
async def test_clients_get_what_was_approved_and_are_told_why_they_get_no_more(
    guarded: Box, mode: str
) -> None:
    async with connected(guarded, "/servers/some/mcp", guarded.key, mode) as client:
        listed = names(await client.list_tools())
        echoed = await client.call_tool("echo", {"message": "hi"})
        with pytest.raises(MCPError) as changed:
            await client.call_tool("steps", {})
        with pytest.raises(MCPError) as unseen:
            await client.call_tool("sleep", {})

    assert listed == ["echo"]
    assert getattr(echoed.content[0], "text", "") == "Echo: hi"
    assert "its definition changed since it was approved" in str(changed.value)
    assert "mcpctl tools approve some" in str(changed.value)
    assert changed.value.error.data == {"code": "tool_held", "why": "changed", "tool": "steps"}  # fmt: skip
    assert "nobody has approved" in str(unseen.value)


@pytest.mark.parametrize("mode", MODES)
async def test_a_bundle_shows_and_calls_no_more_than_its_members_do(
    guarded: Box, mode: str
) -> None:
    key = await asyncio.to_thread(add_bundle, guarded, "all", "some")

    async with connected(guarded, "/bundles/all/mcp", key, mode) as client:
        listed = names(await client.list_tools())
        echoed = await client.call_tool("some__echo", {"message": "hi"})
        with pytest.raises(MCPError, match="changed since it was approved"):
            await client.call_tool("some__steps", {})
        with pytest.raises(MCPError, match="nobody has approved"):
            await client.call_tool("some__sleep", {})

    assert listed == ["some__echo"]
    assert getattr(echoed.content[0], "text", "") == "Echo: hi"


async def test_the_old_transport_lists_no_more(guarded: Box) -> None:
    url = f"{guarded.url}/servers/some/sse"
    transport = sse_client(url, headers=bearer(guarded.key))
    async with Client(transport, mode="legacy") as client:
        assert names(await client.list_tools()) == ["echo"]
        with pytest.raises(MCPError, match="changed since it was approved"):
            await client.call_tool("steps", {})


async def test_the_hub_reads_everything_and_calls_no_more_than_others(
    guarded: Box,
) -> None:
    found = [await definitions(guarded, mode) for mode in MODES]
    path = "/servers/some/mcp"

    async with connected(guarded, path, guarded.internal_key, "legacy") as client:
        with pytest.raises(MCPError, match="changed since it was approved"):
            await client.call_tool("steps", {})

    assert set(found[0]) == {"echo", "steps", "sleep"}
    # What is approved in one era is known in the other.
    assert found[0] == found[1]


async def test_the_hub_is_told_of_what_it_has_not_read(guarded: Box) -> None:
    listening = asyncio.Event()

    async def heard() -> str:
        async with asyncio.timeout(8):
            async for channel, payload in listen(
                connection_arguments(guarded.database_url), "manifests"
            ):
                listening.set()
                if channel:
                    return payload
        raise AssertionError

    hearing = asyncio.create_task(heard())
    await listening.wait()

    async with connected(guarded, "/servers/some/mcp", guarded.key, "legacy") as client:
        await client.list_tools()

    assert await hearing == "some"


async def test_an_approval_is_in_force_at_once(guarded: Box) -> None:
    known = await definitions(guarded)

    def approve() -> None:
        with guarded.one_transaction():
            guarded.execute("DELETE FROM tool_changes")
            guarded.execute(
                "UPDATE tool_pins SET hash = %s WHERE name = 'steps'",
                fingerprint(known["steps"]),
            )
        wait_until(lambda: not is_held(guarded), "the approval is routed")

    await asyncio.to_thread(approve)
    path = "/servers/some/mcp"
    async with connected(guarded, path, guarded.key, "2026-07-28") as client:
        assert names(await client.list_tools()) == ["echo", "steps"]
