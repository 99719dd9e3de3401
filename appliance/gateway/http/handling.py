"""Answer requests with coroutines: for whatever is not a call on its way."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

import structlog
from multidict import CIMultiDict

from appliance.gateway.http import heads
from appliance.gateway.http.listener import Connection, KnownHeads
from appliance.gateway.http.requests import RequestHead

log = structlog.get_logger("gateway.http")

_BODYLESS = {204, 304}


class Request:
    """One request, whole.

    Args:
        head: Everything before the body.
        body: ``None``: it was larger than the site takes.
        connection: To answer on.
    """

    __slots__ = ("body", "connection", "headers", "method", "path", "query_string")

    def __init__(
        self, head: RequestHead, body: bytes | None, connection: Connection
    ) -> None:
        """Make the head's parts its own."""
        self.method = head.method
        self.path = head.path
        self.query_string = head.query_string
        self.headers = head.headers
        self.body = body
        self.connection = connection

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection as the loop knows it; ``None``: the client has left."""
        return self.connection.transport

    @property
    def remote(self) -> str:
        """The client's address; empty on a Unix socket."""
        return peer_address(self.connection, "peername")


def peer_address(connection: Connection, end: str) -> str:
    """Return the IP address of one end (``peername``, ``sockname``) of a connection; empty on a Unix socket."""
    transport = connection.transport
    found = None if transport is None else transport.get_extra_info(end)
    return str(found[0]) if isinstance(found, tuple) else ""


class Answer:
    """An answer: whole, or a stream once ``prepare`` was called.

    Args:
        body: Of a whole answer.
        status: Of the answer.
        headers: For the client.
    """

    def __init__(
        self,
        body: bytes = b"",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send nothing yet."""
        self.body = body
        self.status = status
        self.headers: CIMultiDict[str] = CIMultiDict(headers or {})
        self._exchange: HandlerExchange | None = None

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def is_started(self) -> bool:
        """Whether the client was sent the head."""
        return self._exchange is not None

    async def prepare(self, request: Request) -> None:
        """Send the head; the body follows by ``write``.

        Raises:
            ConnectionResetError: The client has left.
        """
        exchange = request.connection.exchange
        if not isinstance(exchange, HandlerExchange):
            raise ConnectionResetError("the client has left")
        self._exchange = exchange
        request.connection.start(
            heads.head(self.status, self.headers.items()), is_bounded=False
        )

    async def write(self, piece: bytes) -> None:
        """Send a piece of the body, and wait while the client is behind.

        Raises:
            ConnectionResetError: The client has left.
        """
        if self._exchange is None or self._exchange.is_lost:
            raise ConnectionResetError("the client has left")
        self._exchange.connection.send(piece)
        await self._exchange.drained()

    def send_whole(self, connection: Connection) -> None:
        """Send it if it is no stream; end it if it is one."""
        if self.is_started:
            connection.finish()
            return
        length = None if self.status in _BODYLESS else len(self.body)
        connection.answer(
            heads.head(self.status, self.headers.items(), length), self.body
        )


Handler = Callable[[Request], Awaitable[Answer]]


class HandlerExchange:
    """A coroutine that answers; cancelled when its client goes away."""

    def __init__(self, handler: Handler, request: Request) -> None:
        """Start it."""
        self.connection = request.connection
        self.is_lost = False
        self._gate: asyncio.Future[None] | None = None
        self.connection.exchange = self
        self.task = asyncio.get_running_loop().create_task(self._run(handler, request))

    async def drained(self) -> None:
        """Wait until the client has caught up."""
        if self._gate is not None:
            await self._gate

    def client_lost(self) -> None:
        """Give up."""
        self.is_lost = True
        self.resume()
        self.task.cancel()

    def pause(self) -> None:
        """Have writers wait."""
        if self._gate is None:
            self._gate = asyncio.get_running_loop().create_future()

    def resume(self) -> None:
        """Let them go on."""
        gate, self._gate = self._gate, None
        if gate is not None and not gate.done():
            gate.set_result(None)

    def check(self, now: float) -> None:
        """Handlers keep their own time."""

    async def _run(self, handler: Handler, request: Request) -> None:
        try:
            answer = await handler(request)
        except asyncio.CancelledError:
            self.connection.abort()
        except Exception:  # a fault in one answer must not end the others
            log.exception("handler_failed", path=request.path)
            self.connection.abort()
        else:
            with contextlib.suppress(ConnectionError):
                if not self.is_lost:
                    answer.send_whole(self.connection)


class HandlerPlan:
    """Start the handler with every body."""

    is_kept = True

    def __init__(self, handler: Handler, head: RequestHead, body_limit: int) -> None:
        """Keep what every request with this head needs."""
        self._handler = handler
        self._head = head
        self.body_limit = body_limit

    def begin(self, connection: Connection, body: bytes | None) -> None:
        """Start it."""
        HandlerExchange(self._handler, Request(self._head, body, connection))


class HandlerSite:
    """Everything is answered by one coroutine function.

    Args:
        handler: Answers each request.
        body_limit: Bytes that a body may have; of a larger one ``Request.body`` is ``None``.
    """

    def __init__(self, handler: Handler, body_limit: int) -> None:
        """Remember no head yet."""
        self._handler = handler
        self._body_limit = body_limit
        self._known = KnownHeads()

    def plan(self, head: RequestHead, _connection: Connection) -> HandlerPlan:
        """Return the plan that starts the handler."""
        return HandlerPlan(self._handler, head, self._body_limit)

    def known(self, _connection: Connection) -> KnownHeads:
        """Return one memory for all."""
        return self._known
