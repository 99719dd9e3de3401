"""An HTTP/1.1 client for the gateway's own hops: to the bridge, and to servers on this box's loopback.

The general client of the HTTP library costs two thirds of what a forwarded call costs. This one sends what it is given on a
connection that is kept, and hands the answer on as it comes; no cookies, redirects, proxies, compression or TLS.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Protocol, Self, cast

from appliance.gateway.http import heads
from appliance.gateway.http.responses import (
    Head,
    ResponseError,
    ResponseReader,
    known_heads,
)

CONNECT_TIMEOUT_S = 5.0
#: An answer's bytes that may wait for a slow client before reading pauses.
WAITING_BYTES = 1024 * 1024
#: Looks at idle connections while one may be idle.
_TURNS = 8


class NotConnectedError(ConnectionError):
    """No connection could be made; nothing was sent."""


class UnansweredError(ConnectionError):
    """The connection broke before anything came back, be it an informational response."""


class Receiver(Protocol):
    """Who asked: is told what comes back, as it comes."""

    def whole(self, head: Head, body: bytes) -> None:
        """The whole answer."""
        ...

    def started(self, head: Head) -> None:
        """The head of an answer whose body follows by ``piece``."""
        ...

    def piece(self, data: bytes) -> None:
        """A piece of the body."""
        ...

    def finished(self) -> None:
        """The body is complete."""
        ...

    def failed(self, error: ConnectionError) -> None:
        """The connection broke; ``UnansweredError``: before anything came back."""
        ...


class Answer:
    """One answer for a coroutine, perhaps still arriving. To leave its ``async with`` early hangs up."""

    def __init__(self, connection: "Connection") -> None:
        """Wait for the head."""
        self._connection = connection
        self._parts: list[bytes] = []
        self._size = 0
        self._head: Head | None = None
        self._is_done = False
        self._error: ConnectionError | None = None
        self._news: asyncio.Future[None] | None = None

    @property
    def head(self) -> Head:
        """What came before the body."""
        assert self._head is not None  # noqa: S101 - answers are handed out when their head is there
        return self._head

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            ConnectionError: The connection broke.
        """
        while not self._is_done:
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
            elif self._is_done:
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
        if not self._is_done:
            self._connection.abort()

    async def has_head(self) -> None:
        """Wait for the head.

        Raises:
            UnansweredError: Nothing came back at all.
            ConnectionError: The connection broke after an informational response.
        """
        while self._head is None:
            await self._wait()

    def whole(self, head: Head, body: bytes) -> None:
        """Take all of it."""
        self._parts.append(body)
        self._head, self._is_done = head, True
        self._tell()

    def started(self, head: Head) -> None:
        """Take the head."""
        self._head = head
        self._tell()

    def piece(self, data: bytes) -> None:
        """Take a piece; too many that nobody reads have the server wait."""
        self._parts.append(data)
        self._size += len(data)
        if self._size > WAITING_BYTES:
            self._connection.pause()
        self._tell()

    def finished(self) -> None:
        """Take note that it is complete."""
        self._is_done = True
        self._tell()

    def failed(self, error: ConnectionError) -> None:
        """Take note that nothing more will arrive."""
        self._error = error
        self._tell()

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


class Connection(asyncio.Protocol):
    """One connection to a server, on which one answer at a time arrives."""

    def __init__(self, origin: "Origin") -> None:
        """Wait for a request."""
        self._origin = origin
        self._receiver: Receiver | None = None
        self._reader: ResponseReader | None = None
        self._parts: list[bytes] = []
        self._has_started = False
        self._is_acknowledged = False
        self._transport: asyncio.Transport | None = None
        #: Whether a request may be sent.
        self.is_open = False
        #: When it became free, in turns of its origin.
        self.idle_since = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def send(self, request: bytes, receiver: Receiver) -> None:
        """Send a request; ``receiver`` is told what comes back."""
        self._receiver = receiver
        self._has_started = self._is_acknowledged = False
        if self._transport is None:
            self._lose(ConnectionResetError("the connection was closed"))
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Read on: a small answer whose head was seen before at a glance, everything else step by step."""
        receiver = self._receiver
        if receiver is None:  # nobody asked
            self.abort()
            return
        if self._reader is None:
            end = data.find(b"\r\n\r\n")
            head = known_heads.get(data[:end]) if end > 0 else None
            if head is None and data.startswith(heads.PROCESSING):
                self._is_acknowledged = True
                data = data[len(heads.PROCESSING) :]
                if not data:
                    return
                end = data.find(b"\r\n\r\n")
                head = known_heads.get(data[:end]) if end > 0 else None
            if head is not None and len(data) == end + 4 + (head.content_length or 0):
                self._free(head)
                receiver.whole(head, data[end + 4 :])
                return
            self._reader = ResponseReader(self._parts.append)
        try:
            self._reader.feed(data)
        except ResponseError as error:
            self._lose(error)
            self.abort()
        else:
            self._pass_on(receiver, self._reader)

    def eof_received(self) -> None:
        """No more will come."""
        self.is_open = False
        self._lose(None)

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self._transport = None
        self.is_open = False
        self._lose(error)
        self._origin.forget(self)

    def abort(self) -> None:
        """Hang up; whoever asked is told nothing more."""
        self._receiver = None
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Have the server wait."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Let it go on."""
        if self._transport is not None:
            self._transport.resume_reading()

    def _pass_on(self, receiver: Receiver, reader: ResponseReader) -> None:
        head = reader.head
        self._is_acknowledged |= reader.is_acknowledged
        if head is None:
            return
        body = b"".join(self._parts)
        self._parts.clear()
        if reader.is_done:
            self._free(head)
        if not self._has_started:
            if reader.is_done:
                receiver.whole(head, body)
                return
            self._has_started = True
            receiver.started(head)
        if body and (self._receiver is receiver or reader.is_done):
            receiver.piece(body)
        if reader.is_done:
            receiver.finished()

    def _free(self, head: Head) -> None:
        """The answer is complete: be ready for the next request, or end."""
        self._receiver = None
        self._reader = None
        if head.is_reusable and self.is_open:
            self._origin.keep(self)
        else:
            self.abort()

    def _lose(self, error: Exception | None) -> None:
        receiver, reader = self._receiver, self._reader
        if receiver is None:
            return
        if error is None and reader is not None:
            try:
                reader.feed_eof()
            except ResponseError as incomplete:
                error = incomplete
            else:
                self._pass_on(receiver, reader)
                return
        self._receiver = None
        text = str(error or "the connection was closed")
        is_answered = self._is_acknowledged or (reader is not None and reader.has_any)
        receiver.failed(ConnectionError(text) if is_answered else UnansweredError(text))


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
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._reaper: asyncio.TimerHandle | None = None
        self._turn = 0

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
        text = self.request_head(method, target, headers)
        if body or method == "POST":
            text += b"Content-Length: %d\r\n" % len(body)
        connection = self.take() or await self.connect()
        answer = Answer(connection)
        connection.send(text + b"\r\n" + body, answer)
        try:
            await answer.has_head()
        except BaseException:
            connection.abort()
            raise
        return answer

    def keep(self, connection: Connection) -> None:
        """Take back a connection that is free again."""
        connection.idle_since = self._turn
        self._idle.append(connection)
        if self._reaper is None:
            self._wait_for_turn()

    def forget(self, connection: Connection) -> None:
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

    def take(self) -> Connection | None:
        """Return a kept connection, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    def _wait_for_turn(self) -> None:
        loop = asyncio.get_running_loop()
        self._reaper = loop.call_later(self._idle_s / _TURNS, self._reap)

    def _reap(self) -> None:
        """Close what has been idle for too long; a turn early rather than late."""
        self._turn += 1
        self._reaper = None
        too_old = self._turn - _TURNS + 1
        for connection in [item for item in self._idle if item.idle_since < too_old]:
            self._idle.remove(connection)
            connection.abort()
        if self._idle:
            self._wait_for_turn()

    async def connect(self) -> Connection:
        """Return a new connection.

        Raises:
            NotConnectedError: None could be made.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if isinstance(self._address, str):
                    _, connection = await loop.create_unix_connection(
                        lambda: Connection(self), self._address
                    )
                else:
                    host, port = self._address
                    _, connection = await loop.create_connection(
                        lambda: Connection(self), host, port
                    )
        except (OSError, TimeoutError) as error:
            raise NotConnectedError(str(error) or "no answer") from error
        self._open.add(connection)
        return connection

    def request_head(
        self, method: str, target: str, headers: Iterable[tuple[str, str]]
    ) -> bytes:
        """Return request line and header lines, without length and without the empty line at the end.

        Raises:
            ResponseError: A header holds a line break.
        """
        lines = [f"{method} {target} HTTP/1.1\r\n", f"Host: {self._host}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in headers]
        text = "".join(lines)
        if text.count("\r") != len(lines) or text.count("\n") != len(lines):
            raise ResponseError("a header holds a line break")
        return text.encode("utf-8", "surrogateescape")
