"""What everybody who opens servers' volumes promises, with a server that does its worst meanwhile."""

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.core import labels
from appliance.infra.docker import Engine
from appliance.runtimes.data_disks import DataDisks
from appliance.runtimes.docker import DockerExecutor
from appliance.runtimes.errors import ImageMissingError, VolumeRefusedError
from appliance.runtimes.model import InstanceSpec
from appliance.runtimes.volume_model import Incoming, Refusal, VolumeOwner
from appliance.runtimes.volumes import DockerVolumes
from tests.engine import NO_DISKS, SUBNET_POOL, Box, docker, inspect

ROOMY = Incoming(limit_bytes=1 << 30, overwrite=True, parents=True)
#: Swaps /data/x between a folder and links that lead elsewhere, as fast as it can.
SWAP = """
import os
os.makedirs('/data/real', exist_ok=True)
open('/data/real/passwd', 'w').write('own')
for name, target in (('etc', '/etc'), ('root', '/'), ('up', '..')):
    os.path.lexists('/data/' + name) or os.symlink(target, '/data/' + name)
os.chdir('/data')
print('swapping', flush=True)
while True:
    for name in ('real', 'etc', 'root', 'up'):
        for one, other in ((name, 'x'), ('x', name)):
            try:
                os.rename(one, other)
            except OSError:
                pass
"""


@pytest.fixture
async def volumes(
    docker_executor: DockerExecutor, base_image: str
) -> AsyncIterator[DockerVolumes]:
    async def image() -> str:
        return base_image

    found = docker_executor.volumes(image)
    yield found
    await found.close()


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def helpers(box: Box) -> list[str]:
    mark = f"label={labels.OWNER}={box.owner}"
    return docker(
        "ps", "-aq", "--filter", mark, "--filter", f"label={labels.HELPER}"
    ).split()


async def test_a_file_is_the_server_s_own_whether_it_runs_or_not(
    volumes: DockerVolumes,
    docker_executor: DockerExecutor,
    spec: InstanceSpec,
    named_user_image: str,
) -> None:
    spec = replace(spec, image=named_user_image)
    owner = VolumeOwner(spec.server_id, spec.image)
    content = secrets.token_bytes(400_000)

    async with volumes.open(owner) as volume:
        stored, digest = await volume.write(("in", "file"), ROOMY, once(content))
    started = await docker_executor.start(spec)
    seen = docker(
        "exec", started.container_id, "sh", "-c",
        "stat -c %u:%g /data/in/file && sha256sum /data/in/file && echo written > /data/in/own && rm /data/in/file",
    )  # fmt: skip
    async with volumes.open(owner) as volume:
        names = [item.name for item in (await volume.list(("in",), None, 9)).entries]
        entry, _ = await volume.open(("in", "own"), checksum=False)
        read = b"".join([piece async for piece in volume.read(0, entry.size_bytes)])

    assert seen.splitlines()[0] == "4711:4712"
    assert seen.splitlines()[1].startswith(digest)
    assert stored.size_bytes == len(content)
    assert (names, read) == (["own"], b"written\n")
    assert await docker_executor.data_sizes() == {spec.server_id: len(read)}


async def test_a_server_that_swaps_its_folders_leads_nobody_out(
    volumes: DockerVolumes, docker_executor: DockerExecutor, spec: InstanceSpec
) -> None:
    started = await docker_executor.start(
        replace(spec, arguments=("python3", "-c", SWAP))
    )
    while not await docker_executor.tail(started.name):
        await asyncio.sleep(0.05)
    read: set[bytes] = set()
    written = 0

    async with volumes.open(VolumeOwner(spec.server_id, spec.image)) as volume:
        for number in range(200):
            with contextlib.suppress(VolumeRefusedError):
                entry, _ = await volume.open(("x", "passwd"), checksum=False)
                pieces = volume.read(0, entry.size_bytes)
                read.add(b"".join([piece async for piece in pieces]))
            with contextlib.suppress(VolumeRefusedError):
                await volume.write(("x", f"new-{number}"), ROOMY, once(b"x"))
                written += 1
            with contextlib.suppress(VolumeRefusedError):
                await volume.remove(("x", f"new-{number}"), recursive=True)
    changed = docker("diff", started.container_id)

    assert read == {b"own"}
    assert 0 < written < 200
    assert "new-" not in changed


async def test_a_look_has_the_volume_and_nothing_else(
    volumes: DockerVolumes, spec: InstanceSpec, box: Box
) -> None:
    async with volumes.open(VolumeOwner(spec.server_id, spec.image)):
        (helper,) = helpers(box)
        found = json.loads(json.dumps(inspect(helper)))
        inside = docker("exec", helper, "python3", "-c", (
            "import os; s = open('/proc/self/status').read(); print(os.getuid(), "
            "[l.split()[1] for l in s.splitlines() if l.startswith(('CapEff', 'CapBnd'))], "
            "os.listdir('/sys/class/net'), os.access('/etc', os.W_OK))"
        ))  # fmt: skip

    host = found["HostConfig"]
    assert inside == f"10001 ['{'0' * 16}', '{'0' * 16}'] ['lo'] False"
    assert host["ReadonlyRootfs"]
    assert host["LogConfig"]["Type"] == "none"
    assert [item["Destination"] for item in found["Mounts"]] == ["/data"]


async def test_helpers_end_with_whoever_looked_and_with_the_server(
    volumes: DockerVolumes,
    docker_executor: DockerExecutor,
    spec: InstanceSpec,
    box: Box,
) -> None:
    owner = VolumeOwner(spec.server_id, spec.image)

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    async with volumes.open(owner) as first, volumes.open(owner) as second:
        await first.write(("kept",), ROOMY, once(b"x"))
        with contextlib.suppress(ConnectionResetError):
            await second.write(("lost",), ROOMY, broken())
    async with volumes.open(owner) as volume:
        names = [item.name for item in (await volume.list((), None, 9)).entries]
    await docker_executor.remove_server(spec.server_id)
    removed = box.leftovers()
    await volumes.close()

    assert names == ["kept"]
    assert removed == []
    assert helpers(box) == []


async def test_an_image_that_is_gone_is_said_to_be_gone(
    volumes: DockerVolumes, box: Box
) -> None:
    with pytest.raises(ImageMissingError):
        async with volumes.open(VolumeOwner(1, "mcp-host/gone:1")):
            pass

    assert helpers(box) == []


@pytest.mark.skipif(bool(NO_DISKS), reason=NO_DISKS)
async def test_a_volume_that_is_full_says_so_and_keeps_what_it_has(
    engine: Engine, box: Box, base_image: str, tmp_path: Path
) -> None:
    async def image() -> str:
        return base_image

    async def pieces(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield os.urandom(1 << 20)

    disks = DataDisks(tmp_path / "disks", default_bytes=32 << 20)
    executor = DockerExecutor(
        engine, owner=box.owner, subnet_pool=SUBNET_POOL, disks=disks
    )
    volumes = executor.volumes(image)
    try:
        async with volumes.open(VolumeOwner(1, base_image)) as volume:
            await volume.write(("kept",), ROOMY, pieces(12))
            with pytest.raises(VolumeRefusedError) as announced:
                await volume.write(
                    ("x",), replace(ROOMY, size_bytes=30 << 20), pieces(30)
                )
            with pytest.raises(VolumeRefusedError) as surprised:
                await volume.write(("x",), ROOMY, pieces(30))
            names = [item.name for item in (await volume.list((), None, 9)).entries]
            usage = await volume.usage()
    finally:
        await volumes.close()
        await executor.remove_server(1)

    assert announced.value.refusal is surprised.value.refusal is Refusal.FULL
    assert names == ["kept"]
    assert 8 << 20 < usage.free_bytes < 20 << 20
