"""A running gateway for every test, and a stdio server behind it for those that want one."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.mcp_box import Box, stdio_container


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A directory with a path short enough for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="gw-", dir="/var/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def make_box(database_url: str, run_dir: Path) -> Iterator[Callable[..., Box]]:
    """Start a gateway with other settings."""
    made: list[Box] = []

    def make(**settings: Any) -> Box:
        box = Box(database_url, run_dir, **settings)
        made.append(box)
        box.start()
        return box

    yield make
    for box in made:
        assert box.stop() == 0, box.log.read_text()


@pytest.fixture
def box(make_box: Callable[..., Box]) -> Box:
    """A gateway with two workers."""
    return make_box()


@pytest.fixture
def stdio_box(box: Box) -> Iterator[Box]:
    """A gateway before a stdio server called ``fake``, whose endpoint key is ``box.key``."""
    with stdio_container() as container_id:
        box.host_stdio("fake", container_id)
        yield box
