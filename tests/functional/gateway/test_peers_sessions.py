"""Servers with sessions over HTTP, seen from the bridge: streamable HTTP and HTTP+SSE, each built with the SDK."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from msgspec import Raw

from appliance.core.errors import DomainError, LimitedError
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.peers.door import Door
from appliance.gateway.bridge.peers.http_session import HttpSession
from appliance.gateway.bridge.peers.pool import PRINCIPAL_LIMIT, SessionPeer
from appliance.gateway.bridge.peers.sse_session import SseSession
from appliance.gateway.errors import ConnectionLostError
from appliance.gateway.http.upstream import Upstreams
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import Route
from tests.fakes.mcp_box import ROOT, wait_until
from tests.functional.gateway.conftest import accepts

LIMIT = 10 << 20
#: A client with a session of its own, and everything that a server may ask for.
ALICE = Caller(
    "alice", "a1", {"sampling": {}, "elicitation": {"form": {}}, "roots": {}}
)
BOB = Caller("bob", "b1", {})
PORTS = {"streamable-http": 5410, "sse": 5411}
PATHS = {"streamable-http": "/mcp", "sse": "/sse"}


@contextmanager
def sdk_server(transport: str, port: int, eras: str = "legacy") -> Iterator[str]:
    """Run the fixture server and yield its address."""
    environment = {
        "ERAS": eras,
        "TRANSPORT": transport,
        "PORT": str(port),
        "HOST": "127.0.0.1",
    }
    command = [sys.executable, "-m", "tests.fixtures.conformance_server.server"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environment) as server:
        wait_until(lambda: accepts(port), "the server listens")
        try:
            yield f"http://127.0.0.1:{port}{PATHS[transport]}"
        finally:
            server.kill()


@pytest.fixture(scope="module", params=["streamable-http", "sse"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def address(transport: str) -> Iterator[str]:
    with sdk_server(transport, PORTS[transport]) as address:
        yield address


@asynccontextmanager
async def peer_of(address: str, transport: str) -> AsyncIterator[SessionPeer]:
    route = Route(1, "sdk", 1, "running", "", 1, "c0ffee", transport, address)
    kind = SseSession if transport == "sse" else HttpSession
    async with Upstreams("", allow_private=True) as upstreams:
        door = Door(upstreams, route, LIMIT)
        peer = SessionPeer(lambda hello: kind(door, hello, 5.0), {})
        try:
            yield peer
        finally:
            await peer.close()


@pytest.fixture
async def peer(address: str, transport: str) -> AsyncIterator[SessionPeer]:
    async with peer_of(address, transport) as peer:
        yield peer


def request(method: str, request_id: int = 1, **params: Any) -> Envelope:
    return Envelope(
        id=Raw(str(request_id).encode()),
        method=method,
        params=Raw(json.dumps(params).encode()),
    )


def tool(name: str, **arguments: Any) -> Envelope:
    return request("tools/call", name=name, arguments=arguments)


async def told(call: Call) -> Any:
    """Wait for the end of a call and return its result."""
    async with asyncio.timeout(10):
        while not call.is_over:
            await call.news()
    assert call.answer is not None, call.error
    return json.loads(call.answer_body())


async def heard_on(stream: Stream) -> Any:
    """Return the next notification on a stream."""
    body = await stream.get()
    assert isinstance(body, bytes)
    return json.loads(body)


async def text_of(call: Call) -> str:
    return str((await told(call))["result"]["content"][0]["text"])


async def test_a_tool_is_called(peer: SessionPeer) -> None:
    call = await peer.begin(tool("test_simple_text"), ALICE)

    assert "simple text" in await text_of(call)


async def test_progress_comes_under_the_clients_own_token(peer: SessionPeer) -> None:
    params: dict[str, Any] = {
        "name": "test_tool_with_progress",
        "_meta": {"progressToken": 7},
    }
    call = await peer.begin(request("tools/call", 1, **params), ALICE)
    await told(call)

    notes = [json.loads(note) for note in call.notes]
    assert [note["params"]["progress"] for note in notes] == [0, 50, 100]
    assert {note["params"]["progressToken"] for note in notes} == {7}


async def test_a_question_reaches_the_call_and_its_answer_the_server(
    peer: SessionPeer,
) -> None:
    call = await peer.begin(tool("test_elicitation", message="Well?"), ALICE)
    async with asyncio.timeout(10):
        while not call.asks:
            await call.news()
    (ask,) = call.take_asks()
    answer = {"action": "accept", "content": {"response": "yes"}}
    ask.reply(Envelope(result=Raw(json.dumps(answer).encode())))

    assert ask.method == "elicitation/create"
    assert '"response": "yes"' in await text_of(call)


async def test_a_client_that_goes_away_cancels_its_call(peer: SessionPeer) -> None:
    call = await peer.begin(tool("wait", seconds=30), ALICE)
    await asyncio.sleep(0.3)
    peer.abandon(call)

    after = await peer.begin(tool("test_simple_text"), ALICE)
    assert "simple text" in await text_of(after)
    assert call.answer is None


async def test_a_client_that_cancels_a_call_is_told_so_at_once(
    peer: SessionPeer,
) -> None:
    call = await peer.begin(tool("wait", seconds=30), ALICE)
    await asyncio.sleep(0.3)
    named = Envelope(method="notifications/cancelled", params=Raw(b'{"requestId":1}'))
    await peer.notify(named, BOB)
    assert call.answer is None
    await peer.notify(named, ALICE)

    assert (await told(call))["error"]["code"] == -32800


async def test_what_belongs_to_no_call_comes_on_streams_of_its_session_alone(
    peer: SessionPeer,
) -> None:
    streams = [peer.open_stream(caller) for caller in (ALICE, BOB)]
    for caller in (ALICE, BOB):
        await told(await peer.begin(request("tools/list"), caller))
    await asyncio.sleep(0.5)

    await told(await peer.begin(tool("test_trigger_tool_change"), ALICE))

    async with asyncio.timeout(5):
        heard = await heard_on(streams[0])
    assert heard["method"] == "notifications/tools/list_changed"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await streams[1].get()


async def test_a_server_that_started_again_is_opened_again(transport: str) -> None:
    port = 5420 if transport == "sse" else 5421
    with sdk_server(transport, port) as address:
        async with peer_of(address, transport) as peer:
            await told(await peer.begin(tool("test_simple_text"), ALICE))
            stream = peer.open_stream(ALICE)
            # Its process goes, and another one takes its place.
            kill_listener(port)
            with sdk_server(transport, port):
                await asyncio.sleep(0.2)
                call = await peer.begin(tool("test_simple_text"), ALICE)
                said = await text_of(call)
    assert "simple text" in said
    assert stream.caller == ALICE


async def test_principals_have_sessions_of_their_own(peer: SessionPeer) -> None:
    for caller in (ALICE, BOB, Caller("carol"), Caller("carol")):
        await told(await peer.begin(request("tools/list"), caller))

    assert peer.describe()["sessions"] == 3


async def test_one_principals_sessions_have_a_limit_and_leave_room_for_others(
    peer: SessionPeer,
) -> None:
    callers = [Caller("p", f"s{number}") for number in range(PRINCIPAL_LIMIT)]
    streams = [peer.open_stream(caller) for caller in callers]
    another = Caller("p", "another")
    with pytest.raises(LimitedError):
        await peer.begin(request("tools/list"), another)
    await told(await peer.begin(request("tools/list"), ALICE))

    peer.close_stream(streams[0])
    await told(await peer.begin(request("tools/list"), another))

    assert peer.describe()["sessions"] == PRINCIPAL_LIMIT + 1


async def test_a_client_that_ends_its_session_ends_it_at_the_server(
    peer: SessionPeer,
) -> None:
    await told(await peer.begin(request("tools/list"), ALICE))
    peer.end_session(ALICE)

    assert peer.describe()["sessions"] == 0


async def test_who_waits_for_a_session_that_is_given_up_is_told_so(
    transport: str,
) -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(hold, "127.0.0.1", 5443)
    async with silent, peer_of("http://127.0.0.1:5443/mcp", transport) as peer:
        call = await peer.begin(tool("test_simple_text"), ALICE)
        await asyncio.sleep(0.1)
        changed = Envelope(method="notifications/roots/list_changed")
        waiting = asyncio.create_task(peer.notify(changed, ALICE))
        await asyncio.sleep(0.1)
        await peer.close()

        assert isinstance(call.error, ConnectionLostError)
        with pytest.raises(ConnectionLostError):
            await waiting


async def test_a_server_that_is_not_there_is_named(transport: str) -> None:
    async with peer_of("http://127.0.0.1:5449/mcp", transport) as peer:
        call = await peer.begin(tool("test_simple_text"), ALICE)
        async with asyncio.timeout(10):
            while not call.is_over:
                await call.news()

    assert isinstance(call.error, DomainError)
    assert "does not accept connections" in call.error.reason


def kill_listener(port: int) -> None:
    """Kill the server on ``port``, which this process started."""
    found = subprocess.run(
        ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=True
    )
    pid = int(found.stdout.split("pid=")[1].split(",")[0])
    os.kill(pid, 9)
    wait_until(lambda: not accepts(port), "the server is gone")
