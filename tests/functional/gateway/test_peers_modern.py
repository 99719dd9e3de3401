"""Servers of revision 2026-07-28 alone, seen from the bridge, in the words of the older one."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Raw

from appliance.gateway.bridge.calls import Call
from appliance.gateway.bridge.peers.door import Door
from appliance.gateway.bridge.peers.flight import fields_of, value_of
from appliance.gateway.bridge.peers.http_modern import HttpLine
from appliance.gateway.bridge.peers.modern import ModernPeer, discover
from appliance.gateway.errors import HandshakeError
from appliance.gateway.http.upstream import Upstreams
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import Route
from tests.functional.gateway.test_peers_sessions import (
    ALICE,
    BOB,
    LIMIT,
    heard_on,
    request,
    sdk_server,
    text_of,
    told,
    tool,
)

PORT = 5412


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with sdk_server("streamable-http", PORT, "modern") as address:
        yield address


@asynccontextmanager
async def peer_of(address: str) -> AsyncIterator[ModernPeer]:
    route = Route(1, "sdk", 1, "running", "", 1, "c0ffee", "streamable-http", address)
    async with Upstreams("", allow_private=True) as upstreams:
        line = HttpLine(Door(upstreams, route, LIMIT))
        peer = ModernPeer(line, await discover(line))
        try:
            yield peer
        finally:
            await peer.close()


@pytest.fixture
async def peer(address: str) -> AsyncIterator[ModernPeer]:
    async with peer_of(address) as peer:
        yield peer


async def asked(call: Call) -> dict[str, str]:
    """Wait until the server asks; answer nothing, and return what it asked by its own name."""
    async with asyncio.timeout(10):
        while not call.asks:
            await call.news()
    return {
        str(value_of(fields_of(fields_of(ask.params)["_meta"])["mcp-host/inputKey"])): (
            ask.method
        )
        for ask in call.asks
    }


def accept(call: Call, **content: str) -> None:
    for ask in call.take_asks():
        answer = {"action": "accept", "content": content}
        ask.reply(Envelope(result=Raw(json.dumps(answer).encode())))


async def test_it_says_who_it_is_as_an_older_server_would(peer: ModernPeer) -> None:
    opened = await peer.opened()

    assert opened["serverInfo"]["name"] == "conformance-server"
    assert "tools" in opened["capabilities"]


async def test_a_tool_is_called(peer: ModernPeer) -> None:
    call = await peer.begin(tool("test_simple_text"), ALICE)

    assert "simple text" in await text_of(call)


async def test_progress_comes_under_the_clients_own_token(peer: ModernPeer) -> None:
    params: dict[str, Any] = {
        "name": "test_tool_with_progress",
        "_meta": {"progressToken": "mine"},
    }
    call = await peer.begin(request("tools/call", 1, **params), ALICE)
    await told(call)

    notes = [json.loads(note)["params"] for note in call.notes]
    assert [note["progress"] for note in notes] == [0, 50, 100]
    assert {note["progressToken"] for note in notes} == {"mine"}


async def test_a_session_hears_log_messages_from_its_level_on(peer: ModernPeer) -> None:
    call = await peer.begin(tool("test_tool_with_logging"), ALICE)
    await told(call)
    assert len(call.notes) == 3

    await told(await peer.begin(request("logging/setLevel", level="error"), ALICE))
    call = await peer.begin(tool("test_tool_with_logging"), ALICE)
    await told(call)
    assert call.notes == []

    refused = await told(await peer.begin(request("logging/setLevel", level="x"), BOB))
    assert refused["error"]["code"] == -32602


async def test_a_question_reaches_the_call_and_its_answer_the_server(
    peer: ModernPeer,
) -> None:
    call = await peer.begin(tool("test_elicitation", message="Well?"), ALICE)
    assert await asked(call) == {"response": "elicitation/create"}
    accept(call, response="yes")

    assert '"response": "yes"' in await text_of(call)


async def test_a_server_may_ask_again_and_gets_its_state_back(
    peer: ModernPeer,
) -> None:
    call = await peer.begin(tool("test_input_required_result_request_state"), ALICE)
    await asked(call)
    accept(call, ok="true")

    assert "state-ok" in await text_of(call)


async def test_a_refusal_ends_the_call_with_it(peer: ModernPeer) -> None:
    call = await peer.begin(tool("test_elicitation", message="Well?"), ALICE)
    await asked(call)
    for ask in call.take_asks():
        ask.reply(Envelope(error=Raw(b'{"code":-1,"message":"no"}')))

    assert (await told(call))["error"] == {"code": -1, "message": "no"}


async def test_marked_arguments_are_repeated_in_headers(peer: ModernPeer) -> None:
    """The server refuses the call otherwise; nobody has listed its tools before."""
    call = await peer.begin(tool("test_x_mcp_header", region="Zürich"), ALICE)

    assert await text_of(call) == "region=Zürich"


async def test_older_requests_are_answered_though_the_server_knows_none(
    peer: ModernPeer,
) -> None:
    assert (await told(await peer.begin(request("ping"), ALICE)))["result"] == {}


async def test_changes_reach_every_stream_and_resources_their_subscribers(
    peer: ModernPeer,
) -> None:
    await peer.opened()
    streams = [peer.open_stream(caller) for caller in (ALICE, BOB)]
    watched = request("resources/subscribe", uri="test://watched-resource")
    assert (await told(await peer.begin(watched, ALICE)))["result"] == {}

    await told(await peer.begin(tool("touch_watched_resource"), BOB))
    await told(await peer.begin(tool("test_trigger_tool_change"), BOB))

    async with asyncio.timeout(5):
        mine = [await heard_on(streams[0]) for _ in range(2)]
        others = await heard_on(streams[1])
    assert [note["method"] for note in mine] == [
        "notifications/resources/updated",
        "notifications/tools/list_changed",
    ]
    assert mine[0]["params"] == {"uri": "test://watched-resource"}
    assert others["method"] == "notifications/tools/list_changed"


async def test_a_client_that_goes_away_cancels_its_call(peer: ModernPeer) -> None:
    call = await peer.begin(tool("wait", seconds=30), ALICE)
    await asyncio.sleep(0.2)
    peer.abandon(call)
    await asyncio.sleep(0.1)

    assert peer.describe()["calls_in_flight"] == 0


async def test_a_client_that_cancels_a_call_is_told_so_at_once(
    peer: ModernPeer,
) -> None:
    call = await peer.begin(tool("wait", seconds=30), ALICE)
    await asyncio.sleep(0.2)
    named = Envelope(method="notifications/cancelled", params=Raw(b'{"requestId":1}'))
    await peer.notify(named, ALICE)

    assert (await told(call))["error"]["code"] == -32800


async def test_a_server_of_the_other_era_is_not_opened() -> None:
    with (
        sdk_server("streamable-http", 5422, "legacy") as address,
        pytest.raises(HandshakeError, match="2026-07-28"),
    ):
        async with peer_of(address):
            pass
