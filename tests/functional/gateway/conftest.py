"""A running gateway for every test, and a stdio server behind it for those that want one."""

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import ThrowAwayCluster
from tests.fakes.mcp_box import ROOT, Box, stdio_container, wait_until
from tests.harness.ports import free_port


@contextmanager
def run_directory() -> Iterator[Path]:
    """Yield where a gateway keeps its sockets."""
    # Not pytest's own directory: its path may be too long for a socket.
    directory = Path(tempfile.mkdtemp(prefix="gw-", dir="/var/tmp"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def make_box(database_url: str) -> Iterator[Callable[..., Box]]:
    """Start a gateway of the test's own, with other settings."""
    with run_directory() as run_dir:
        made: list[Box] = []

        def make(
            *, database_url: str = database_url, wait: bool = True, **settings: Any
        ) -> Box:
            box = Box(database_url, run_dir, **settings)
            made.append(box)
            box.start(wait=wait)
            return box

        yield make
        for box in made:
            assert box.stop() == 0, box.log.read_text()


@pytest.fixture(scope="session")
def shared_box(cluster: ThrowAwayCluster, migrated_template: str) -> Iterator[Box]:
    """One gateway for all tests that want nothing special of it."""
    name = "shared_gateway"
    cluster.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    with run_directory() as run_dir:
        box = Box(cluster.url(name), run_dir)
        box.start()
        yield box
        assert box.stop() == 0, box.log.read_text()
    cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def box(shared_box: Box) -> Box:
    """A gateway with two workers that knows no server yet."""
    shared_box.forget_everything()
    return shared_box


@pytest.fixture
def stdio_box(box: Box) -> Iterator[Box]:
    """A gateway before a stdio server called ``fake``, whose endpoint key is ``box.key``."""
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        yield box


@pytest.fixture(scope="module")
def web_server() -> Iterator[str]:
    """The address of an HTTP server that misbehaves by path."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fakes.mcp_web", str(port)]
    with subprocess.Popen(command, cwd=ROOT) as server:
        wait_until(lambda: accepts(port), "the HTTP server listens")
        yield f"http://127.0.0.1:{port}"
        server.kill()


def accepts(port: int) -> bool:
    """Whether something listens on ``port``."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
