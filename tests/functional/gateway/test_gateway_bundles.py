"""A bundle through a gateway as it runs: a good member, a dead one, one that never answers and one that lies."""

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.request import Request

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitResult
from psycopg2.extras import Json

from appliance.core.ids import key_hash, new_key
from tests.fakes.mcp_box import ROOT, Box, stdio_container, wait_until
from tests.functional.gateway.conftest import accepts
from tests.harness.ports import free_port

MODES = ["legacy", "2026-07-28"]
STORED = {"tools": [{"name": "stored", "inputSchema": {"type": "object"}}]}
#: Reads what it is asked, and says nothing.
SILENT = "import sys\nfor line in sys.stdin: pass"
#: Opens well, and lists what no client can read.
LYING = """
import json, sys
LIST = [{"name": "fine", "inputSchema": {"type": "object"}}, {"name": 5}, "nonsense", {"name": "bad", "inputSchema": []}]
for line in sys.stdin:
    asked = json.loads(line.strip() or "{}")
    if "id" not in asked:
        continue
    result = {"tools": LIST, "nextCursor": 7}
    if asked["method"] == "initialize":
        can = {"tools": {}, "prompts": {}}
        result = {"protocolVersion": "2025-11-25", "capabilities": can, "serverInfo": {"name": "l", "version": "1"}}
    if asked["method"] == "prompts/list":
        result = ["no", "prompts"]
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


#: Has a prompt and two resources, one of which is listed by nobody.
LIBRARY = """
import json, sys
BOOK = {"uri": "book:1", "name": "One"}
ANSWERS = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"prompts": {}, "resources": {}},
        "serverInfo": {"name": "l", "version": "1"},
    },
    "prompts/list": {"prompts": [{"name": "greet", "arguments": [{"name": "who"}]}]},
    "resources/list": {"resources": [BOOK]},
    "resources/templates/list": {"resourceTemplates": []},
}
for line in sys.stdin:
    asked = json.loads(line.strip() or "{}")
    if "id" not in asked:
        continue
    params = asked.get("params") or {}
    answer = {"result": ANSWERS.get(asked["method"], {})}
    if asked["method"] == "prompts/get":
        content = {"type": "text", "text": params["name"]}
        answer = {"result": {"messages": [{"role": "user", "content": content}]}}
    if asked["method"] == "resources/read":
        answer = {"result": {"contents": [{"uri": params["uri"], "text": "text of " + params["uri"]}]}}
        if params["uri"] == "book:0":
            answer = {"error": {"code": -32002, "message": "no such book"}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}), flush=True)
"""


def add_bundle(box: Box, name: str, *servers: str, **members: Any) -> str:
    """Bundle servers of several owners for an administrator; returns the endpoint key."""
    key = new_key("mcpb_")
    with box.one_transaction():
        bundle_id = box.execute(
            "INSERT INTO bundles (name, owner_id, description, endpoint_key_hash, endpoint_key_prefix)"
            " VALUES (%s, %s, 'All of them.', %s, '') RETURNING id",
            name,
            box.add_user("admin"),
            key_hash(key),
        )
        for position, server in enumerate(servers):
            said = members.get(server, {})
            box.execute(
                "INSERT INTO bundle_members (bundle_id, server_id, position, prefix, tools, overrides)"
                " SELECT %s, id, %s, name, %s, %s FROM servers WHERE name = %s",
                bundle_id,
                position,
                Json(said["tools"]) if "tools" in said else None,
                Json(said.get("overrides", {})),
                server,
            )
    wait_until(
        lambda: status(box, f"/bundles/{name}/mcp", key) == 405,
        "the bundle is routed",
    )
    return key


def status(box: Box, path: str, key: str) -> int:
    """What a key gets: 405 says that it opens the endpoint, which has no such method."""
    request = Request(f"{box.url}{path}", headers=bearer(key), method="PUT")
    return box._ask(request)[0]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@asynccontextmanager
async def connected(
    box: Box, key: str, mode: str, name: str = "all", **options: Any
) -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(headers=bearer(key), timeout=20) as http:
        url = f"{box.url}/bundles/{name}/mcp"
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, **options) as client:
            yield client


def text(result: Any) -> str:
    return str(result.content[0].text)


def names(listed: Any) -> list[str]:
    return [tool.name for tool in listed.tools]


@pytest.fixture(scope="module")
def sdk_server() -> Iterator[str]:
    """The address of a server written with the SDK."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fakes.mcp_sdk", str(port)]
    with subprocess.Popen(command, cwd=ROOT) as server:
        wait_until(lambda: accepts(port), "the SDK's server listens")
        yield f"http://127.0.0.1:{port}/mcp"
        server.kill()


@pytest.fixture(scope="module")
def containers() -> Iterator[dict[str, str]]:
    """Members: two that answer, one that never does, one that lies, one that has ended."""
    with contextlib.ExitStack() as stack:
        ids = {
            "good": stack.enter_context(stdio_container()),
            "slow": stack.enter_context(stdio_container(script=SILENT)),
            "lying": stack.enter_context(stdio_container(script=LYING)),
            "library": stack.enter_context(stdio_container(script=LIBRARY)),
            "copy": stack.enter_context(stdio_container(script=LIBRARY)),
            "dead": stack.enter_context(stdio_container(script="raise SystemExit(3)")),
        }
        yield ids


@pytest.fixture
def members(box: Box, containers: dict[str, str], sdk_server: str) -> Iterator[Box]:
    """A gateway before the members, and an HTTP server called ``web``."""
    box.execute("DELETE FROM bundles")
    for name, container_id in containers.items():
        box.host_stdio(name, container_id)
    box.host_http("web", sdk_server)
    box.execute(
        "UPDATE deployments SET manifest = %s WHERE server_id = (SELECT id FROM servers WHERE name = 'dead')",
        Json(STORED),
    )
    yield box
    box.execute("DELETE FROM bundles")


@pytest.mark.parametrize("mode", MODES)
async def test_nobodys_fault_takes_a_tool_away_from_anybody(
    members: Box, mode: str
) -> None:
    key = await asyncio.to_thread(
        add_bundle, members, "all", "slow", "good", "dead", "lying", "web"
    )

    async with connected(members, key, mode) as client:
        listed = names(await client.list_tools())
        started = time.monotonic()
        again = names(await client.list_tools())
        took_s = time.monotonic() - started
        echoed = await client.call_tool("good__echo", {"message": "hi"})
        by_web = await client.call_tool("web__echo", {"message": "there"})
        with pytest.raises(MCPError) as dead:
            await client.call_tool("dead__stored", {})

    own = [name for name in listed if name.startswith(("dead", "lying", "web"))]
    assert own == ["dead__stored", "lying__fine", "web__echo", "web__steps", "web__sleep"]  # fmt: skip
    assert "good__echo" in listed
    assert listed == again
    assert took_s < 2, "a slow member is waited for once"
    assert text(echoed) == "Echo: hi"
    assert text(by_web) == "Echo: there"
    assert "dead" in str(dead.value)
    assert dead.value.error.data["member"] == "dead"


@pytest.mark.parametrize("mode", MODES)
async def test_progress_of_a_member_reaches_the_client(members: Box, mode: str) -> None:
    key = await asyncio.to_thread(add_bundle, members, "all", "good", "web")
    seen: list[float] = []

    async def note(
        progress: float,
        total: float | None,  # noqa: ARG001
        message: str | None,  # noqa: ARG001
    ) -> None:
        seen.append(progress)

    async with connected(members, key, mode) as client:
        for tool in ("good__progress", "web__steps"):
            await client.call_tool(tool, {}, progress_callback=note)

    assert seen == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_bundle_introduces_itself(members: Box, mode: str) -> None:
    key = await asyncio.to_thread(add_bundle, members, "all", "good", "web")

    async with connected(members, key, mode) as client:
        info, words = client.server_info, client.instructions

    assert info is not None
    assert info.name == "all"
    assert words is not None
    assert words.startswith("All of them.")
    assert "## web\n\nA fixture." in words


async def test_chosen_and_renamed_tools_are_all_there_is(members: Box) -> None:
    override = {"echo": {"name": "say", "description": "Says it."}}
    key = await asyncio.to_thread(
        add_bundle, members, "all", "good", good={"tools": ["echo"], "overrides": override}
    )  # fmt: skip

    async with connected(members, key, "legacy") as client:
        listed = (await client.list_tools()).tools
        said = await client.call_tool("say", {"message": "x"})
        with pytest.raises(MCPError):
            await client.call_tool("good__echo", {"message": "x"})

    assert [(tool.name, tool.description) for tool in listed] == [("say", "Says it.")]
    assert text(said) == "Echo: x"


def test_a_key_opens_its_bundle_and_none_of_its_members(members: Box) -> None:
    key = add_bundle(members, "all", "good")
    other = add_bundle(members, "other", "web")

    assert status(members, "/bundles/other/mcp", key) == 404
    assert status(members, "/servers/good/mcp", key) == 404
    assert status(members, "/bundles/all/mcp", members.key) == 404
    assert status(members, "/bundles/all/mcp", "mcpb_wrong") == 401
    assert status(members, "/bundles/other/mcp", other) == 405


def test_a_revoked_key_is_refused_within_two_seconds(members: Box) -> None:
    key = add_bundle(members, "all", "good")

    members.execute(
        "UPDATE bundles SET endpoint_key_hash = %s", secrets.token_bytes(32)
    )

    wait_until(
        lambda: status(members, "/bundles/all/mcp", key) == 401,
        "the key is refused",
        within_s=2,
    )


async def test_a_member_that_is_taken_out_is_gone_and_clients_hear_of_it(
    members: Box,
) -> None:
    key = await asyncio.to_thread(add_bundle, members, "all", "good", "web")
    changed = asyncio.Event()

    async def hear(message: Any) -> None:
        if "tools/list_changed" in str(message):
            changed.set()

    async with connected(members, key, "legacy", message_handler=hear) as client:
        await client.list_tools()
        await asyncio.sleep(0.5)  # the stream of notifications is opened meanwhile
        await asyncio.to_thread(
            members.execute, "DELETE FROM bundle_members WHERE prefix = 'web'"
        )
        async with asyncio.timeout(5):
            await changed.wait()
        left = names(await client.list_tools())

    assert all(name.startswith("good__") for name in left)


async def test_the_member_that_answered_is_told_to_nobody_but_the_trace(
    members: Box,
) -> None:
    key = await asyncio.to_thread(add_bundle, members, "all", "good")
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "good__echo", "arguments": {"message": "x"}},
    }

    async with httpx2.AsyncClient(headers=bearer(key), timeout=20) as http:
        answer = await http.post(
            f"{members.url}/bundles/all/mcp",
            json=message,
            headers={"Accept": "application/json, text/event-stream"},
        )

    assert answer.status_code == 200, answer.text
    assert "x-gateway-server" not in answer.headers
    assert "Echo: x" in json.dumps(answer.text)
    told = (
        "SELECT i.server_id = s.id AND i.bundle_id = b.id AND i.target = 'good__echo'"
        " FROM invocations i, servers s, bundles b WHERE s.name = 'good'"
        " AND b.name = 'all' ORDER BY i.id DESC LIMIT 1"
    )
    await asyncio.to_thread(
        wait_until, lambda: members.execute(told), "the call is a row of its member"
    )


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_what_a_member_asks_reaches_the_client(members: Box, mode: str) -> None:
    key = await asyncio.to_thread(add_bundle, members, "all", "web", "good")
    form = {
        "message": "Who?",
        "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
    }  # fmt: skip

    async def answer(_context: Any, params: Any) -> ElicitResult:
        assert params.message == "Who?"
        return ElicitResult(action="accept", content={"name": "Ada"})

    async with connected(members, key, mode, elicitation_callback=answer) as client:
        said = await client.call_tool(
            "good__inquire", {"method": "elicitation/create", "params": form}
        )

    assert "Ada" in text(said)


@pytest.mark.parametrize("mode", MODES)
async def test_prompts_and_resources_of_members_are_the_bundles(
    members: Box, mode: str
) -> None:
    key = await asyncio.to_thread(
        add_bundle, members, "all", "lying", "dead", "library", "copy"
    )

    async with connected(members, key, mode) as client:
        prompts = [item.name for item in (await client.list_prompts()).prompts]
        prompt = await client.get_prompt("copy__greet", {"who": "x"})
        uris = [str(item.uri) for item in (await client.list_resources()).resources]
        read = [await client.read_resource(uri) for uri in [*uris, "book:hidden"]]
        with pytest.raises(MCPError):
            await client.read_resource("book:0")

    assert prompts == ["library__greet", "copy__greet"]
    assert prompt.messages[0].content.model_dump()["text"] == "greet"
    assert uris == ["book:1", "bundle:copy:book:1"]
    texts = [item.contents[0].model_dump()["text"] for item in read]
    assert texts == ["text of book:1", "text of book:1", "text of book:hidden"]


async def test_a_client_of_2024_reaches_a_bundle_over_http_and_sse(
    members: Box,
) -> None:
    key = await asyncio.to_thread(add_bundle, members, "all", "dead", "good")
    transport = sse_client(f"{members.url}/bundles/all/sse", headers=bearer(key))

    async with Client(transport, mode="legacy") as client:
        listed = names(await client.list_tools())
        echoed = await client.call_tool("good__echo", {"message": "hi"})

    assert "dead__stored" in listed
    assert text(echoed) == "Echo: hi"
