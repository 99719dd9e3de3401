"""What the engine says of itself in a log is no line of the server's, and is read on behind."""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from appliance.infra.docker import Engine
from appliance.runtimes import docker_printing
from appliance.runtimes.docker_printing import DockerPrinters
from appliance.runtimes.printing import Printer

PRINTER = Printer("c0ffee", 7, 3, session="", speaks_on_stdout=True, is_running=True)
STDERR, OWN = 2, 3
BROKEN = (OWN, b"Error grabbing logs: unexpected EOF\n")


def line(second: int, text: str) -> tuple[int, bytes]:
    return STDERR, f"2026-11-22T03:54:{second:02}.000000000Z {text}\n".encode()


class _EngineOfFrames:
    """Answers each question with the next list of frames."""

    def __init__(self, *answers: list[tuple[int, bytes]]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    @asynccontextmanager
    async def stream(
        self, path: str, params: dict[str, str]
    ) -> AsyncIterator["_EngineOfFrames"]:
        assert path == "containers/c0ffee/logs"
        self.asked.append(params["since"])
        yield self

    async def iter_any(self) -> AsyncIterator[bytes]:
        for stream, payload in self._answers.pop(0):
            yield struct.pack(">BxxxL", stream, len(payload)) + payload


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_printing, "RECONNECT_AFTER_S", 0)


async def read(engine: _EngineOfFrames) -> list[bytes]:
    printers = DockerPrinters(cast("Engine", cast("Any", engine)), owner="o")
    return [item.text async for items in printers.read(PRINTER) for item in items]


async def test_where_the_engine_breaks_off_it_is_asked_again() -> None:
    engine = _EngineOfFrames(
        [line(1, "one"), line(2, "two"), BROKEN], [line(3, "three")], [line(3, "three")]
    )

    # The last line is said again, and left out by who keeps them.
    assert await read(engine) == [b"one", b"two", b"three", b"three"]
    assert engine.asked == [
        "0.000000000",
        "1795319642.000000000",
        "1795319643.000000000",
    ]


async def test_where_the_engine_just_ends_it_is_asked_for_the_rest() -> None:
    engine = _EngineOfFrames([line(1, "one")], [line(1, "one"), line(2, "two")], [])

    assert await read(engine) == [b"one", b"one", b"two"]
    assert len(engine.asked) == 3


async def test_an_engine_that_never_reads_on_is_left_alone() -> None:
    engine = _EngineOfFrames([line(1, "one"), BROKEN], [BROKEN], [BROKEN], [BROKEN])

    assert await read(engine) == [b"one"]
    assert len(engine.asked) == 1 + 3
