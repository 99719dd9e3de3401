"""What the hub reads of a server: every page of every list that it announces, and no wait for what it does not give."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from appliance.servers import mcp
from appliance.servers.exchange import Gateway
from appliance.servers.mcp import McpCallError, McpClient

Answers = dict[str, Callable[[dict[str, Any]], Any]]
ALL: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}}


def listing(member: str, *entries: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda _: {member: list(entries)}


class Server:
    """Answers with what the test says; a method without an answer is not known."""

    def __init__(self, capabilities: Any, answers: Answers) -> None:
        self.capabilities = capabilities
        self.answers = answers
        self.asked: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "DELETE":
            return web.Response()
        message = await request.json()
        method, request_id = message["method"], message.get("id")
        if request_id is None:
            return web.Response(status=202)
        self.asked.append(method)
        if method == "initialize":
            result: Any = {
                "protocolVersion": "2025-11-25",
                "capabilities": self.capabilities,
                "serverInfo": {"name": "s", "version": "1"},
            }
        elif method not in self.answers:
            error = {"code": -32601, "message": "Unknown method."}
            return web.json_response(
                {"jsonrpc": "2.0", "id": request_id, "error": error}
            )
        else:
            result = self.answers[method](message.get("params") or {})
            if asyncio.iscoroutine(result):
                result = await result
        return web.json_response({"jsonrpc": "2.0", "id": request_id, "result": result})


@pytest.fixture
async def probe() -> AsyncIterator[Callable[[Server], Any]]:
    """Probe a server as the hub does."""
    async with aiohttp.ClientSession() as session:
        running: list[TestServer] = []

        async def run(server: Server) -> mcp.Manifest:
            app = web.Application()
            app.router.add_route("*", "/servers/s/mcp", server.handle)
            running.append(TestServer(app))
            await running[-1].start_server()
            url = str(running[-1].make_url("/"))
            client = McpClient(Gateway(session, url, "k"), list_patience_s=0.5)
            return await client.probe("s")

        yield run
        for server in running:
            await server.close()


Probe = Callable[[Server], Any]


async def test_every_list_that_is_announced_is_read(probe: Probe) -> None:
    server = Server(
        ALL,
        {
            "tools/list": listing("tools", {"name": "t"}),
            "prompts/list": listing("prompts", {"name": "p"}),
            "resources/list": listing("resources", {"uri": "a:b"}),
            "resources/templates/list": listing(
                "resourceTemplates", {"uriTemplate": "a:{b}"}
            ),
        },
    )

    manifest = (await probe(server)).as_dict()

    assert manifest["tools"] == [{"name": "t"}]
    assert manifest["prompts"] == [{"name": "p"}]
    assert manifest["resources"] == [{"uri": "a:b"}]
    assert manifest["resourceTemplates"] == [{"uriTemplate": "a:{b}"}]
    assert manifest["unread"] == []


async def test_what_is_not_announced_is_not_asked_for(probe: Probe) -> None:
    server = Server({"tools": {}}, {"tools/list": listing("tools")})

    await probe(server)

    assert server.asked == ["initialize", "tools/list"]


async def test_lists_are_read_page_by_page(probe: Probe) -> None:
    def page(params: dict[str, Any]) -> Any:
        number = int(params.get("cursor", "0"))
        following = {"nextCursor": str(number + 1)} if number < 2 else {}
        return {"prompts": [{"name": f"p{number}"}], **following}

    manifest = await probe(Server({"prompts": {}}, {"prompts/list": page}))

    assert [item["name"] for item in manifest.prompts] == ["p0", "p1", "p2"]


async def test_a_list_without_end_is_cut(probe: Probe) -> None:
    forever = {"prompts": [{"name": "a"}] * 600, "nextCursor": "again"}

    manifest = await probe(Server({"prompts": {}}, {"prompts/list": lambda _: forever}))

    assert len(manifest.prompts) == mcp.MAX_ENTRIES


async def test_a_list_that_never_comes_holds_nothing_else_back(
    probe: Probe,
) -> None:
    async def hang() -> Any:
        await asyncio.sleep(5)

    server = Server(
        ALL,
        {
            "tools/list": listing("tools", {"name": "t"}),
            "prompts/list": lambda _: hang(),
            "resources/list": listing("resources", {"uri": "a:b"}),
        },
    )

    manifest = await probe(server)

    assert manifest.tools == ({"name": "t"},)
    assert manifest.resources == ({"uri": "a:b"},)
    assert manifest.unread == ("prompts",)


async def test_templates_that_a_server_does_not_know_are_none(probe: Probe) -> None:
    server = Server({"resources": {}}, {"resources/list": listing("resources")})

    assert (await probe(server)).unread == ()


async def test_tools_that_are_announced_and_refused_are_told(probe: Probe) -> None:
    def refuse(_: Any) -> Any:
        raise web.HTTPInternalServerError

    with pytest.raises(McpCallError):
        await probe(Server({"tools": {}}, {"tools/list": refuse}))


class Babbling(Server):
    """Answers ``initialize`` in no protocol; behind a gateway that remembers what it said to ``server/discover``."""

    async def handle(self, request: web.Request) -> web.Response:
        message = await request.json()
        if message["method"] == "initialize":
            self.asked.append("initialize")
            return web.Response(text="<p>It is a fine day.</p>")
        return await super().handle(request)


async def test_one_that_answers_in_no_protocol_is_not_asked_in_another(
    probe: Probe,
) -> None:
    server = Babbling({}, {"server/discover": lambda _: {"capabilities": {}}})

    with pytest.raises(McpCallError, match="not JSON-RPC") as caught:
        await probe(server)

    assert b"It is a fine day" in caught.value.answer
    assert server.asked == ["initialize"]


@pytest.mark.parametrize("listed", [None, "tools", {"name": "t"}, [None, 3, "x"]])
async def test_a_list_that_is_none_is_empty(probe: Probe, listed: Any) -> None:
    server = Server({"tools": {}}, {"tools/list": lambda _: {"tools": listed}})

    assert (await probe(server)).tools == ()


async def test_capabilities_that_are_none_are_none(probe: Probe) -> None:
    manifest = await probe(Server("tools", {}))

    assert manifest.capabilities == {}
