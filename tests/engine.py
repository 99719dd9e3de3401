"""The real container engine for tests: what they make carries an installation id of its own and is removed afterwards."""

import asyncio
import fcntl
import json
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.builds.base_image import BaseImages
from appliance.builds.buildx import Buildx
from appliance.core import labels
from appliance.infra.docker import Engine
from appliance.runtimes.data_disks import DataDisks
from appliance.runtimes.docker import DockerExecutor
from appliance.settings import Settings, load_settings

#: Away from the default range, so that tests beside a running appliance leave its
#: networks alone.
SUBNET_POOL = "10.222.0.0/18"
#: Why the box cannot give a server's /data a size of its own, as the product says it; empty: it can.
NO_DISKS = DataDisks(Path(), default_bytes=1).unavailable()


def docker(*arguments: str, text: str | None = None) -> str:
    """Run the docker command and return what it printed; an independent witness of what the code did."""
    done = subprocess.run(
        ["docker", *arguments], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Box:
    """One installation on this box's engine, as far as a test needs it."""

    owner: str
    settings: Settings

    def containers(self) -> list[str]:
        """Return the ids of all its containers."""
        return docker(
            "ps", "-aq", "--filter", f"label={labels.OWNER}={self.owner}"
        ).split()

    def networks(self) -> list[str]:
        """Return the names of its networks."""
        return docker(
            "network", "ls", "-q", "--filter", f"label={labels.OWNER}={self.owner}"
        ).split()

    def volumes(self) -> list[str]:
        """Return the names of its volumes."""
        return docker(
            "volume", "ls", "-q", "--filter", f"label={labels.OWNER}={self.owner}"
        ).split()

    def images(self) -> list[str]:
        """Return the tags of its images."""
        found = docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        return [tag for tag in found if labels.is_own_tag(tag, self.owner)]

    def leftovers(self) -> list[str]:
        """Return everything that is still there."""
        return [*self.containers(), *self.networks(), *self.volumes(), *self.images()]

    def clear(self) -> None:
        """Remove everything."""
        for _ in range(50):
            # One that a test's own ``docker run --rm`` is just removing is refused, and gone soon.
            if not (found := self.containers()):
                break
            subprocess.run(
                ["docker", "rm", "-f", *found], capture_output=True, check=False
            )
            time.sleep(0.1)
        for kind, others in (
            ("image", self.images()),
            ("network", self.networks()),
            ("volume", self.volumes()),
        ):
            if others:
                docker(kind, "rm", *others)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A fresh installation."""
    settings = load_settings(
        jwt_secret=secrets.token_hex(32),
        data_dir=tmp_path / "data",
        server_subnet_pool=SUBNET_POOL,
    )
    made = Box(secrets.token_hex(6), settings)
    yield made
    made.clear()


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """The door to the engine."""
    opened = Engine()
    yield opened
    await opened.close()


@pytest.fixture
def docker_executor(engine: Engine, box: Box) -> DockerExecutor:
    """An executor of the fresh installation."""
    return DockerExecutor(engine, owner=box.owner, subnet_pool=SUBNET_POOL)


@pytest.fixture(scope="session")
def base_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tag of the base image; made once if this box does not have it."""
    settings = load_settings(
        jwt_secret=secrets.token_hex(32), data_dir=tmp_path_factory.mktemp("base")
    )

    # Whoever begins ends what is left of its owner's work: the processes of one run must not share an owner.
    owner = f"tests-{os.getpid()}"

    async def ensure() -> str:
        engine = Engine()
        buildx = Buildx(engine, timeout_s=settings.build_timeout)
        try:
            return await BaseImages(engine, buildx, settings, owner=owner).ensure(print)
        finally:
            await engine.close()

    with (Path(tempfile.gettempdir()) / "mcp-host-test-base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the others wait, and find it made
        return asyncio.run(ensure())


@pytest.fixture(scope="session")
def strange_image(base_image: str) -> Iterator[str]:
    """An image that nobody here made: runs as root, and shows nothing of our base."""
    tag = _built(
        f'FROM {base_image} AS b\nFROM scratch\nCOPY --from=b / /\nCMD ["sleep", "300"]\n'
    )
    yield tag
    docker("rmi", "-f", tag)


@pytest.fixture(scope="session")
def named_user_image(strange_image: str) -> Iterator[str]:
    """A strange image that runs as a user of its own."""
    text = f"FROM {strange_image}\nRUN echo 'app:x:4711:4712::/home/app:/bin/sh' >> /etc/passwd\nENV HOME=/home/app\nUSER app\n"
    tag = _built(text)
    yield tag
    docker("rmi", "-f", tag)


def _built(dockerfile: str) -> str:
    tag = f"mcp-host-test/{secrets.token_hex(4)}:1"
    docker(
        "buildx",
        "build",
        "--builder",
        "default",
        "--load",
        "-q",
        "-t",
        tag,
        "-",
        text=dockerfile,
    )
    return tag


def inspect(container_id: str) -> dict[str, object]:
    """Return what the engine says of a container."""
    found: list[dict[str, object]] = json.loads(docker("inspect", container_id))
    return found[0]
