"""Servers' files as folders of this box, looked into by the real program, without an engine."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from appliance.runtimes import volume_program
from appliance.runtimes.volume_door import VolumeDoor
from appliance.runtimes.volume_model import VolumeOwner


class Piped:
    """The program as a process of this box."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def send(self, data: bytes) -> None:
        assert self.process.stdin
        with contextlib.suppress(ConnectionError):
            self.process.stdin.write(data)
            await self.process.stdin.drain()

    async def receive(self) -> bytes:
        assert self.process.stdout
        return await self.process.stdout.read(65536)


@asynccontextmanager
async def opened(root: Path) -> AsyncIterator[VolumeDoor]:
    """Give a door into a folder."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-X", "utf8", volume_program.__file__, str(root),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield VolumeDoor(Piped(process))
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()


class LocalVolumes:
    """Opens folders below one, each named by its server's id."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, server_id: int) -> Path:
        """Return a server's folder."""
        return self.directory / str(server_id)

    @asynccontextmanager
    async def open(self, owner: VolumeOwner) -> AsyncIterator[VolumeDoor]:
        """Give a door into a server's folder."""
        root = self.path(owner.server_id)
        await asyncio.to_thread(root.mkdir, parents=True, exist_ok=True)
        async with opened(root) as door:
            yield door
