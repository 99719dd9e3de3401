"""Tool calls on one kept connection, with as little work as can be: a generator of load must not be what is slow."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit


class PlainCaller:
    """One connection to an endpoint; opened again when the other side closed it between two calls.

    Args:
        url: Of the endpoint.
        headers: Of every request.
        message: What is sent each time.
    """

    def __init__(self, url: str, headers: dict[str, str], message: object) -> None:
        place = urlsplit(url)
        self._address = place.hostname or "", place.port or 80
        body = json.dumps(message).encode()
        lines = [
            f"POST {place.path} HTTP/1.1",
            f"Host: {place.netloc}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self._request = "\r\n".join([*lines, "", ""]).encode() + body
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self) -> dict[str, Any]:
        """Return what is answered; raises ``OSError`` or ``ValueError`` where it is no result."""
        if self._streams is None or self._streams[0].at_eof():
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        try:
            writer.write(self._request)
            status, body = await _answer(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise ConnectionError(repr(error)) from error
        found = json.loads(message_in(body))
        if "result" not in found:
            raise ValueError(f"{status} {body[:300]!r}")
        result: dict[str, Any] = found["result"]
        return result

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def message_in(body: bytes) -> bytes:
    """Return the answer in a body, which may be an event stream with comments between events."""
    lines = [line for line in body.splitlines() if line.startswith(b"data:")]
    return lines[-1].removeprefix(b"data:") if lines else body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *fields = head.split("\r\n")
    named = {
        name.lower(): value.strip()
        for name, _, value in (field.partition(":") for field in fields)
    }
    if "content-length" in named:
        body = await reader.readexactly(int(named["content-length"]))
        return int(status.split()[1]), body
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return int(status.split()[1]), b"".join(parts)
