"""How a server speaks is found out by asking it, once; and a session that it forgot has one successor."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from appliance.core.errors import DomainError
from appliance.gateway.bridge.peers.door import Door
from appliance.gateway.bridge.peers.hello import Hello
from appliance.gateway.bridge.peers.http_peer import HttpPeer, direct_eras
from appliance.gateway.http.upstream import Upstreams
from appliance.gateway.routes import Route
from tests.functional.gateway.test_peers_sessions import (
    ALICE,
    LIMIT,
    kill_listener,
    request,
    sdk_server,
    text_of,
    told,
    tool,
)

#: What runs, how it is called in the routing table, and how it is to be found.
KINDS = {
    "legacy": ("streamable-http", "streamable-http", ("legacy",)),
    "modern": ("streamable-http", "streamable-http", ("modern",)),
    "both": ("streamable-http", "streamable-http", ("legacy", "modern")),
    "sse": ("sse", "sse", ("legacy",)),
    "sse, called something else": ("sse", "streamable-http", ("legacy",)),
    "sse, looked for elsewhere": ("sse", "streamable-http", ("legacy",)),
}


@asynccontextmanager
async def peer_of(address: str, transport: str) -> AsyncIterator[HttpPeer]:
    route = Route(1, "sdk", 1, "running", "", 1, "c0ffee", transport, address)
    async with Upstreams("", allow_private=True) as upstreams:
        peer = HttpPeer(Door(upstreams, route, LIMIT), 5.0)
        try:
            yield peer
        finally:
            await peer.close()


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A kind, and the address of such a server."""
    transport, _, eras = KINDS[request.param]
    port = 5430 + list(KINDS).index(request.param)
    era = "both" if len(eras) > 1 else eras[0]
    with sdk_server(transport, port, era) as address:
        is_elsewhere = request.param.endswith("elsewhere")
        yield (
            request.param,
            address.replace("/sse", "/mcp") if is_elsewhere else address,
        )


async def test_every_kind_is_found_out_and_serves(kind: tuple[str, str]) -> None:
    name, address = kind
    transport, called, eras = KINDS[name]
    async with peer_of(address, called) as peer:
        found = await peer.finding()
        call = await peer.begin(tool("test_simple_text"), ALICE)

        assert (found.transport, found.eras) == (transport, eras)
        assert direct_eras(found) == ([] if transport == "sse" else list(eras))
        assert found.opened["serverInfo"]["name"] == "conformance-server"
        assert "simple text" in await text_of(call)


async def test_a_server_that_speaks_something_else_is_named(web_server: str) -> None:
    async with peer_of(f"{web_server}/unauthorized", "streamable-http") as peer:
        with pytest.raises(DomainError, match="authorization of its own"):
            await peer.opened()


async def test_a_server_that_is_another_one_now_is_asked_again() -> None:
    """The same address, first one era and then the other."""
    with sdk_server("streamable-http", 5440, "legacy") as address:
        async with peer_of(address, "streamable-http") as peer:
            await told(await peer.begin(request("tools/list"), ALICE))
            kill_listener(5440)
            with sdk_server("streamable-http", 5440, "modern"):
                async with asyncio.timeout(10):
                    while (await peer.finding()).eras != ("modern",):
                        # The first may still meet the dead server's connection, and is not sent twice.
                        call = await peer.begin(request("tools/list"), ALICE)
                        while not call.is_over:
                            await call.news()
                answer = await told(await peer.begin(request("tools/list"), ALICE))
    assert answer["result"]["tools"]


async def test_a_server_that_says_something_else_now_is_quoted() -> None:
    """Not that the session ended: that is what becomes of it, and tells nobody what is wrong."""
    babbles = False

    async def answer(request: web.Request) -> web.Response:
        message = await request.json()
        if babbles:
            return web.Response(text="<p>It is a fine day.</p>")
        if message.get("method") != "initialize":
            error = {"code": -32601, "message": "no such method"}
            return web.json_response(
                {"jsonrpc": "2.0", "id": message.get("id"), "error": error}
            )
        opened = {"protocolVersion": "2025-06-18", "capabilities": {}}
        return web.json_response(
            {"jsonrpc": "2.0", "id": message["id"], "result": opened}
        )

    app = web.Application()
    app.router.add_post("/mcp", answer)
    async with (
        TestServer(app) as server,
        peer_of(str(server.make_url("/mcp")), "streamable-http") as peer,
    ):
        await peer.opened()
        babbles = True
        call = await peer.begin(request("tools/list"), ALICE)
        async with asyncio.timeout(10):
            while not call.is_over:
                await call.news()

    assert "It is a fine day" in str(call.error)


async def test_everybody_who_asks_for_a_dead_session_gets_the_same_successor() -> None:
    with sdk_server("streamable-http", 5441) as address:
        async with peer_of(address, "streamable-http") as peer:
            hello = Hello(revision="2025-06-18")
            asked = [peer.successor("p", "dead", hello) for _ in range(5)]
            found = set(await asyncio.gather(*asked))
            later = await peer.successor("p", "dead", hello)
            another = await peer.successor("q", "dead", hello)

    assert found == {later}
    assert later
    assert another != later
