"""Plain HTTP to the container engine's socket: one connection a request, or one that is handed over.

A client library would bring its own HTTP stack into the process, for a handful of calls.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from appliance.gateway.errors import EngineAwayError

DEFAULT_SOCKET = "/var/run/docker.sock"
ANSWER_WITHIN_S = 10.0
HEAD_LIMIT = 64 * 1024
_BROKEN = (
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
    asyncio.LimitOverrunError,
)


class EngineHttp:
    """Speaks HTTP to the engine.

    Args:
        address: ``unix:///path`` or ``tcp://host:port``; ``None`` means the local socket.
    """

    def __init__(self, address: str | None = None) -> None:
        """Remember the address."""
        self._address = address or f"unix://{DEFAULT_SOCKET}"

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        within_s: float = ANSWER_WITHIN_S,
    ) -> tuple[int, bytes]:
        """Return the status and the body of the answer.

        Raises:
            EngineAwayError: There is none within ``within_s`` seconds.
        """
        content = b"" if body is None else msgspec.json.encode(body)
        # HTTP/1.0: the answer ends with the connection and is never chunked.
        head = (
            f"{method} {path} HTTP/1.0\r\nHost: engine\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        reader, writer = await self._connect()
        try:
            async with asyncio.timeout(within_s):
                status = await _exchange(reader, writer, head.encode() + content)
                return status, await reader.read()
        except _BROKEN as error:
            raise EngineAwayError("The container engine did not answer.") from error
        finally:
            writer.close()

    async def upgrade(
        self, path: str
    ) -> tuple[int, asyncio.StreamReader, asyncio.StreamWriter]:
        """Ask for a connection that goes on after the head of the answer; return its status and the connection.

        Raises:
            EngineAwayError: There is no answer.
        """
        request = f"POST {path} HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
        reader, writer = await self._connect()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await _exchange(reader, writer, request.encode()), reader, writer
        except _BROKEN as error:
            writer.close()
            raise EngineAwayError("The container engine did not answer.") from error
        except asyncio.CancelledError:
            writer.close()
            raise

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self._address)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                if parts.scheme == "unix":
                    return await asyncio.open_unix_connection(
                        parts.path, limit=HEAD_LIMIT
                    )
                return await asyncio.open_connection(
                    parts.hostname, parts.port or 2375, limit=HEAD_LIMIT
                )
        except (OSError, TimeoutError) as error:
            raise EngineAwayError(
                f"The container engine at {self._address} does not answer.",
                hint="Is it running, and may this user reach its socket?",
            ) from error


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> int:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1])


def words(body: bytes) -> str:
    """Return what the engine said of a refusal."""
    with contextlib.suppress(msgspec.DecodeError, AttributeError):
        return str(msgspec.json.decode(body).get("message", "no reason given"))
    return "no reason given"
