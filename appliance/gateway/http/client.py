"""An HTTP/1.1 client for the gateway's own hops: to the bridge, and to servers on this box's loopback.

The general client of the HTTP library costs two thirds of what a forwarded call costs. This one sends what it is given on a
connection that is kept, and hands the answer on as it comes; no cookies, redirects, proxies, compression or TLS.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self, cast

from appliance.gateway.http.responses import Head, ResponseError, ResponseReader

CONNECT_TIMEOUT_S = 5.0
#: An answer's bytes that may wait for a slow client before reading pauses.
WAITING_BYTES = 1024 * 1024


class NotConnectedError(ConnectionError):
    """No connection could be made; nothing was sent."""


class UnansweredError(ConnectionError):
    """The connection broke before anything came back, be it an informational response."""


class Answer:
    """One answer, perhaps still arriving. To leave its ``async with`` early hangs up."""

    def __init__(self, connection: "_Connection") -> None:
        """Wait for the head."""
        self._connection = connection
        self._parts: list[bytes] = []
        self._size = 0
        self._error: Exception | None = None
        self._news: asyncio.Future[None] | None = None
        self._reader = ResponseReader(self._take)

    @property
    def head(self) -> Head:
        """What came before the body."""
        assert self._reader.head is not None  # noqa: S101 - answers are handed out when their head is there
        return self._reader.head

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            ConnectionError: The connection broke.
        """
        while not self._reader.is_done:
            await self._wait()
        return self._drain()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes.

        Raises:
            ConnectionError: The connection broke.
        """
        while True:
            if self._parts:
                yield self._drain()
            elif self._reader.is_done:
                return
            else:
                await self._wait()

    async def __aenter__(self) -> Self:
        """Return the answer itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up, unless the answer is complete."""
        if not self._reader.is_done:
            self._connection.abort()

    async def has_head(self) -> None:
        """Wait for the head.

        Raises:
            UnansweredError: Nothing came back at all.
            ConnectionError: The connection broke after an informational response.
        """
        while self._reader.head is None:
            try:
                await self._wait()
            except ConnectionError as error:
                if self._reader.is_acknowledged:
                    raise
                raise UnansweredError(str(error)) from error

    def feed(self, data: bytes) -> bool:
        """Take what arrived; return whether the answer is complete."""
        self._reader.feed(data)
        self._tell()
        return self._reader.is_done

    def end(self, error: Exception | None) -> None:
        """Take note that nothing more will arrive."""
        if error is None:
            try:
                self._reader.feed_eof()
            except ResponseError as incomplete:
                error = incomplete
        self._error = error
        self._tell()

    def _take(self, piece: bytes) -> None:
        self._parts.append(piece)
        self._size += len(piece)
        if self._size > WAITING_BYTES:
            self._connection.pause()

    def _drain(self) -> bytes:
        body = b"".join(self._parts) if len(self._parts) != 1 else self._parts[0]
        self._parts.clear()
        if self._size > WAITING_BYTES:
            self._connection.resume()
        self._size = 0
        return body

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        if self._size > WAITING_BYTES:  # somebody wants it whole
            self._connection.resume()
        self._news = asyncio.get_running_loop().create_future()
        await self._news
        self._news = None

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


class _Connection(asyncio.Protocol):
    """One connection, on which one answer at a time arrives."""

    def __init__(self, origin: "Origin") -> None:
        self._origin = origin
        self._answer: Answer | None = None
        self._transport: asyncio.Transport | None = None
        self.idle_since = 0.0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes) -> Answer:
        self._answer = Answer(self)
        if self._transport is None:
            self._answer.end(ConnectionResetError("the connection was closed"))
        else:
            self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:  # nobody asked
            self.abort()
            return
        try:
            is_complete = answer.feed(data)
        except ResponseError as error:
            self._lose(error)
            self.abort()
            return
        if is_complete:
            self._answer = None
            if answer.head.is_reusable:
                self._origin.keep(self)
            else:
                self.abort()

    def eof_received(self) -> None:
        self._lose(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lose(exc)
        self._origin.forget(self)

    def _lose(self, error: Exception | None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.end(error)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()


class Origin:
    """One place to send requests to, and its kept connections.

    Args:
        address: A socket's path, or host and port.
        host: For the ``Host`` header.
        idle_s: Seconds an unused connection is kept: less than the server keeps it, so that no request meets the closing.
    """

    def __init__(
        self, address: str | tuple[str, int], host: str, *, idle_s: float
    ) -> None:
        """Connect to nothing yet."""
        self._address = address
        self._host = host
        self._idle_s = idle_s
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._reaper: asyncio.TimerHandle | None = None

    @property
    def is_unused(self) -> bool:
        """Whether no connection is open."""
        return not self._open

    async def request(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> Answer:
        """Send a request and return the answer when its head is there.

        Raises:
            NotConnectedError: Nothing was sent.
            UnansweredError: Nothing came back.
            ConnectionError: The connection broke after something did.
        """
        text = self._request_head(method, target, headers, len(body))
        connection = self._take() or await self._connect()
        answer = connection.send(text + body)
        try:
            await answer.has_head()
        except BaseException:
            connection.abort()
            raise
        return answer

    def keep(self, connection: _Connection) -> None:
        """Take back a connection that is free again."""
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._reaper is None:
            self._reaper = loop.call_later(self._idle_s, self._reap)

    def forget(self, connection: _Connection) -> None:
        """Drop a connection that was closed."""
        self._open.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)

    def close(self) -> None:
        """Close every connection."""
        if self._reaper is not None:
            self._reaper.cancel()
        for connection in list(self._open):
            connection.abort()

    def _take(self) -> _Connection | None:
        too_old = asyncio.get_running_loop().time() - self._idle_s
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since > too_old:
                return connection
            connection.abort()
        return None

    def _reap(self) -> None:
        self._reaper = None
        loop = asyncio.get_running_loop()
        too_old = loop.time() - self._idle_s
        for connection in [item for item in self._idle if item.idle_since <= too_old]:
            self._idle.remove(connection)
            connection.abort()
        if self._idle:
            self._reaper = loop.call_later(self._idle_s, self._reap)

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if isinstance(self._address, str):
                    _, connection = await loop.create_unix_connection(
                        lambda: _Connection(self), self._address
                    )
                else:
                    host, port = self._address
                    _, connection = await loop.create_connection(
                        lambda: _Connection(self), host, port
                    )
        except (OSError, TimeoutError) as error:
            raise NotConnectedError(str(error) or "no answer") from error
        self._open.add(connection)
        return connection

    def _request_head(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], length: int
    ) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if length or method == "POST":
            lines.append(f"Content-Length: {length}")
        text = "\r\n".join(lines)
        if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1:
            raise ResponseError("a header holds a line break")
        return text.encode("utf-8", "surrogateescape") + b"\r\n\r\n"
