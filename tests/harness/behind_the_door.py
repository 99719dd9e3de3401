"""What stands behind a front door in tests that look at what passes it: it takes every request apart and tells all of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Seen:
    """One request as it came through."""

    line: str
    headers: list[tuple[str, str]]
    #: Pieces of the body as they came; ended by an empty one.
    body: "asyncio.Queue[bytes]" = field(default_factory=asyncio.Queue)

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Behind:
    """Answers by path: ``/stream`` sends what ``say`` is given, ``/accel`` tries to move Nginx, all else is 200."""

    def __init__(self) -> None:
        self.seen: asyncio.Queue[Seen] = asyncio.Queue()
        self.requests: list[Seen] = []
        self.say: asyncio.Queue[bytes] = asyncio.Queue()
        self._talks: set[asyncio.Task[None]] = set()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one connection."""
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._talks.discard(talk)
            writer.transport.abort()

    async def close(self) -> None:
        """Hang up on everybody."""
        talks = list(self._talks)
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.rstrip("\r\n").split("\r\n")
        pairs = [item.split(": ", 1) for item in lines]
        found = Seen(line, [(name, value) for name, value in pairs])
        self.requests.append(found)
        self.seen.put_nowait(found)
        await _read_body(reader, found)
        path = line.split(" ")[1]
        if path.startswith("/stream"):
            await self._stream(writer)
            return
        extra = ""
        if path.startswith("/accel"):
            extra = "X-Accel-Redirect: /status\r\nX-Accel-Limit-Rate: 1\r\n"
        body = b'{"ok":true}'
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{extra}"
            f"Strict-Transport-Security: max-age=1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        while said := await self.say.get():
            writer.write(f"{len(said):x}\r\n".encode() + said + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _read_body(reader: asyncio.StreamReader, found: Seen) -> None:
    if found.all("Transfer-Encoding"):
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            found.body.put_nowait((await reader.readexactly(size + 2))[:-2])
        await reader.readuntil(b"\r\n")
    else:
        left = int((found.all("Content-Length") or ["0"])[0])
        while left:
            piece = await reader.read(left)
            if not piece:
                raise ConnectionError
            found.body.put_nowait(piece)
            left -= len(piece)
    found.body.put_nowait(b"")


@contextlib.asynccontextmanager
async def behind(port: int) -> AsyncIterator[Behind]:
    """Stand behind a front door on ``port``."""
    place = Behind()
    async with await asyncio.start_server(place.serve, "127.0.0.1", port) as server:
        yield place
        server.close()
        await place.close()
