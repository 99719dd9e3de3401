"""What every executor promises. A new one adds its name to ``EXECUTORS`` and a fixture, and nothing else."""

import asyncio
import contextlib
import json
import secrets
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.gateway.bridge import engine as gateway_engine
from appliance.gateway.bridge.containers import SessionContainers
from appliance.gateway.bridge.handshake import HandshakeFiles
from appliance.infra.docker import Engine
from appliance.runtimes.docker import DockerExecutor
from appliance.runtimes.errors import (
    EngineUnavailableError,
    ImageMissingError,
    StartFailedError,
)
from appliance.runtimes.isolation import Isolation, Tier
from appliance.runtimes.model import (
    ExecutorEvent,
    Instance,
    InstanceSpec,
    InstanceState,
    Limits,
    Transport,
)
from appliance.runtimes.ports import Executor
from tests.engine import SUBNET_POOL, Box, docker, inspect
from tests.fakes.mcp_engine import EngineDoor

EXECUTORS = ["docker_executor"]
MIB = 1024 * 1024

DEAF = (
    "python3",
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\nwhile True: signal.pause()",
)
SERVE = (
    "python3",
    "-c",
    """
import os
from http.server import *
class H(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())
HTTPServer((os.environ['HOST'], int(os.environ['PORT'])), H).serve_forever()
""",
)
GREEDY = ("python3", "-c", "x = []\nwhile True: x.append(bytearray(8 << 20))")
BOMB = (
    "python3",
    "-c",
    """
import os, time
try:
    while True:
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
except OSError as e:
    print(e.errno, flush=True)
    os.kill(-1, 9)
""",
)
LOOK = (
    "python3",
    "-c",
    """
import json, os, pathlib
def writable(path):
    try:
        pathlib.Path(path, 'x').write_text('x'); return True
    except OSError:
        return False
status = dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines() if ':\\t' in line)
print(json.dumps({
    'uid': os.getuid(), 'gid': os.getgid(), 'home': os.environ['HOME'],
    'capabilities': int(status['CapEff'], 16) | int(status['CapBnd'], 16), 'no_new_privileges': status['NoNewPrivs'],
    'seccomp': status['Seccomp'],
    'root': writable('/'), 'opt': writable('/opt'), 'tmp': writable('/tmp'), 'data': writable('/data'),
    'pid1': open('/proc/1/comm').read().strip(), 'environment': {k: v for k, v in os.environ.items() if 'COLOUR' in k},
}))
""",
)


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Executor:
    found: Executor = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def spec(spec: InstanceSpec) -> InstanceSpec:
    return replace(
        spec,
        limits=Limits(cpus=0.5, memory_bytes=128 * MIB),
        isolation=Isolation(pids=64),
    )


async def ended(executor: Executor, name: str) -> Instance:
    """Return the instance as soon as it has ended."""
    for _ in range(200):
        found = next(item for item in await executor.instances() if item.name == name)
        if found.state is InstanceState.EXITED:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{name} did not end")


async def looked(executor: Executor, spec: InstanceSpec) -> dict[str, object]:
    """Run the program that looks around from inside, and return what it saw."""
    started = await executor.start(replace(spec, arguments=LOOK))
    await ended(executor, started.name)
    lines = await executor.tail(started.name)
    found: dict[str, object] = json.loads(lines[-1].text)
    return found


async def test_an_executor_describes_itself(executor: Executor) -> None:
    described = await executor.describe()

    assert described.name == executor.name
    assert Tier.STANDARD in described.isolation_tiers
    assert await executor.check()


async def test_start_runs_what_the_spec_says(
    executor: Executor, spec: InstanceSpec
) -> None:
    started = await executor.start(spec)

    assert (started.name, started.server_id, started.deployment_id) == (
        spec.name,
        1,
        11,
    )
    assert started.state is InstanceState.RUNNING
    assert started.container_id
    assert started.started_at is not None
    assert await executor.instances() == [started]


async def test_starting_twice_is_starting_once(
    executor: Executor, spec: InstanceSpec
) -> None:
    first = await executor.start(spec)

    assert await executor.start(spec) == first
    assert len(await executor.instances()) == 1


async def test_starting_at_the_same_moment_is_starting_once(
    executor: Executor, spec: InstanceSpec
) -> None:
    one, other = await asyncio.gather(executor.start(spec), executor.start(spec))

    assert one.container_id == other.container_id
    assert len(await executor.instances()) == 1


async def test_starting_what_ended_runs_it_again(
    executor: Executor, spec: InstanceSpec
) -> None:
    started = await executor.start(spec)
    await executor.stop(started.name, grace_s=1)

    again = await executor.start(spec)

    assert again.container_id == started.container_id
    assert again.state is InstanceState.RUNNING


async def test_a_server_listens_on_loopback_only(
    executor: Executor, spec: InstanceSpec
) -> None:
    http = replace(
        spec,
        transport=Transport.STREAMABLE_HTTP,
        port=8123,
        path="/mcp",
        arguments=SERVE,
    )

    started = await executor.start(http)

    assert started.address.startswith("http://10.222.")
    assert started.address.endswith("/mcp")
    assert await asyncio.to_thread(fetched, started.address) == "/mcp"
    assert docker("port", started.container_id) == ""


def fetched(address: str) -> str:
    """Return the body at ``address``, as soon as somebody answers there."""
    for _ in range(100):
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(address, timeout=1) as answer,
        ):
            return str(answer.read().decode())
        time.sleep(0.1)
    raise AssertionError(f"nobody answers at {address}")


async def test_a_stdio_server_has_no_address(
    executor: Executor, spec: InstanceSpec
) -> None:
    assert (await executor.start(spec)).address == ""


async def test_what_ended_keeps_its_exit_code(
    executor: Executor, spec: InstanceSpec
) -> None:
    await executor.start(
        replace(spec, arguments=("python3", "-c", "import sys; sys.exit(7)"))
    )

    found = await ended(executor, spec.name)

    assert (found.exit_code, found.out_of_memory, found.address) == (7, False, "")


async def test_what_takes_too_much_memory_is_killed(
    executor: Executor, spec: InstanceSpec
) -> None:
    greedy = replace(spec, arguments=GREEDY, limits=Limits(memory_bytes=48 * MIB))
    await executor.start(greedy)

    found = await ended(executor, spec.name)

    # Not out_of_memory: the engine does not always see who killed it.
    assert found.exit_code == 137


async def test_it_cannot_start_more_processes_than_it_may(
    executor: Executor, spec: InstanceSpec
) -> None:
    await executor.start(replace(spec, arguments=BOMB, isolation=Isolation(pids=20)))

    await ended(executor, spec.name)

    assert (await executor.tail(spec.name))[-1].text == "11"  # EAGAIN


async def test_a_server_is_kept_in_its_place(
    executor: Executor, spec: InstanceSpec
) -> None:
    seen = await looked(executor, replace(spec, environment={"COLOUR": "blue"}))

    assert seen == {
        "uid": 10001,
        "gid": 10001,
        "home": "/data",
        "capabilities": 0,
        "no_new_privileges": "1",
        "seccomp": "2",
        "root": False,
        "opt": False,
        "tmp": True,
        "data": True,
        "pid1": seen["pid1"],
        "environment": {"COLOUR": "blue", "CFG_COLOUR": "blue"},
    }
    assert seen["pid1"] in {"docker-init", "tini"}


async def test_an_image_that_runs_as_root_does_not(
    executor: Executor, spec: InstanceSpec, strange_image: str
) -> None:
    seen = await looked(executor, replace(spec, image=strange_image))

    assert (seen["uid"], seen["gid"], seen["data"], seen["home"]) == (
        10001,
        10001,
        True,
        "/data",
    )


async def test_an_image_with_a_user_of_its_own_keeps_it(
    executor: Executor, spec: InstanceSpec, named_user_image: str
) -> None:
    seen = await looked(executor, replace(spec, image=named_user_image))

    assert (seen["uid"], seen["gid"], seen["data"], seen["home"]) == (
        4711,
        4712,
        True,
        "/home/app",
    )


async def test_preparing_a_strange_image_leaves_no_container(
    executor: Executor, spec: InstanceSpec, strange_image: str, box: Box
) -> None:
    started = await executor.start(
        replace(spec, image=strange_image, arguments=("sleep", "60"))
    )

    assert [item[:12] for item in box.containers()] == [started.container_id[:12]]


async def test_data_outlives_a_deployment(
    executor: Executor, spec: InstanceSpec
) -> None:
    write = ("python3", "-c", "open('/data/kept', 'w').write('still here')")
    await executor.start(replace(spec, arguments=write))
    await ended(executor, spec.name)
    await executor.remove(spec.name)

    read = replace(
        spec,
        deployment_id=12,
        arguments=("python3", "-c", "print(open('/data/kept').read())"),
    )
    await executor.start(read)
    await ended(executor, read.name)

    assert [line.text for line in await executor.tail(read.name)] == ["still here"]


async def test_two_servers_do_not_share_a_network(
    executor: Executor, spec: InstanceSpec, box: Box
) -> None:
    await executor.start(spec)
    await executor.start(
        replace(spec, server_id=2, server_name="two", deployment_id=21)
    )

    subnets = {
        docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", name)
        for name in box.networks()
    }
    assert len(subnets) == 2
    assert all(subnet.endswith("/27") for subnet in subnets)


async def test_an_image_that_is_not_there_is_named(
    executor: Executor, spec: InstanceSpec, box: Box
) -> None:
    with pytest.raises(
        ImageMissingError, match="mcp-host-test/never:1 is not on this box"
    ):
        await executor.start(replace(spec, image="mcp-host-test/never:1"))

    assert await executor.instances() == []
    await executor.remove_server(spec.server_id)
    assert box.leftovers() == []


async def test_a_program_that_is_not_there_is_named(
    executor: Executor, spec: InstanceSpec
) -> None:
    await executor.start(replace(spec, arguments=("no-such-program",)))

    found = await ended(executor, spec.name)

    assert found.exit_code == 127
    assert "no-such-program" in (await executor.tail(spec.name))[-1].text


async def test_a_refused_start_leaves_nothing(
    executor: Executor, spec: InstanceSpec, box: Box
) -> None:
    with pytest.raises(StartFailedError, match="names no program to start"):
        await executor.start(replace(spec, arguments=()))

    assert box.containers() == []
    assert box.networks() == []


async def test_stopping_ends_what_listens_to_reason(
    executor: Executor, spec: InstanceSpec
) -> None:
    await executor.start(spec)

    await executor.stop(spec.name, grace_s=5)
    await executor.stop(spec.name, grace_s=5)

    found = (await executor.instances())[0]
    assert (found.state, found.exit_code) == (InstanceState.EXITED, 143)


async def test_stopping_kills_what_does_not(
    executor: Executor, spec: InstanceSpec
) -> None:
    await executor.start(replace(spec, arguments=DEAF))
    while not await executor.tail(spec.name):
        await asyncio.sleep(0.05)

    await executor.stop(spec.name, grace_s=1)

    assert (await executor.instances())[0].exit_code == 137


async def test_what_is_unknown_is_stopped_and_removed_already(
    executor: Executor, box: Box
) -> None:
    await executor.stop("mcp-nobody-1")
    await executor.remove("mcp-nobody-1")
    await executor.remove_server(4711)
    await executor.remove_image("mcp-host-test/never:1")

    assert await executor.tail("mcp-nobody-1") == []
    assert box.leftovers() == []


async def test_removing_takes_a_running_instance_too(
    executor: Executor, spec: InstanceSpec, box: Box
) -> None:
    await executor.start(spec)

    await executor.remove(spec.name)
    await executor.remove(spec.name)

    assert box.containers() == []


async def test_removing_a_server_leaves_nothing(
    executor: Executor, spec: InstanceSpec, box: Box
) -> None:
    await executor.start(spec)
    await executor.start(replace(spec, deployment_id=12))

    await executor.remove_server(spec.server_id)

    assert box.leftovers() == []


async def test_an_image_in_use_is_not_removed(
    executor: Executor, spec: InstanceSpec, box: Box, base_image: str
) -> None:
    tag = f"mcp-host/one:{box.owner}-11"
    docker("tag", base_image, tag)
    await executor.start(replace(spec, image=tag))

    await executor.remove_image(base_image)

    assert docker("image", "inspect", "-f", "{{.Id}}", base_image)
    assert box.containers()


async def test_removing_an_image_takes_our_names_only(
    executor: Executor, box: Box, strange_image: str
) -> None:
    image_id = docker("image", "inspect", "-f", "{{.Id}}", strange_image)
    docker("tag", strange_image, f"mcp-host/one:{box.owner}-11")

    await executor.remove_image(image_id)

    assert box.images() == []
    assert docker("image", "inspect", "-f", "{{.Id}}", strange_image) == image_id


async def test_instances_can_be_asked_for_one_server(
    executor: Executor, spec: InstanceSpec
) -> None:
    await executor.start(spec)
    other = await executor.start(
        replace(spec, server_id=2, server_name="two", deployment_id=21)
    )

    assert await executor.instances(2) == [other]
    assert await executor.instances(3) == []


async def test_the_tail_tells_streams_and_moments_apart(
    executor: Executor, spec: InstanceSpec
) -> None:
    # It waits at both ends: the engine notes the start after the program began, and may note the end before it read all.
    talk = (
        "import sys, time\ntime.sleep(0.5)\n"
        "print('out', flush=True); print('err', file=sys.stderr, flush=True); print('é' * 3, flush=True)\n"
        "time.sleep(0.3)"
    )
    started = await executor.start(replace(spec, arguments=("python3", "-c", talk)))
    await ended(executor, spec.name)

    lines = await executor.tail(spec.name)

    # The engine reads two pipes: each keeps its order, and between them there is none.
    assert [line.text for line in lines if line.stream == "stdout"] == ["out", "ééé"]
    assert [line.text for line in lines if line.stream == "stderr"] == ["err"]
    assert started.started_at is not None
    assert all(line.at >= started.started_at for line in lines)
    assert await executor.tail(spec.name, lines=1) == lines[-1:]


async def test_following_gives_old_lines_then_new_ones_and_ends(
    executor: Executor, spec: InstanceSpec
) -> None:
    count = "import time\nfor n in range(5): print(n, flush=True); time.sleep(0.2)"
    await executor.start(replace(spec, arguments=("python3", "-c", count)))

    async with asyncio.timeout(20):
        found = [line.text async for line in executor.follow(spec.name)]

    assert found == ["0", "1", "2", "3", "4"]


async def test_events_tell_of_start_and_end(
    executor: Executor, spec: InstanceSpec
) -> None:
    async with watching(executor) as events:
        await executor.start(replace(spec, arguments=("true",)))
        await ended(executor, spec.name)
        await executor.remove(spec.name)

        async with asyncio.timeout(10):
            found = [await anext(events) for _ in range(3)]

    assert found == [
        ExecutorEvent(1, 11, action) for action in ("start", "die", "destroy")
    ]


async def test_events_go_on_after_the_engine_was_away(
    executor: Executor, spec: InstanceSpec, box: Box, tmp_path: Path
) -> None:
    with EngineDoor(tmp_path / "s") as door:
        engine = Engine(door.address)
        watched = DockerExecutor(engine, owner=box.owner, subnet_pool=SUBNET_POOL)
        async with watching(watched) as events:
            door.shut()
            await asyncio.sleep(1.5)
            door.open()

            async with asyncio.timeout(20):
                assert await anext(events) == ExecutorEvent(None, None, "reconnected")
                await executor.start(spec)
                assert await anext(events) == ExecutorEvent(1, 11, "start")
        await engine.close()


async def test_a_log_that_is_followed_ends_when_the_engine_goes_away(
    executor: Executor, spec: InstanceSpec, box: Box, tmp_path: Path
) -> None:
    await executor.start(replace(spec, arguments=DEAF))
    with EngineDoor(tmp_path / "s") as door:
        engine = Engine(door.address)
        watched = DockerExecutor(engine, owner=box.owner, subnet_pool=SUBNET_POOL)
        lines = watched.follow(spec.name)
        assert (await anext(lines)).text == "deaf"

        door.shut()

        async with asyncio.timeout(10):
            with pytest.raises((EngineUnavailableError, StopAsyncIteration)):
                await anext(lines)
        await engine.close()


@contextlib.asynccontextmanager
async def watching(executor: Executor) -> AsyncIterator[AsyncIterator[ExecutorEvent]]:
    """Give the events from now on."""
    events = executor.events()
    async with aclosing(events):  # type: ignore[type-var]
        assert await anext(events) == ExecutorEvent(None, None, "reconnected")
        yield events


async def test_an_end_that_nobody_could_hear_of_came_with_the_engine(
    executor: Executor, spec: InstanceSpec
) -> None:
    async with watching(executor):
        await executor.start(spec)
    await executor.stop(spec.name, grace_s=0)
    async with watching(executor):
        unheard = await ended(executor, spec.name)
        await executor.remove(spec.name)
        await executor.start(spec)
        await executor.stop(spec.name, grace_s=0)
        heard = await ended(executor, spec.name)

    assert (unheard.ended_with_engine, heard.ended_with_engine) == (True, False)


async def test_a_sessions_container_is_no_instance_and_goes_with_its_instance(
    executor: Executor, spec: InstanceSpec, tmp_path: Path
) -> None:
    instance = await executor.start(spec)
    files = await asyncio.to_thread(HandshakeFiles, tmp_path)
    containers = SessionContainers(gateway_engine.Engine(), files, "contract")
    container_id = await containers.start(instance.container_id, "0123456789abcdef")

    (kept,) = await executor.sessions(spec.server_id)

    assert (kept.container_id, kept.session) == (container_id, "0123456789abcdef")
    assert (kept.instance, kept.is_running) == (spec.name, True)
    assert await executor.instances() == [instance]
    own = await asyncio.to_thread(inspect, instance.container_id)
    its = await asyncio.to_thread(inspect, container_id)
    assert own["HostConfig"] == its["HostConfig"]
    await executor.stop(spec.name)
    assert not (await executor.sessions(spec.server_id))[0].is_running
    await executor.remove(spec.name)
    assert await executor.sessions(spec.server_id) == []


async def test_another_installation_is_left_alone(
    executor: Executor, spec: InstanceSpec, engine: Engine
) -> None:
    mine = await executor.start(spec)
    theirs = DockerExecutor(engine, owner=secrets.token_hex(6), subnet_pool=SUBNET_POOL)

    assert await theirs.instances() == []
    await theirs.stop(spec.name)
    await theirs.remove(spec.name)
    await theirs.remove_server(spec.server_id)

    assert await executor.instances() == [mine]


async def test_an_engine_that_is_away_is_said_to_be(spec: InstanceSpec) -> None:
    away = Engine("unix:///nonexistent/docker.sock")
    executor = DockerExecutor(away, owner="0" * 12, subnet_pool=SUBNET_POOL)

    for asked in (
        executor.check(),
        executor.start(spec),
        executor.stop("x"),
        executor.remove("x"),
        executor.remove_server(1),
        executor.remove_image("x"),
        executor.instances(),
        executor.sessions(1),
        executor.tail("x"),
        anext(executor.follow("x")),
    ):
        with pytest.raises(EngineUnavailableError, match="does not answer"):
            await asked
    await away.close()
