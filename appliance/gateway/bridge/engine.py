"""What the bridge asks the container engine about any server: what its container does, and to be attached to it."""

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from appliance.core import labels
from appliance.gateway.bridge import frames
from appliance.gateway.bridge.engine_http import HEAD_LIMIT, EngineHttp
from appliance.gateway.errors import (
    EngineAwayError,
    InstanceGoneError,
    StuckServerError,
)

#: Seconds that a line waits for a server to read what came before.
UNREAD_WITHIN_S = 10.0
#: Cancellations and answers do not wait; as much of them, and of lines before them, may be unread.
UNREAD_LIMIT_BYTES = 32 * 1024 * 1024
_CONTAINER_ID = re.compile(r"[0-9a-f]{12,64}")


@dataclass(frozen=True)
class Container:
    """What the engine says of a container now."""

    container_id: str
    name: str
    is_running: bool
    #: The engine's own time stamp; a new one is a new process.
    started_at: str
    exit_code: int
    out_of_memory: bool
    #: Created by this appliance, with a stdin to attach to and no terminal.
    is_attachable: bool

    def ending(self) -> str:
        """Tell in words how the container ended."""
        if self.out_of_memory:
            return f"ended with exit code {self.exit_code}: it used more memory than it may"
        return f"ended with exit code {self.exit_code}"


class Attachment:
    """One open connection to a container's stdin, stdout and stderr."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Take over an upgraded connection."""
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    async def read(self) -> bytes:
        """Return what the container printed next, still in frames; empty at the end."""
        try:
            return await self._reader.read(256 * 1024)
        except OSError:
            return b""

    def send_soon(self, line: bytes) -> None:
        """Queue ``line`` for stdin without waiting; it is lost if too much waits there already."""
        unread = self._writer.transport.get_write_buffer_size()
        if not self._writer.is_closing() and unread < UNREAD_LIMIT_BYTES:
            self._writer.write(line)

    async def send(self, line: bytes) -> None:
        """Send ``line`` as soon as the server has read enough of what came before; a gone connection is told by reading.

        Raises:
            StuckServerError: The server does not read.
        """
        try:
            async with asyncio.timeout(UNREAD_WITHIN_S), self._turn:
                await self._writer.drain()
        except TimeoutError as error:
            raise StuckServerError(
                f"The server has not read its standard input for {UNREAD_WITHIN_S:g} seconds.",
                hint="It is stuck in an earlier call, perhaps; a redeployment starts it anew.",
            ) from error
        except OSError:
            return
        if not self._writer.is_closing():
            self._writer.write(line)

    def close(self) -> None:
        """Hang up; the container's stdin stays open."""
        self._writer.close()


class Engine:
    """Speaks to the engine.

    Args:
        address: ``unix:///path`` or ``tcp://host:port``; ``None`` means the local socket.
    """

    def __init__(self, address: str | None = None) -> None:
        """Connect to nothing yet."""
        self.http = EngineHttp(address)

    async def inspect(self, container_id: str) -> Container:
        """Return the state of a container.

        Raises:
            InstanceGoneError: There is none of that id.
            EngineAwayError: The engine does not answer.
        """
        return _container(await self.describe(container_id))

    async def describe(self, container_id: str) -> dict[str, Any]:
        """Return everything that the engine says of a container, its environment included: not for logs.

        Raises:
            InstanceGoneError: There is none of that id.
            EngineAwayError: The engine does not answer.
        """
        status, body = await self.http.request(
            "GET", f"/containers/{_checked(container_id)}/json"
        )
        if status == HTTPStatus.NOT_FOUND:
            raise InstanceGoneError("The server's container is gone.")
        if status != HTTPStatus.OK:
            raise EngineAwayError(
                f"The container engine answered {status} when asked for the server's container."
            )
        found: dict[str, Any] = msgspec.json.decode(body)
        return found

    async def attach(self, container_id: str) -> Attachment:
        """Open the container's streams; what it printed before is not repeated.

        Raises:
            InstanceGoneError: There is no such container, or the engine refuses.
            EngineAwayError: The engine does not answer.
        """
        path = f"/containers/{_checked(container_id)}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        status, reader, writer = await self.http.upgrade(path)
        if status not in {101, 200}:
            writer.close()
            raise InstanceGoneError(
                f"The container engine answered {status} when asked to attach to the server."
            )
        return Attachment(reader, writer)

    async def stderr_tail(self, container_id: str, lines: int) -> list[str]:
        """Return what the container printed last on stderr, also before we attached; empty if that is not to be had."""
        path = f"/containers/{_checked(container_id)}/logs?stderr=1&tail={lines}"
        try:
            status, body = await self.http.request("GET", path)
        except EngineAwayError:
            return []
        demultiplexer, splitter = (
            frames.Demultiplexer(),
            frames.LineSplitter(HEAD_LIMIT),
        )
        try:
            parts = (
                [payload for _, payload in demultiplexer.feed(body)]
                if status == HTTPStatus.OK
                else []
            )
        except frames.FrameError:
            return []
        found = splitter.feed(b"".join(parts))
        return [
            line.decode(errors="replace") for line in found if isinstance(line, bytes)
        ]


def _checked(container_id: str) -> str:
    if not _CONTAINER_ID.fullmatch(container_id):
        raise InstanceGoneError("That is not a container id.")
    return container_id


def _container(found: dict[str, Any]) -> Container:
    state, config = found["State"], found["Config"]
    own = config.get("Labels") or {}
    return Container(
        container_id=found["Id"],
        name=found["Name"].lstrip("/"),
        is_running=bool(state["Running"]),
        started_at=state["StartedAt"],
        exit_code=int(state["ExitCode"]),
        out_of_memory=bool(state["OOMKilled"]),
        is_attachable=labels.SERVER in own
        and bool(config["OpenStdin"])
        and not config["Tty"],
    )
