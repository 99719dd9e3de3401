"""The files of servers on a Docker engine: a helper container a server, for as long as somebody looks.

Why a helper and neither the engine's archive calls nor the volume's folder on the disk: decision 19.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import aiodocker
import aiohttp
import structlog
from aiodocker.stream import Stream

from appliance.core import labels
from appliance.infra.docker import Engine, words
from appliance.runtimes.container import DATA, ImageFacts, data_mount
from appliance.runtimes.docker_space import Space
from appliance.runtimes.errors import StartFailedError
from appliance.runtimes.volume_door import VolumeDoor, VolumeLostError
from appliance.runtimes.volume_model import VolumeOwner

#: Returns an image's tag, after making it if it is not there.
ImageMaker = Callable[[], Awaitable[str]]

log = structlog.get_logger(__name__)

HELPER = "files"
#: Helpers of one server at once, and seconds that an unused one waits for the next question.
PER_SERVER = 4
IDLE_S = 20.0
START_TIMEOUT_S = 30.0
STDOUT = 1
MIB = 1024 * 1024


@dataclass(eq=False)
class _Helper:
    """One running helper."""

    container: Any
    stream: Stream
    door: VolumeDoor
    timer: asyncio.TimerHandle | None = None


@dataclass
class _Server:
    """The helpers of one server."""

    turn: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(PER_SERVER)
    )
    #: Those that wait for a question, by whom they were started for.
    idle: dict[VolumeOwner, list[_Helper]] = field(
        default_factory=lambda: defaultdict(list)
    )


class DockerVolumes:
    """Opens the volumes of one installation's servers; see ``Volumes`` of the ports.

    Args:
        engine: The door to the engine; the caller closes it.
        owner: This installation's id.
        space: Where volumes are made.
        image: Of an image with Python in it, which helpers are made of.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        owner: str,
        space: Space,
        image: ImageMaker,
    ) -> None:
        """Keep the parts; nothing is started yet."""
        self._engine = engine
        self._owner = owner
        self._space = space
        self._image = image
        self._servers: dict[int, _Server] = defaultdict(_Server)
        self._goodbyes: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self, owner: VolumeOwner) -> AsyncIterator[VolumeDoor]:
        """Give a door into a server's volume."""
        server = self._servers[owner.server_id]
        async with server.turn:
            helper = await self._waiting(server.idle[owner])
            if helper is None:
                helper = await self._start(owner)
            try:
                yield helper.door
            finally:
                self._put_back(server.idle[owner], helper)

    async def _waiting(self, waiting: list[_Helper]) -> _Helper | None:
        """Return a helper that waits and still answers."""
        while waiting:
            helper = waiting.pop()
            if helper.timer is not None:
                helper.timer.cancel()
            try:
                await helper.door.stat(())
            except VolumeLostError:
                self._dismiss(helper)
            else:
                return helper
        return None

    def _put_back(self, waiting: list[_Helper], helper: _Helper) -> None:
        if not helper.door.is_free:
            self._dismiss(helper)
            return

        def tired() -> None:
            waiting.remove(helper)
            self._dismiss(helper)

        waiting.append(helper)
        helper.timer = asyncio.get_running_loop().call_later(IDLE_S, tired)

    def _dismiss(self, helper: _Helper) -> None:
        """Hang up, which ends it, and see that it ended; nobody waits for that."""
        task = asyncio.create_task(_end(self._engine, helper))
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)

    async def close(self) -> None:
        """End every helper."""
        for server in self._servers.values():
            for waiting in server.idle.values():
                for helper in waiting:
                    if helper.timer is not None:
                        helper.timer.cancel()
                    self._dismiss(helper)
                waiting.clear()
        await asyncio.gather(*self._goodbyes)

    async def _start(self, owner: VolumeOwner) -> _Helper:
        helper_image = await self._image()
        volume = await self._space.ensure_volume(
            owner.server_id, data_bytes=owner.data_bytes
        )
        facts = await self._space.image_facts(
            owner.image, volume, may_be_root=owner.may_be_root
        )
        marks = {
            labels.OWNER: self._owner,
            labels.HELPER: HELPER,
            labels.SERVER: str(owner.server_id),
        }
        await asyncio.to_thread(program)  # reads it, once
        config = helper_config(helper_image, facts, volume=volume, marks=marks)
        try:
            return await self._run(config)
        except aiodocker.DockerError as error:
            raise StartFailedError(
                f"The engine refused to open the server's volume: {words(error)}"
            ) from error

    async def _run(self, config: dict[str, Any]) -> _Helper:
        async with self._engine.reach(timeout_s=START_TIMEOUT_S) as client:
            container = await client.containers.create(config)
            stream = container.attach(stdin=True, stdout=True, stderr=True)
            helper = _Helper(container, stream, VolumeDoor(_Attached(stream)))
            try:
                await stream.__aenter__()  # listens before there is anything to hear
                await container.start()
            except BaseException:
                self._dismiss(helper)
                raise
        return helper


class _Attached:
    """A container's standard input and output as a pipe."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        try:
            await self._stream.write_in(data)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise _cut_off() from error

    async def receive(self) -> bytes:
        """Return the next bytes; what the program complained of goes to the log."""
        while True:
            try:
                message = await self._stream.read_out()
            except (aiohttp.ClientError, OSError) as error:
                raise _cut_off() from error
            if message is None:
                return b""
            if message.stream == STDOUT:
                return message.data
            log.error("volume_helper_broke", words=message.data.decode()[-2000:])


def _cut_off() -> VolumeLostError:
    return VolumeLostError(
        "The look into the server's files was cut off.",
        hint="Is the container engine running? Try again.",
    )


async def _end(engine: Engine, helper: _Helper) -> None:
    """Hang up. The program ends by itself, and the engine removes it then; a stuck one is removed here."""
    with contextlib.suppress(aiohttp.ClientError, OSError):
        await helper.stream.close()
    try:
        async with engine.reach():
            await helper.container.delete(force=True)
    except aiodocker.DockerError:
        log.debug("volume_helper_ended_first")


def helper_config(
    image: str, server: ImageFacts, *, volume: str, marks: dict[str, str]
) -> dict[str, Any]:
    """Return what a helper is created from: the volume, the server's user, and nothing else.

    Args:
        image: Has ``python3``.
        server: Of the server's image: who its user is.
        volume: The server's.
        marks: Its labels.
    """
    return {
        "Image": image,
        "User": f"{server.uid}:{server.gid}",
        "Entrypoint": ["python3", "-I", "-S", "-X", "utf8", "-c", program(), DATA],
        "Cmd": [],
        "WorkingDir": "/",
        "Labels": marks,
        "OpenStdin": True,
        # The program ends with the hub, whatever ends that.
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "AutoRemove": True,
            "NetworkMode": "none",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "IpcMode": "private",
            "Mounts": [data_mount(volume, is_ready=server.volume_is_ready)],
            "Memory": 128 * MIB,
            "MemorySwap": 128 * MIB,
            "PidsLimit": 16,
            "NanoCpus": 1_000_000_000,
            # Files pass through its output: they are nobody's log.
            "LogConfig": {"Type": "none"},
        },
    }


@cache
def program() -> str:
    """Return the text of what runs in a helper. Blocking at the first call."""
    return Path(__file__).with_name("volume_program.py").read_text("utf-8")
