"""Builds that are cancelled, killed, tried again, or meet an engine or a Postgres that went away."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.builds.model import BuildRequest, BuildState
from appliance.builds.service import BuildService
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.infra.errors import EngineUnavailableError
from appliance.infra.process import MARK, run
from appliance.runtimes.docker import DockerExecutor
from tests.cluster import ThrowAwayCluster
from tests.engine import Box, docker
from tests.fakes.git_http import GitServer
from tests.fakes.mcp_engine import EngineDoor
from tests.functional.builds.conftest import Bench


def slow(base: str, *, seconds: float) -> dict[str, str]:
    """Return a repository whose build takes its time; the engine has never seen it before."""
    step = f"RUN echo begun; sleep {seconds} || :; echo ended; : {secrets.token_hex(8)}"
    return {"Dockerfile": f'FROM {base}\n{step}\nCMD ["true"]\n'}


class Held:
    """A build's step that goes on when the test says so. The engine runs it on this box, where it is a process like any."""

    def __init__(self, base: str) -> None:
        # As long as no test takes, and as nothing else here sleeps.
        seconds = 1000 + secrets.randbelow(10**9) / 10**6
        self.files = slow(base, seconds=seconds)
        self._command = f"sleep {seconds}"

    async def begun(self) -> None:
        """Wait until the step runs."""
        async with asyncio.timeout(60):
            while (await run(["pgrep", "-fx", self._command])).code:
                await asyncio.sleep(0.05)

    async def gone(self) -> None:
        """Wait until the engine has ended the step of a client that left."""
        await gone(self._command)

    async def go_on(self) -> None:
        """Let the step end; wait for it to have begun."""
        await self.begun()
        await run(["pkill", "-fx", self._command])
        await gone(self._command)


def marked(owner: str) -> list[int]:
    """Return the ids of processes that belong to builds of ``owner``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"{MARK}=build:{owner}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


async def until_unmarked(owner: str) -> None:
    """Wait until no process of a build of ``owner`` runs."""
    async with asyncio.timeout(10):
        while await asyncio.to_thread(marked, owner):
            await asyncio.sleep(0.05)


async def until_logged(bench: Bench, request: BuildRequest, text: str) -> None:
    """Wait until the log says ``text``."""
    async with asyncio.timeout(60):
        while True:
            view = await bench.service.get(request.deployment_id)
            if view and any(
                text == line.text for line in await bench.service.lines(view.id)
            ):
                return
            await asyncio.sleep(0.05)


async def test_cancelling_stops_what_runs_and_leaves_nothing(
    bench: Bench, repositories: GitServer, base_image: str
) -> None:
    url = repositories.add("slow", slow(base_image, seconds=301))
    request = await bench.request({"repo_url": url})
    building = asyncio.create_task(bench.build(request))
    await until_logged(bench, request, "begun")
    assert marked(bench.box.owner)

    started = time.monotonic()
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building

    assert time.monotonic() - started < 5
    assert marked(bench.box.owner) == []
    assert (await bench.view(request)).state is BuildState.CANCELLED
    assert (await bench.log(request)).endswith("The build was cancelled.")
    assert bench.box.leftovers() == []
    assert list((bench.box.settings.data_dir / "builds").iterdir()) == []
    await gone("sleep 301")


async def gone(command: str) -> None:
    """Wait until no process runs ``command``; the engine ends a step a moment after its client left."""
    async with asyncio.timeout(10):
        while (await run(["pgrep", "-fx", command])).code == 0:
            await asyncio.sleep(0.1)


async def test_a_cancelled_build_can_be_asked_for_again(
    bench: Bench, repositories: GitServer, base_image: str
) -> None:
    step = Held(base_image)
    request = await bench.request({"repo_url": repositories.add("slow", step.files)})
    building = asyncio.create_task(bench.build(request))
    await until_logged(bench, request, "begun")
    building.cancel()
    await asyncio.wait({building})
    await step.gone()

    built, _ = await asyncio.gather(bench.build(request), step.go_on())

    assert built.image
    view = await bench.view(request)
    assert (view.state, view.attempt) == (BuildState.SUCCEEDED, 2)


_HUB = """
import asyncio, sys
from pathlib import Path
from appliance.builds.model import BuildRequest
from appliance.builds.service import BuildService
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.settings import load_settings
from appliance.sources.spec import parse_source

url, data_dir, owner, deployment, server, name, repository = sys.argv[1:]

async def main(settings):
    service = BuildService(Database(url, size=2), Engine(), settings, owner=owner)
    async def on_stage(stage): pass
    request = BuildRequest(int(deployment), int(server), name, parse_source({"repo_url": repository}))
    await service.build(request, on_stage)

asyncio.run(main(load_settings(jwt_secret="x" * 40, data_dir=Path(data_dir))))
"""


async def test_a_killed_hub_leaves_a_build_that_its_successor_finishes_once(
    bench: Bench, repositories: GitServer, base_image: str, database_url: str
) -> None:
    step = Held(base_image)
    url = repositories.add("slow", step.files)
    request = await bench.request({"repo_url": url})
    arguments = [request.deployment_id, request.server_id, request.server_name, url]
    hub = subprocess.Popen(  # noqa: ASYNC220 - it is to be killed like any process
        [
            sys.executable,
            "-c",
            _HUB,
            database_url,
            str(bench.box.settings.data_dir),
            bench.box.owner,
            *map(str, arguments),
        ],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    try:
        await until_logged(bench, request, "begun")
    finally:
        hub.send_signal(signal.SIGKILL)
        await asyncio.to_thread(hub.wait)
    await until_unmarked(bench.box.owner)
    await step.gone()

    built, _ = await asyncio.gather(bench.build(request), step.go_on())

    view = await bench.view(request)
    assert (view.state, view.attempt, view.image_digest) == (
        BuildState.SUCCEEDED,
        2,
        built.image,
    )
    log = await bench.log(request)
    assert "Attempt 2 begins" in log
    assert log.count("\nended") == 1
    assert bench.box.images() == [
        f"mcp-host/{request.server_name}:{bench.box.owner}-{request.deployment_id}"
    ]
    assert list((bench.box.settings.data_dir / "builds").iterdir()) == []


async def test_a_build_goes_on_while_postgres_restarts(
    bench: Bench, repositories: GitServer, base_image: str, cluster: ThrowAwayCluster
) -> None:
    step = Held(base_image)
    request = await bench.request({"repo_url": repositories.add("slow", step.files)})
    building = asyncio.create_task(bench.build(request))
    await until_logged(bench, request, "begun")

    # As seen from here, a postmaster that restarts ends every connection and takes no
    # new one for a while.
    name = bench.database.peewee.database
    cluster.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    cluster.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608 - a name of our own
    )
    # The engine has made the image while nobody could write it down.
    await step.go_on()
    await until_unmarked(bench.box.owner)
    assert not building.done()
    cluster.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    built = await building

    assert built.image
    assert "\nended" in await bench.log(request)
    assert (await bench.view(request)).state is BuildState.SUCCEEDED


async def test_an_engine_that_is_away_is_said_to_be_and_may_come_back(
    database: Database, box: Box, bench: Bench
) -> None:
    request = await bench.request({"package": "npm:is-number"})
    nowhere = Engine("unix:///nonexistent/docker.sock")
    away = BuildService(database, nowhere, box.settings, owner=box.owner)

    with pytest.raises(EngineUnavailableError, match="does not answer"):
        await away.build(request, bench.on_stage)
    await nowhere.close()
    assert "does not answer" in (await bench.view(request)).error

    assert (await bench.build(request)).image
    assert (await bench.view(request)).error == ""


async def test_an_engine_that_goes_away_in_the_middle_may_come_back(
    database: Database, bench: Bench, repositories: GitServer, base_image: str
) -> None:
    step = Held(base_image)
    request = await bench.request({"repo_url": repositories.add("slow", step.files)})
    settings = bench.box.settings
    with EngineDoor(settings.data_dir.parent / "s") as door:
        engine = Engine(door.address)
        service = BuildService(database, engine, settings, owner=bench.box.owner)
        building = asyncio.create_task(service.build(request, bench.on_stage))
        await until_logged(bench, request, "begun")
        await asyncio.to_thread(door.shut)
        with pytest.raises(EngineUnavailableError, match="engine"):
            await building
        await engine.close()
    await step.gone()

    built, _ = await asyncio.gather(bench.build(request), step.go_on())

    assert built.image
    view = await bench.view(request)
    assert (view.state, view.attempt) == (BuildState.SUCCEEDED, 2)


async def test_an_image_that_nobody_wrote_down_goes_with_its_server(
    bench: Bench,
    repositories: GitServer,
    base_image: str,
    docker_executor: DockerExecutor,
) -> None:
    url = repositories.add("slow", slow(base_image, seconds=0))
    request = await bench.request({"repo_url": url})
    other = await bench.request({"repo_url": url})
    await bench.build(request)
    await bench.build(other)

    await docker_executor.remove_server(request.server_id)

    kept = f"mcp-host/{other.server_name}:{bench.box.owner}-{other.deployment_id}"
    assert bench.box.images() == [kept]


async def test_builds_beyond_the_limit_wait_for_their_turn(
    bench: Bench, repositories: GitServer, base_image: str
) -> None:
    url = repositories.add("slow", slow(base_image, seconds=1))
    requests = [await bench.request({"repo_url": url}) for _ in range(3)]

    await asyncio.gather(*map(bench.build, requests))

    logs = [await bench.log(request) for request in requests]
    assert sum(log.startswith("Waiting for other builds to end.") for log in logs) == 1


async def test_a_server_that_is_deleted_while_it_builds_ends_quietly(
    bench: Bench, repositories: GitServer, base_image: str
) -> None:
    url = repositories.add("slow", slow(base_image, seconds=301))
    request = await bench.request({"repo_url": url})
    building = asyncio.create_task(bench.build(request))
    await until_logged(bench, request, "begun")

    await bench.database.run(
        bench.database.peewee.execute_sql,
        "DELETE FROM servers WHERE id = %s",
        (request.server_id,),
    )
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building

    assert bench.box.leftovers() == []
    assert (
        docker("images", "-q", "--filter", f"label=mcp-host.owner={bench.box.owner}")
        == ""
    )
