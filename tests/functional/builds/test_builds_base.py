"""The base image: made once for all who wait, and cleanly given up."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.builds.base_image import BaseImages
from appliance.builds.buildx import Buildx
from appliance.builds.errors import BuildToolError, ImageNotFoundError
from appliance.builds.images import prune_cache
from appliance.infra.docker import Engine
from appliance.infra.process import MARK
from appliance.settings import Settings
from tests.engine import Box, docker


def images(engine: Engine, box: Box, **changes: str) -> BaseImages:
    settings: Settings = box.settings.model_copy(update=changes)
    return BaseImages(engine, Buildx(engine, timeout_s=600), settings, owner=box.owner)


def mounts(below: Path) -> list[str]:
    """Return what is mounted below a directory."""
    return [
        line
        for line in Path("/proc/self/mounts").read_text().splitlines()
        if str(below) in line
    ]


def marked(owner: str) -> list[str]:
    """Return the programs that belong to a base image's making."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"{MARK}=base:{owner}".encode() in (entry / "environ").read_bytes():
                    found.append((entry / "comm").read_text().strip())
    return found


async def test_a_base_that_is_there_is_taken_at_once(
    engine: Engine, box: Box, base_image: str
) -> None:
    said: list[str] = []

    assert await images(engine, box).ensure(said.append) == base_image

    assert said == []


async def test_waiters_share_one_making_and_the_last_to_leave_ends_it(
    engine: Engine, box: Box
) -> None:
    # A recipe of its own, so that it is not there yet.
    bases = images(engine, box, build_base_source="debian", build_base_image=box.owner)
    first: list[str] = []
    second: list[str] = []
    one = asyncio.create_task(bases.ensure(first.append))
    while not any("apt-get update" in line for line in first):
        await asyncio.sleep(0.05)
    other = asyncio.create_task(bases.ensure(second.append))
    await asyncio.sleep(0.5)
    assert "mmdebstrap" in await asyncio.to_thread(marked, box.owner)

    one.cancel()
    await asyncio.wait({one})
    assert "mmdebstrap" in await asyncio.to_thread(marked, box.owner)
    other.cancel()
    await asyncio.wait({other})

    assert await asyncio.to_thread(marked, box.owner) == []
    assert second[: len(first)] == first[: len(second)]
    assert not (box.settings.data_dir / "builds" / "base").exists()
    assert mounts(box.settings.data_dir) == []


_HUB = """
import asyncio, sys
from pathlib import Path
from appliance.builds.base_image import BaseImages
from appliance.builds.buildx import Buildx
from appliance.builds.images import prune_cache
from appliance.infra.docker import Engine
from appliance.settings import load_settings

data_dir, owner = sys.argv[1:]
settings = load_settings(
    jwt_secret="x" * 40, data_dir=Path(data_dir), build_base_source="debian", build_base_image=owner
)

async def main():
    engine = Engine()
    await BaseImages(engine, Buildx(engine, timeout_s=600), settings, owner=owner).ensure(lambda line: print(line, flush=True))

asyncio.run(main())
"""


async def test_a_killed_hub_leaves_no_half_assembled_debian_running(box: Box) -> None:
    hub = subprocess.Popen(  # noqa: ASYNC220 - it is to be killed like any process
        [sys.executable, "-c", _HUB, str(box.settings.data_dir), box.owner],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert hub.stdout is not None
    try:
        while "installing essential" not in await asyncio.to_thread(
            hub.stdout.readline
        ):
            pass
    finally:
        hub.send_signal(signal.SIGKILL)
        await asyncio.to_thread(hub.wait)
        hub.stdout.close()

    end = time.monotonic() + 5
    while await asyncio.to_thread(marked, box.owner):
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
    assert mounts(box.settings.data_dir) == []


async def test_a_registry_that_is_asked_for_and_away_is_said_to_be(
    engine: Engine, box: Box
) -> None:
    bases = images(
        engine,
        box,
        build_base_source="registry",
        build_base_image="127.0.0.1:1/debian:1",
    )

    with pytest.raises(Exception, match=r"127\.0\.0\.1:1/debian:1") as caught:
        await bases.ensure(print)

    assert caught.value.code in {"network_unreachable", ImageNotFoundError.code}  # type: ignore[attr-defined]


async def test_a_base_can_begin_with_an_image_of_this_box(
    engine: Engine, box: Box, strange_image: str
) -> None:
    plain = f"mcp-host-test/plain-{box.owner}:1"
    text = f"FROM {strange_image}\nRUN rm -rf /opt/mcp /usr/local/bin/uv*\n"
    build = ("buildx", "build", "--builder", "default", "-q", "--load")
    docker(*build, "-t", plain, "-", text=text)
    said: list[str] = []
    bases = images(engine, box, build_base_source="registry", build_base_image=plain)

    tag = await bases.ensure(said.append)

    try:
        version = docker(
            "run", "--rm", "--network=none", tag, "/opt/mcp/node/bin/node", "--version"
        )
        assert version.startswith("v")
    finally:
        docker("rmi", "-f", tag, plain)
    assert not any(line.startswith("I: ") for line in said)  # mmdebstrap


async def test_a_box_without_the_tools_says_what_to_install(
    engine: Engine, box: Box, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rm = await asyncio.to_thread(shutil.which, "rm")
    assert rm
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "rm").symlink_to(rm)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    bases = images(engine, box, build_base_source="debian", build_base_image=box.owner)

    with pytest.raises(BuildToolError) as caught:
        await bases.ensure(print)

    assert "Install mmdebstrap" in caught.value.reason


async def test_the_build_cache_is_brought_down_to_its_limit(engine: Engine) -> None:
    # Far above what is there: asking is enough here, as others build on this engine.
    assert await prune_cache(engine, keep_bytes=1024**5) == 0
