"""Sessions of a stdio server in containers of their own, on a real engine."""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from appliance.core import labels
from appliance.core.errors import DomainError
from appliance.gateway.bridge.calls import Call, Caller
from appliance.gateway.bridge.containers import SessionContainers
from appliance.gateway.bridge.engine import Engine
from appliance.gateway.bridge.handshake import HandshakeFiles
from appliance.gateway.bridge.lodging import Housing
from appliance.gateway.bridge.pool import StdioPool
from appliance.gateway.bridge.sharing import Sharing
from appliance.gateway.bridge.stdio import StdioServer
from appliance.gateway.errors import SessionsFullError, TooManySessionsError
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope
from tests.fakes.mcp_box import stdio_container
from tests.harness.waiting import until

HARDENED = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges:true",
    "--memory=64m",
    "--pids-limit=64",
    "--init",
    "--tmpfs=/tmp:rw,nosuid,nodev,size=8m",
    "--user=65534:65534",
)


class Pools:
    """Pools before one container, as one bridge makes them."""

    def __init__(self, instance: str, directory: Path, gateway: str) -> None:
        self.instance = instance
        self.files = HandshakeFiles(directory)
        self.engine = Engine()
        self.gateway = gateway
        self.containers = SessionContainers(self.engine, self.files, gateway)
        self.made: list[StdioPool] = []

    def pool(self, mode: str = "per-session", **bounds: Any) -> StdioPool:
        sharing = Sharing(
            mode, **{"per_server": 4, "per_principal": 2, "idle_s": 60.0} | bounds
        )
        housing = Housing(self.instance, self.containers, self._server)
        pool = StdioPool(self._server(self.instance), housing, sharing, self.files)
        self.made.append(pool)
        return pool

    async def are_gone(self) -> bool:
        return not await sessions(self.gateway)

    def _server(self, container_id: str, owner: Caller | None = None) -> StdioServer:
        return StdioServer(
            container_id,
            self.engine,
            self.files,
            line_limit=1024 * 1024,
            start_timeout_s=20,
            owner=owner,
        )


async def make_pools(instance: str, directory: Path, gateway: str = "") -> Pools:
    return await asyncio.to_thread(
        Pools, instance, directory, gateway or f"test-{directory.name}"
    )


@pytest.fixture(scope="module")
def instance() -> Iterator[str]:
    """The container of a stdio server."""
    with stdio_container(None, *HARDENED) as container_id:
        yield container_id


@pytest.fixture
async def pools(instance: str, tmp_path: Path) -> AsyncIterator[Pools]:
    """Pools of the test's own; whatever they leave is removed."""
    pools = await make_pools(instance, tmp_path)
    try:
        yield pools
    finally:
        for pool in pools.made:
            await pool.close()
        kept = await sessions(pools.gateway)
        await asyncio.to_thread(remove, kept)
        assert kept == []


def remove(container_ids: list[str]) -> None:
    for container_id in container_ids:
        command = ["docker", "rm", "-fv", container_id]
        subprocess.run(command, check=True, capture_output=True)


def listed(gateway: str) -> list[str]:
    """The containers that a gateway keeps for sessions."""
    command = [
        "docker",
        "ps",
        "-aq",
        "--no-trunc",
        "--filter",
        f"label={labels.GATEWAY}={gateway}",
    ]
    return subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout.split()


async def sessions(gateway: str) -> list[str]:
    return await asyncio.to_thread(listed, gateway)


def inspected(container_id: str) -> Any:
    done = subprocess.run(
        ["docker", "inspect", container_id], check=True, capture_output=True
    )
    return json.loads(done.stdout)[0]


def request(tool: str, **arguments: Any) -> Envelope:
    params = {"name": tool, "arguments": arguments}
    return Envelope(id=Raw(b"1"), method="tools/call", params=Raw(wire.encode(params)))


async def text(pool: StdioPool, caller: Caller, tool: str, **arguments: Any) -> str:
    await pool.opened()
    return await answer(await pool.begin(request(tool, **arguments), caller))


async def answer(call: Call) -> str:
    async with asyncio.timeout(20):
        while not call.is_over:
            await call.news()
    if call.error is not None:
        raise call.error
    return str(json.loads(call.answer_body())["result"]["content"][0]["text"])


ADA, BOB = Caller("user:1", "ada"), Caller("user:2", "bob")


async def test_sessions_share_nothing_and_each_keeps_its_own(pools: Pools) -> None:
    pool = pools.pool()

    counts = [await text(pool, caller, "tally") for caller in (ADA, BOB, ADA)]

    assert counts == ["1", "1", "2"]
    assert len(await sessions(pools.gateway)) == 2


async def test_what_keeps_an_instance_in_its_place_keeps_its_sessions_too(
    pools: Pools,
) -> None:
    pool = pools.pool()
    await text(pool, ADA, "echo")

    original = await asyncio.to_thread(inspected, pools.instance)
    (container_id,) = await sessions(pools.gateway)
    own = await asyncio.to_thread(inspected, container_id)

    assert own["HostConfig"] == original["HostConfig"]
    assert own["HostConfig"]["ReadonlyRootfs"]
    same = ("User", "Env", "Cmd", "Entrypoint", "WorkingDir", "Tty", "OpenStdin")
    assert [own["Config"][name] for name in same] == [
        original["Config"][name] for name in same
    ]
    assert own["Image"] == original["Image"]
    assert original["Config"]["Labels"].items() <= own["Config"]["Labels"].items()


async def test_calls_of_one_session_at_once_start_one_container(pools: Pools) -> None:
    pool = pools.pool()

    opened = await asyncio.gather(*(text(pool, ADA, "count") for _ in range(8)))

    assert set(opened) == {"1"}
    assert len(await sessions(pools.gateway)) == 1


async def test_clients_without_a_session_have_one_container_a_principal(
    pools: Pools,
) -> None:
    pool = pools.pool()
    one, other = Caller("user:1"), Caller("user:2")

    counts = [await text(pool, caller, "tally") for caller in (one, one, other)]

    assert counts == ["1", "2", "1"]


async def test_the_hub_looks_at_the_instance_itself(pools: Pools) -> None:
    pool = pools.pool()

    await text(pool, Caller("hub", "probe"), "echo")

    assert await sessions(pools.gateway) == []


async def test_a_session_that_its_client_ends_takes_its_container_along_by_closing_its_stdin(
    pools: Pools,
) -> None:
    pool = pools.pool()
    await text(pool, ADA, "echo")
    (container_id,) = await sessions(pools.gateway)
    events = await asyncio.create_subprocess_exec(
        "docker",
        "events",
        f"--filter=container={container_id}",
        "--format={{.Action}} {{.Actor.Attributes.exitCode}}",
        stdout=asyncio.subprocess.PIPE,
    )
    await asyncio.sleep(0.3)

    pool.end_session(ADA)

    await until(pools.are_gone)
    events.terminate()
    seen = (await events.communicate())[0].decode().splitlines()
    # It ended by itself: nobody had to tell it to terminate, or to kill it.
    assert [line for line in seen if line.startswith("kill")] == []
    assert "die 0" in seen


async def test_a_server_that_ignores_its_stdin_and_sigterm_is_killed(
    tmp_path: Path,
) -> None:
    stubborn = (
        "import json, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for line in sys.stdin:\n"
        "    message = json.loads(line)\n"
        "    if 'id' in message:\n"
        "        result = {'content': [{'type': 'text', 'text': 'here'}]}\n"
        "        print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'result': result}), flush=True)\n"
        "time.sleep(3600)\n"
    )
    with stdio_container(script=stubborn) as container_id:
        pools = await make_pools(container_id, tmp_path)
        pool = pools.pool()
        assert await text(pool, ADA, "any") == "here"

        await pool.close()

        assert await sessions(pools.gateway) == []


async def test_an_idle_session_loses_its_container_and_gets_another_at_its_next_call(
    pools: Pools,
) -> None:
    pool = pools.pool(idle_s=1.0)
    assert await text(pool, ADA, "tally") == "1"

    await until(pools.are_gone)

    assert await text(pool, ADA, "tally") == "1"


async def test_a_session_that_listens_is_not_idle(pools: Pools) -> None:
    pool = pools.pool(idle_s=0.5)
    stream = pool.open_stream(ADA)
    await text(pool, ADA, "changed")

    await asyncio.sleep(1.5)

    assert len(await sessions(pools.gateway)) == 1
    assert b"list_changed" in bytes(await stream.get() or b"")  # type: ignore[arg-type] # no ask
    pool.close_stream(stream)
    await until(pools.are_gone)


async def test_who_has_its_share_makes_room_by_its_own_idlest(pools: Pools) -> None:
    pool = pools.pool()
    third = Caller("user:1", "third")
    await text(pool, ADA, "tally")
    await text(pool, Caller("user:1", "second"), "tally")

    await text(pool, third, "tally")

    keys = {item["key"] for item in pool.describe()["sessions"]}
    assert len(keys) == 2
    assert await text(pool, third, "tally") == "2"
    assert await text(pool, ADA, "tally") == "1"


async def test_who_has_its_share_busy_is_told_so(pools: Pools) -> None:
    pool = pools.pool()
    busy = [
        await pool.begin(request("slow", seconds=3), Caller("user:1", name))
        for name in ("one", "two")
    ]

    with pytest.raises(TooManySessionsError):
        await pool.begin(request("echo"), Caller("user:1", "three"))

    assert [await answer(call) for call in busy] == ["slept", "slept"]


async def test_a_full_server_says_so_and_touches_nobody_elses_session(
    pools: Pools,
) -> None:
    pool = pools.pool(per_server=2)
    await text(pool, ADA, "tally")
    await text(pool, BOB, "tally")

    with pytest.raises(SessionsFullError):
        await pool.begin(request("echo"), Caller("user:3", "eve"))

    assert await text(pool, ADA, "tally") == "2"
    assert await text(pool, BOB, "tally") == "2"


async def test_a_session_whose_server_dies_is_told_and_goes_on_with_another(
    pools: Pools,
) -> None:
    pool = pools.pool()
    await text(pool, ADA, "tally")

    with pytest.raises(DomainError, match="exit code 3"):
        await text(pool, ADA, "die")

    assert await text(pool, ADA, "tally") == "1"
    assert len(await sessions(pools.gateway)) == 1


async def test_a_bridge_that_is_killed_leaves_its_successor_nothing(
    pools: Pools, tmp_path: Path
) -> None:
    pool = pools.pool()
    await text(pool, ADA, "tally")
    successor = await make_pools(pools.instance, tmp_path, pools.gateway)

    await successor.containers.sweep()

    assert await sessions(pools.gateway) == []
    assert await asyncio.to_thread(pools.files.container_ids) == [pools.instance]


async def test_another_gateways_sessions_are_not_swept(
    pools: Pools, tmp_path: Path
) -> None:
    pool = pools.pool()
    await text(pool, ADA, "tally")

    another = await make_pools(pools.instance, tmp_path, "another")
    await another.containers.sweep()

    assert await text(pool, ADA, "tally") == "2"


ASKABLE: dict[str, Any] = {"elicitation": {}}


async def test_auto_shares_until_the_server_asks_and_then_parts_those_who_can_answer(
    pools: Pools,
) -> None:
    pool = pools.pool("auto")
    first = Caller("user:1", "first", ASKABLE)
    mute = Caller("user:1", "mute")
    later = Caller("user:2", "later", ASKABLE)
    await text(pool, first, "echo")
    assert await sessions(pools.gateway) == []

    call = await pool.begin(request("ask", method="elicitation/create"), first)
    with contextlib.suppress(DomainError):
        await answer(call)

    await text(pool, mute, "echo")
    await text(pool, first, "echo")
    assert await sessions(pools.gateway) == [], (
        "who began in the shared container stays there"
    )
    await text(pool, later, "echo")
    assert len(await sessions(pools.gateway)) == 1
    assert await asyncio.to_thread(pools.files.asks, pools.instance), (
        "the next bridge knows it from the start"
    )


async def test_clients_without_sessions_stay_together_whatever_they_say_they_can_answer(
    pools: Pools,
) -> None:
    pool = pools.pool("per-session")
    answering = Caller("user:1", capabilities=ASKABLE)

    await text(pool, Caller("user:1"), "tally")
    tally = await text(pool, answering, "tally")
    others = await text(pool, Caller("user:2"), "tally")

    assert (tally, others) == ("2", "1")
    assert len(await sessions(pools.gateway)) == 2


async def test_a_client_that_vanishes_while_its_container_starts_leaves_none(
    pools: Pools,
) -> None:
    pool = pools.pool()
    waiting = asyncio.create_task(pool.begin(request("echo"), ADA))
    await asyncio.sleep(0.1)

    waiting.cancel()

    await asyncio.gather(waiting, return_exceptions=True)
    await until(pools.are_gone)
    assert await text(pool, ADA, "count") == "1"
