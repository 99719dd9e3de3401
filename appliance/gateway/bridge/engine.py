"""The few calls that the bridge makes to the container engine, as plain HTTP on its socket.

A client library would bring its own HTTP stack into the process; inspecting and attaching is all the bridge does.
"""

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec

from appliance.gateway.bridge import frames
from appliance.gateway.errors import EngineAwayError, InstanceGoneError

DEFAULT_SOCKET = "/var/run/docker.sock"
SERVER_LABEL = "mcp-host.server"
ANSWER_WITHIN_S = 10.0
_CONTAINER_ID = re.compile(r"[0-9a-f]{12,64}")
_HEAD_LIMIT = 64 * 1024


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

    async def read(self) -> bytes:
        """Return what the container printed next, still in frames; empty at the end."""
        try:
            return await self._reader.read(256 * 1024)
        except OSError:
            return b""

    def send(self, line: bytes) -> None:
        """Queue ``line`` for stdin without waiting."""
        if not self._writer.is_closing():
            self._writer.write(line)

    async def drained(self) -> None:
        """Wait until the server has read enough of its stdin; a gone connection is no error here, reading tells it."""
        try:
            await self._writer.drain()
        except OSError:
            return

    def close(self) -> None:
        """Hang up; the container's stdin stays open."""
        self._writer.close()


class Engine:
    """Speaks to the engine.

    Args:
        address: ``unix:///path`` or ``tcp://host:port``; ``None`` means the local socket.
    """

    def __init__(self, address: str | None = None) -> None:
        """Remember the address."""
        self._address = address or f"unix://{DEFAULT_SOCKET}"

    async def inspect(self, container_id: str) -> Container:
        """Return the state of a container.

        Raises:
            InstanceGoneError: There is none of that id.
            EngineAwayError: The engine does not answer.
        """
        status, body = await self._get(f"/containers/{_checked(container_id)}/json")
        if status == HTTPStatus.NOT_FOUND:
            raise InstanceGoneError("The server's container is gone.")
        if status != HTTPStatus.OK:
            raise EngineAwayError(
                f"The container engine answered {status} when asked for the server's container."
            )
        return _container(msgspec.json.decode(body))

    async def attach(self, container_id: str) -> Attachment:
        """Open the container's streams; what it printed before is not repeated.

        Raises:
            InstanceGoneError: There is no such container, or the engine refuses.
            EngineAwayError: The engine does not answer.
        """
        path = f"/containers/{_checked(container_id)}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        request = f"POST {path} HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
        reader, writer = await self._connect()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                status, _ = await _exchange(reader, writer, request)
        except (
            OSError,
            TimeoutError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ) as error:
            writer.close()
            raise EngineAwayError(
                "The container engine did not attach to the server."
            ) from error
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
            status, body = await self._get(path)
        except EngineAwayError:
            return []
        demultiplexer, splitter = (
            frames.Demultiplexer(),
            frames.LineSplitter(_HEAD_LIMIT),
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

    async def _get(self, path: str) -> tuple[int, bytes]:
        reader, writer = await self._connect()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                # HTTP/1.0: the answer ends with the connection and is never chunked.
                status, _ = await _exchange(
                    reader, writer, f"GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n"
                )
                return status, await reader.read()
        except (
            OSError,
            TimeoutError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ) as error:
            raise EngineAwayError("The container engine did not answer.") from error
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self._address)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                if parts.scheme == "unix":
                    return await asyncio.open_unix_connection(
                        parts.path, limit=_HEAD_LIMIT
                    )
                return await asyncio.open_connection(
                    parts.hostname, parts.port or 2375, limit=_HEAD_LIMIT
                )
        except (OSError, TimeoutError) as error:
            raise EngineAwayError(
                f"The container engine at {self._address} does not answer.",
                hint="Is it running, and may this user reach its socket?",
            ) from error


def _checked(container_id: str) -> str:
    if not _CONTAINER_ID.fullmatch(container_id):
        raise InstanceGoneError("That is not a container id.")
    return container_id


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str
) -> tuple[int, bytes]:
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), head


def _container(found: dict[str, Any]) -> Container:
    state, config = found["State"], found["Config"]
    labels = config.get("Labels") or {}
    return Container(
        container_id=found["Id"],
        name=found["Name"].lstrip("/"),
        is_running=bool(state["Running"]),
        started_at=state["StartedAt"],
        exit_code=int(state["ExitCode"]),
        out_of_memory=bool(state["OOMKilled"]),
        is_attachable=SERVER_LABEL in labels
        and bool(config["OpenStdin"])
        and not config["Tty"],
    )
