"""What containers print and use, of a real engine: every line once, from a moment on, and never the protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from appliance.core import labels
from appliance.infra.docker import Engine
from appliance.runtimes.docker_metering import DockerMetering
from appliance.runtimes.docker_printing import DockerPrinters, printer
from appliance.runtimes.meters import Meter
from appliance.runtimes.printing import Output, Printer
from tests.harness.waiting import PATIENCE_S

OWNER = "test-printers"
#: Turns the engine's file of 4 MB once, so that nothing is gone.
LOUD = "import sys\nfor n in range(660):\n print('x' * 9000, file=sys.stderr); print('{}')\n"
BUSY = "import time\nwhile time.process_time() < 0.3: pass\ntime.sleep(60)\n"
LOGS = {"max-size": "4m", "max-file": "2", "compress": "false"}


@pytest.fixture
async def listening() -> AsyncIterator[Engine]:
    engine = Engine(connections=0)
    yield engine
    await engine.close()


@asynccontextmanager
async def _container(
    engine: Engine, image: str, program: str, transport: str
) -> AsyncIterator[Printer]:
    own = {
        labels.OWNER: OWNER,
        labels.SERVER: "7",
        labels.DEPLOYMENT: "3",
        labels.INSTANCE: "mcp-x-3",
        labels.TRANSPORT: transport,
    }
    config: dict[str, Any] = {
        "Image": image,
        "Entrypoint": ["python3", "-c", program],
        "Labels": own,
        "HostConfig": {"LogConfig": {"Type": "local", "Config": LOGS}},
    }
    async with engine.reach() as client:
        made = await client.containers.create(config)
    try:
        await made.start()
        yield printer(made.id, own)
    finally:
        await made.delete(force=True, v=True)


async def _all(
    printers: DockerPrinters, found: Printer, since_ns: int = 0
) -> list[Output]:
    async with (
        asyncio.timeout(30),
        aclosing(printers.read(found, since_ns=since_ns)) as lists,
    ):
        return [item async for items in lists for item in items]


async def test_lines_are_read_from_a_moment_on_and_the_protocol_is_not(
    listening: Engine, base_image: str
) -> None:
    printers = DockerPrinters(listening, owner=OWNER)
    async with _container(listening, base_image, LOUD, "stdio") as found:
        lines = await _all(printers, found)
        # The engine repeats some when it turns its file, and hands some on late.
        moments = sorted({item.at_ns for item in lines})
        rest = await _all(printers, found, since_ns=moments[-10])
        listed = await printers.all()

    assert all(item.is_stderr for item in lines)
    assert len(moments) == 660
    assert sorted({item.at_ns for item in rest}) == moments[-10:]
    assert [item.container_id for item in listed] == [found.container_id]


async def test_what_a_container_uses_is_read_from_the_kernel(
    listening: Engine, base_image: str
) -> None:
    metering = DockerMetering(listening, await asyncio.to_thread(Meter))
    async with _container(listening, base_image, BUSY, "stdio") as found:
        async with asyncio.timeout(PATIENCE_S):
            read = await metering.read([found])
            while read[found.container_id].cpu_ns < 0.1e9:
                await asyncio.sleep(0.05)  # it is as fast as the box lets it be
                read = await metering.read([found])
        again = await metering.read([found])

    reading = read[found.container_id]
    assert reading.cpu_ns < 5e9
    assert reading.cpu_ns <= again[found.container_id].cpu_ns
    assert 1_000_000 < reading.memory_bytes < 100_000_000
