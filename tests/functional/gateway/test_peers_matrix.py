"""Every kind of client before every kind of server, through the gateway as it really runs."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult

from tests.fakes.mcp_box import ROOT, Box, stdio_container
from tests.functional.gateway.test_peers_sessions import sdk_server

CLIENTS = ["legacy", "2026-07-28", "auto", "sse"]
#: A server's kind to how it runs: transport, eras, port; nothing for pipes.
SERVERS = {
    "http-legacy": ("streamable-http", "legacy", 5400),
    "http-modern": ("streamable-http", "modern", 5401),
    "http-both": ("streamable-http", "both", 5402),
    "http-sse": ("sse", "legacy", 5403),
    "stdio-modern": ("stdio", "modern", 0),
}
#: What the two servers call the same things: tool, arguments, words of its answer.
Tool = tuple[str, dict[str, Any], str]
SDK_TOOLS: dict[str, Tool] = {
    "text": ("test_simple_text", {}, "simple text"),
    "ask": ("test_elicitation", {"message": "Who?"}, "Ada"),
    "progress": ("test_tool_with_progress", {}, "success"),
    "touch": ("touch_watched_resource", {}, "touched"),
}
PIPE_TOOLS: dict[str, Tool] = {
    "text": ("echo", {"message": "simple text"}, "simple text"),
    "ask": ("ask", {}, "Hello Ada"),
    "progress": ("progress", {}, "done"),
    "touch": ("touch", {}, "done"),
}
STATELESS = (Path(ROOT) / "tests/fakes/mcp_stdio_modern.py").read_text()


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A kind, and where it runs."""
    transport, eras, port = SERVERS[request.param]
    if transport == "stdio":
        with stdio_container(script=STATELESS) as container_id:
            yield request.param, container_id
    else:
        with sdk_server(transport, port, eras) as address:
            yield request.param, address


@pytest.fixture
def kind(server: tuple[str, str], box: Box) -> str:
    """The server's kind; it is routed as ``any``."""
    name, place = server
    transport = SERVERS[name][0]
    if transport == "stdio":
        box.host_stdio("any", place)
    else:
        box._host(
            "any",
            transport,
            {},
            container_id="c0ffee" + name.encode().hex(),
            address=place,
        )
    return name


@asynccontextmanager
async def connected(box: Box, client: str, **options: Any) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {box.key}"}
    async with AsyncExitStack() as stack:
        if client == "sse":
            transport: Any = sse_client(f"{box.url}/servers/any/sse", headers=headers)
        else:
            http = httpx2.AsyncClient(headers=headers, timeout=20)
            await stack.enter_async_context(http)
            transport = streamable_http_client(
                f"{box.url}/servers/any/mcp", http_client=http
            )
        mode = "legacy" if client == "sse" else client
        async with asyncio.timeout(30):
            yield await stack.enter_async_context(
                Client(transport, mode=mode, **options)
            )


def tool_of(kind: str, what: str) -> Tool:
    name, arguments, words = (PIPE_TOOLS if "stdio" in kind else SDK_TOOLS)[what]
    return name, dict(arguments), words


def text(result: Any) -> str:
    return str(result.content[0].text)


@pytest.mark.parametrize("client", CLIENTS)
async def test_tools_are_listed_and_called(kind: str, client: str, box: Box) -> None:
    name, arguments, words = tool_of(kind, "text")
    async with connected(box, client) as session:
        listed = await session.list_tools()
        result = await session.call_tool(name, arguments)

    assert name in {tool.name for tool in listed.tools}
    assert words in text(result)


@pytest.mark.parametrize("client", CLIENTS)
async def test_progress_comes_through(kind: str, client: str, box: Box) -> None:
    name, arguments, _ = tool_of(kind, "progress")
    seen: list[float] = []

    async def note(
        progress: float,
        total: float | None,  # noqa: ARG001
        message: str | None,  # noqa: ARG001
    ) -> None:
        seen.append(progress)

    async with connected(box, client) as session:
        await session.call_tool(name, arguments, progress_callback=note)

    assert seen == sorted(seen)
    assert len(seen) >= 2


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_server_may_ask_its_client(kind: str, client: str, box: Box) -> None:
    name, arguments, words = tool_of(kind, "ask")

    async def answer(_context: Any, params: Any) -> ElicitResult:
        (field,) = params.requested_schema["properties"]
        return ElicitResult(action="accept", content={field: "Ada"})

    async with connected(box, client, elicitation_callback=answer) as session:
        result = await session.call_tool(name, arguments)

    assert words in text(result)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_that_cannot_answer_is_not_asked(
    kind: str, client: str, box: Box
) -> None:
    name, arguments, words = tool_of(kind, "ask")
    async with connected(box, client) as session:
        try:
            said = text(await session.call_tool(name, arguments))
        except Exception as error:  # noqa: BLE001 - how it is refused is the server's choice
            said = str(error)

    assert words not in said


@pytest.mark.parametrize("client", CLIENTS)
async def test_many_calls_at_once_get_their_own_answers(
    kind: str, client: str, box: Box
) -> None:
    if "stdio" in kind:
        calls = [("echo", {"message": f"number {n}"}, f"number {n}") for n in range(20)]
    else:
        name, arguments, _ = tool_of(kind, "text")
        calls = [(name, arguments, "simple text") for _ in range(20)]
    async with connected(box, client) as session:
        answers = await asyncio.gather(
            *(session.call_tool(name, arguments) for name, arguments, _ in calls)
        )

    assert all(
        words in text(answer)
        for answer, (_, _, words) in zip(answers, calls, strict=True)
    )


@pytest.mark.filterwarnings("ignore:resources/subscribe is removed")
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_resource_that_changes_is_heard_of_by_its_subscriber(
    kind: str, client: str, box: Box
) -> None:
    name, arguments, _ = tool_of(kind, "touch")
    uri = "test://watched" if "stdio" in kind else "test://watched-resource"
    heard: list[str] = []

    async def note(message: Any) -> None:
        heard.append(json.dumps(getattr(message, "method", "")))

    async with connected(box, client, message_handler=note) as session:
        if client in ("legacy", "sse"):
            await asyncio.sleep(0.3)  # its stream opens beside
            await session.subscribe_resource(uri)
            await session.call_tool(name, arguments)
            async with asyncio.timeout(5):
                while '"notifications/resources/updated"' not in heard:
                    await asyncio.sleep(0.05)
        else:
            async with session.listen(resource_subscriptions=[uri]) as stream:
                await session.call_tool(name, arguments)
                async with asyncio.timeout(5):
                    event = await anext(aiter(stream))
            assert uri in str(event)
