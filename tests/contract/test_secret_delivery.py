"""Secrets reach real containers, whatever their image, and the engine knows nothing of them."""

import asyncio
import hashlib
import json
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from appliance.core.known_values import KnownValues
from appliance.gateway.bridge import engine as gateway_engine
from appliance.gateway.bridge.containers import SessionContainers
from appliance.gateway.bridge.handshake import HandshakeFiles
from appliance.infra.docker import Engine
from appliance.infra.memory_files import MemoryFiles, memory_root
from appliance.infra.static_shell import static_shell
from appliance.runtimes.docker import DockerExecutor
from appliance.runtimes.model import (
    InstanceSpec,
    InstanceState,
    SecretValue,
)
from tests.engine import SUBNET_POOL, Box, docker, inspect

CANARY = 'cänary-5e1f\n"$HOME" \\n\t`id`\n\n'
LOOK = (
    "python3",
    "-c",
    """
import hashlib, json, os, pathlib, sys
def told(raw): return hashlib.sha256(raw).hexdigest()
place = pathlib.Path('/run/secrets')
def writable():
    try:
        (place / 'X').write_text('x'); return True
    except OSError:
        return False
print('leaked', os.environ['TOKEN'].splitlines()[0], file=sys.stderr)
print(json.dumps({
    'env': told(os.environb[b'TOKEN']), 'cfg': told(os.environb[b'CFG_TOKEN']),
    'file': told((place / 'TOKEN').read_bytes()), 'other': told((place / 'CERT').read_bytes()),
    'names': sorted(item.name for item in place.iterdir()), 'cert_in_env': 'CERT' in os.environ,
    'mode': oct((place / 'TOKEN').stat().st_mode & 0o777), 'mine': (place / 'TOKEN').stat().st_uid == os.getuid(),
    'writable': writable(),
    'memory': [line.split(' - ')[1].split()[0] for line in open('/proc/self/mountinfo') if ' /run/secrets ' in line],
    'argv': open('/proc/self/cmdline').read().split('\\0')[0],
}))
""",
)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    root = memory_root(tmp_path)
    assert root, "this box has no tmpfs"
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def executor(engine: Engine, box: Box, memory: Path) -> DockerExecutor:
    async def hiding(_server_id: int) -> Callable[[str], str]:
        return KnownValues([CANARY])

    return DockerExecutor(
        engine,
        owner=box.owner,
        subnet_pool=SUBNET_POOL,
        memory=MemoryFiles(memory),
        hiding=hiding,
    )


@pytest.fixture
def spec(spec: InstanceSpec) -> InstanceSpec:
    return replace(
        spec,
        arguments=LOOK,
        secrets=(
            SecretValue("TOKEN", SecretStr(CANARY)),
            SecretValue("CERT", SecretStr("a certificate"), in_environment=False),
        ),
    )


async def printed(executor: DockerExecutor, spec: InstanceSpec) -> list[str]:
    """Start, wait for the end, and return what was printed."""
    await executor.start(spec)
    for _ in range(200):
        (found,) = await executor.instances()
        if found.state is InstanceState.EXITED:
            return [line.text for line in await executor.tail(spec.name)]
        await asyncio.sleep(0.05)
    raise AssertionError("it did not end")


def told(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


async def test_every_byte_reaches_the_server_and_none_the_engine(
    executor: DockerExecutor, spec: InstanceSpec, memory: Path
) -> None:
    lines = await printed(executor, spec)

    saw = json.loads(next(line for line in lines if line.startswith("{")))
    assert saw == {
        "env": told(CANARY),
        "cfg": told(CANARY),
        "file": told(CANARY),
        "other": told("a certificate"),
        "names": ["CERT", "TOKEN"],
        "cert_in_env": False,
        "mode": "0o400",
        "mine": True,
        "writable": False,
        "memory": ["tmpfs"],
        "argv": "python3",
    }
    # What it printed of them is hidden where it leaves the engine.
    assert "leaked [redacted]" in lines
    (instance,) = await executor.instances()
    shown = json.dumps(await asyncio.to_thread(inspect, instance.container_id))
    assert "5e1f" not in shown
    assert "a certificate" not in shown
    assert "TOKEN" in shown
    await executor.remove(spec.name)
    assert not list((memory / "given").iterdir())


async def test_what_a_restart_of_the_box_took_is_there_again(
    executor: DockerExecutor, spec: InstanceSpec, memory: Path
) -> None:
    await printed(executor, spec)
    await asyncio.to_thread(shutil.rmtree, memory)

    lines = await printed(executor, spec)

    assert sum(line.startswith("{") for line in lines) == 2


async def test_a_session_s_container_gets_the_same(
    executor: DockerExecutor, spec: InstanceSpec, tmp_path: Path
) -> None:
    waits = ("python3", "-c", "import os, sys; sys.exit(len(os.environ['TOKEN']))")
    instance = await executor.start(replace(spec, arguments=waits))
    containers = SessionContainers(
        gateway_engine.Engine(),
        await asyncio.to_thread(HandshakeFiles, tmp_path),
        "contract",
    )

    session = await containers.start(instance.container_id, "0123456789abcdef")

    ended = await asyncio.to_thread(docker, "wait", session)
    assert int(ended) == len(CANARY)
    shown = json.dumps(await asyncio.to_thread(inspect, session))
    assert "5e1f" not in shown


@pytest.fixture
def bare_image(tmp_path: Path) -> Iterator[str]:
    """An image that holds one program, and no shell."""
    shell = static_shell()
    if shell is None:
        pytest.skip("busybox-static is not installed")
    tag = f"mcp-host-test/{secrets.token_hex(4)}:bare"
    changes = ['ENTRYPOINT ["/busybox"]', 'CMD ["env"]']
    archive = tmp_path / "image.tar"
    with tarfile.open(archive, "w") as made:
        made.add(shell, "busybox")
    docker("import", *(f"-c={line}" for line in changes), str(archive), tag)
    yield tag
    docker("rmi", "-f", tag)


async def test_an_image_without_a_shell_gets_its_environment_all_the_same(
    executor: DockerExecutor, spec: InstanceSpec, bare_image: str
) -> None:
    given = SecretValue("TOKEN", SecretStr("a-plain-token"))
    bare = replace(spec, image=bare_image, arguments=(), secrets=(given,))

    lines = await printed(executor, bare)

    assert "TOKEN=a-plain-token" in lines
    assert "CFG_TOKEN=a-plain-token" in lines
