"""Servers that lose their sessions and break off: what was not run is sent again, and what may have been run is not."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from appliance.gateway.bridge.peers.pool import SessionPeer
from appliance.gateway.errors import ConnectionLostError
from tests.fakes.mcp_box import ROOT, wait_until
from tests.functional.gateway.conftest import accepts
from tests.functional.gateway.test_peers_sessions import (
    ALICE,
    BOB,
    peer_of,
    text_of,
    tool,
)

PORT = 5442


@pytest.fixture(params=["404", "400"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server that says in this way that it does not know a session."""
    command = [sys.executable, "-m", "tests.fakes.mcp_forgetful", str(PORT)]
    with subprocess.Popen(command, cwd=ROOT) as server:
        wait_until(lambda: accepts(PORT), "the server listens")
        try:
            yield f"http://127.0.0.1:{PORT}/{request.param}"
        finally:
            server.kill()


@pytest.fixture
async def peer(address: str) -> AsyncIterator[SessionPeer]:
    async with peer_of(address, "streamable-http") as peer:
        yield peer


async def test_a_call_in_a_forgotten_session_is_run_once_in_another(
    peer: SessionPeer,
) -> None:
    assert await text_of(await peer.begin(tool("forget"), ALICE)) == "opened 1, ran 1"

    assert await text_of(await peer.begin(tool("say"), ALICE)) == "opened 2, ran 2"


async def test_calls_that_meet_a_forgotten_session_together_open_one(
    peer: SessionPeer,
) -> None:
    await text_of(await peer.begin(tool("forget"), ALICE))

    calls = [await peer.begin(tool("say"), ALICE) for _ in range(10)]
    said = {await text_of(call) for call in calls}

    assert said == {f"opened 2, ran {number}" for number in range(2, 12)}


async def test_a_call_that_broke_off_is_not_run_again(peer: SessionPeer) -> None:
    call = await peer.begin(tool("break"), ALICE)
    async with asyncio.timeout(5):
        while not call.is_over:
            await call.news()
    assert isinstance(call.error, ConnectionLostError)

    assert await text_of(await peer.begin(tool("say"), ALICE)) == "opened 1, ran 2"


async def test_an_answer_is_taken_up_where_its_stream_ended(peer: SessionPeer) -> None:
    assert await text_of(await peer.begin(tool("later"), ALICE)) == "opened 1, ran 1"


async def test_sessions_are_ended_at_the_server(peer: SessionPeer) -> None:
    await text_of(await peer.begin(tool("say"), ALICE))
    peer.end_session(ALICE)
    await text_of(await peer.begin(tool("say"), BOB))

    assert await text_of(await peer.begin(tool("say"), ALICE)) == "opened 3, ran 3"
