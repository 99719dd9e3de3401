"""A server's /data has a size, kept by a file system of its own: what one fills is nobody else's."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.infra.docker import Engine
from appliance.runtimes.data_disks import DataDisks
from appliance.runtimes.docker import DockerExecutor
from appliance.runtimes.errors import StartFailedError
from appliance.runtimes.isolation import DataUse, Isolation
from appliance.runtimes.model import InstanceSpec, InstanceState
from tests.engine import NO_DISKS, SUBNET_POOL, Box, docker

MIB = 1024**2
FILL = (
    "python3",
    "-c",
    """
import errno, json, os, shutil
written, why = 0, ''
try:
    with open('/data/fill', 'ab', buffering=0) as file:
        while written < 256 << 20:
            written += file.write(bytes(1 << 20))
except OSError as error:
    why = errno.errorcode[error.errno]
print(json.dumps({'written': written, 'why': why, 'listed': sorted(os.listdir('/data'))}), flush=True)
""",
)

pytestmark = pytest.mark.skipif(bool(NO_DISKS), reason=NO_DISKS)


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[DataDisks]:
    yield DataDisks(tmp_path / "disks", default_bytes=32 * MIB)
    for device in attached(tmp_path):
        subprocess.run(["losetup", "--detach", device], check=True)


@pytest.fixture
def executor(engine: Engine, box: Box, disks: DataDisks) -> DockerExecutor:
    return DockerExecutor(engine, owner=box.owner, subnet_pool=SUBNET_POOL, disks=disks)


@pytest.fixture
def spec(spec: InstanceSpec) -> InstanceSpec:
    return replace(
        spec,
        arguments=FILL,
    )


def attached(below: Path) -> list[str]:
    """Return the loop devices whose files lie below a directory."""
    done = subprocess.run(
        ["losetup", "--json", "--list"], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout or '{"loopdevices": []}')["loopdevices"]
    return [item["name"] for item in found if item["back-file"].startswith(str(below))]


def renumber(device: str, other: Path) -> None:
    """As after a restart: give the device to another file."""
    subprocess.run(["losetup", "--detach", device], check=True)
    with other.open("wb") as file:
        file.truncate(MIB)
    subprocess.run(["losetup", device, str(other)], check=True)


async def filled(executor: DockerExecutor, spec: InstanceSpec) -> dict[str, object]:
    """Run what fills /data, and return what it printed."""
    await executor.start(spec)
    for _ in range(200):
        (instance,) = await executor.instances(spec.server_id)
        if instance.state is InstanceState.EXITED:
            break
        await asyncio.sleep(0.05)
    found: dict[str, object] = json.loads((await executor.tail(spec.name))[-1].text)
    return found


async def test_who_fills_data_fills_what_is_theirs_and_no_more(
    executor: DockerExecutor, spec: InstanceSpec, tmp_path: Path
) -> None:
    seen = await filled(executor, spec)

    assert seen["why"] == "ENOSPC"
    assert isinstance(seen["written"], int)
    assert 20 * MIB < seen["written"] < 32 * MIB
    assert seen["listed"] == ["fill"]
    assert len(attached(tmp_path)) == 1
    ((server, taken),) = (await executor.data_sizes()).items()
    assert server == spec.server_id
    assert 20 * MIB < taken <= 32 * MIB

    await executor.remove_server(1)

    assert attached(tmp_path) == []
    assert list((tmp_path / "disks").iterdir()) == []


async def test_a_disk_takes_another_size_when_nobody_uses_it(
    executor: DockerExecutor, spec: InstanceSpec
) -> None:
    async def started(size: int, deployment: int) -> DataUse:
        wait = ("python3", "-c", "import signal; signal.pause()")
        await executor.start(
            replace(
                spec,
                deployment_id=deployment,
                arguments=wait,
                isolation=Isolation(data_bytes=size),
            )
        )
        return (await executor.data_uses([1]))[1]

    first = await started(32 * MIB, 11)
    await executor.remove("mcp-one-11")
    larger = await started(64 * MIB, 12)
    while_used = await started(16 * MIB, 13)
    await executor.remove("mcp-one-12")
    await executor.remove("mcp-one-13")
    smaller = await started(16 * MIB, 14)

    assert not first.is_full
    assert first.size_bytes < 32 * MIB < larger.size_bytes < 64 * MIB
    assert while_used.size_bytes == larger.size_bytes
    assert smaller.size_bytes < 16 * MIB


async def test_a_disk_waits_for_who_still_has_its_mount_for_a_moment(
    executor: DockerExecutor, spec: InstanceSpec
) -> None:
    """As a container does that is being made."""
    wait = ("python3", "-c", "import signal; signal.pause()")
    first = replace(spec, arguments=wait, isolation=Isolation(data_bytes=32 * MIB))
    await executor.start(first)
    other = await asyncio.create_subprocess_exec(
        *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
        "echo held; exec sleep 2",
        stdout=asyncio.subprocess.PIPE,
    )
    assert other.stdout is not None
    await other.stdout.readline()
    await executor.remove(first.name)

    smaller = replace(first, deployment_id=2, isolation=Isolation(data_bytes=16 * MIB))
    await executor.start(smaller)

    assert (await executor.data_uses([1]))[1].size_bytes < 16 * MIB
    await other.wait()


async def test_a_disk_larger_than_a_file_may_be_is_refused_by_name(
    executor: DockerExecutor, spec: InstanceSpec, tmp_path: Path
) -> None:
    spec = replace(spec, isolation=Isolation(data_bytes=2**62))

    with pytest.raises(StartFailedError, match="cannot be 4,611,686"):
        await executor.start(spec)

    assert attached(tmp_path) == []


async def test_what_is_on_a_disk_stays_when_the_box_numbers_its_devices_anew(
    executor: DockerExecutor, spec: InstanceSpec, tmp_path: Path
) -> None:
    keep = "import pathlib; p = pathlib.Path('/data/kept'); print(p.read_text() if p.exists() else p.write_text('yes'))"
    await executor.start(replace(spec, arguments=("python3", "-c", keep)))
    docker("wait", f"{spec.name}.{executor._owner}")
    (device,) = attached(tmp_path)
    await asyncio.to_thread(renumber, device, tmp_path / "other.img")

    await executor.start(replace(spec, arguments=("python3", "-c", keep)))

    docker("wait", f"{spec.name}.{executor._owner}")
    assert (await executor.tail(spec.name))[-1].text == "yes"
