"""Clients of the HTTP+SSE transport of 2024-11-05: everything they are told comes on one stream, POSTs are only taken.

The session is the stream: it ends with it, and its calls with both.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import structlog
from msgspec import UNSET

from appliance.core.errors import DomainError, LimitedError
from appliance.gateway.bridge.calls import Ask, Caller
from appliance.gateway.bridge.fronts import exchange
from appliance.gateway.bridge.fronts.asked import Asked
from appliance.gateway.bridge.fronts.callers import Callers
from appliance.gateway.bridge.fronts.sessions import SessionFront, SessionManner
from appliance.gateway.bridge.fronts.streams import Streams, shown
from appliance.gateway.bridge.handshake import initialize_result
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.errors import UnknownSessionError
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import Route
from appliance.gateway.screen import object_of, text_of

log = structlog.get_logger("gateway.http_sse")

#: Calls that one client may have open.
CALLS_LIMIT = 64
#: Messages that may wait for a slow reader; then whoever writes waits too.
WAITING_LIMIT = 64


class SseSession:
    """One client and its stream."""

    def __init__(self, caller: Caller, route: Route) -> None:
        """Have nothing to say yet."""
        self.caller = caller
        self.route = route
        self.is_initialized = False
        self._out: asyncio.Queue[bytes] = asyncio.Queue(WAITING_LIMIT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Task[None]] = set()

    @property
    def is_full(self) -> bool:
        """Whether it has as many calls open as it may."""
        return len(self._tasks) >= CALLS_LIMIT

    @property
    def is_idle(self) -> bool:
        """Whether no call is open."""
        return not self._calls

    async def say(self, body: bytes) -> None:
        """Send ``body``, after what is waiting."""
        await self._out.put(body)

    async def said(self) -> bytes:
        """Return the next message for the stream."""
        return await self._out.get()

    def run(self, work: Coroutine[Any, Any, None], *, is_call: bool = False) -> None:
        """Do ``work`` until it is done or the session ends; during a call the session is not idle."""
        task = asyncio.create_task(work)
        for tasks in (self._tasks, self._calls) if is_call else (self._tasks,):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def end(self) -> None:
        """Cancel what is being done."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class HttpSseFront:
    """Serves them."""

    def __init__(
        self,
        callers: Callers,
        asked: Asked,
        streams: Streams,
        sessions: SessionFront,
    ) -> None:
        """Share what the bridge knows of its clients."""
        self._callers = callers
        self._asked = asked
        self._streams = streams
        self._front = sessions
        self._sessions: dict[tuple[str, str], SseSession] = {}

    def end_streams(self, *, only_idle: bool = False) -> None:
        """Nothing is left of a stream that its process does not hold; clients connect again."""
        for session in self._sessions.values():
            if session.is_idle or not only_idle:
                session.run(session.say(b""))

    async def get(self, request: http.Request, route: Route, peer: Peer) -> http.Answer:
        """Open a session, and send everything it is told until it hangs up.

        Raises:
            DomainError: The server cannot be had.
        """
        caller = self._callers.of(request)
        endpoint = request.headers.get(http.ENDPOINT_HEADER, "")
        if not caller.session or not endpoint:
            return http.empty(404)
        await peer.opened()
        session = SseSession(caller, route)
        key = (caller.principal, caller.session)
        self._sessions[key] = session
        try:
            return await _sent(request, session, endpoint)
        finally:
            del self._sessions[key]
            await session.end()
            self._callers.ends(session.caller)
            self._asked.end_session(session.caller)
            peer.end_session(session.caller)

    async def post(
        self, request: http.Request, route: Route, peer: Peer, body: bytes
    ) -> http.Answer:
        """Take messages; what comes of them is told on the stream.

        Raises:
            UnknownSessionError: There is no such stream, at least not in this process.
            LimitedError: The client has too many calls open.
            WireError: The body is no message.
        """
        named = self._callers.of(request)
        session = self._sessions.get((named.principal, named.session))
        if session is None or not _is_same(session.route, route):
            raise UnknownSessionError("Session not found; connect again.")
        messages = wire.decode_batch(body)
        if session.is_full:
            raise LimitedError("Too many calls at once.", retry_after_s=1)
        http.acknowledge(request)
        if messages[0].method == "initialize":
            self._initialize(messages[0], session, peer)
            return http.empty(202)
        for message in await self._front.hand_over(messages, session.caller, peer):
            if refusal := _refusal(message, route):
                session.run(session.say(refusal))
            else:
                session.run(self._call(message, session, peer), is_call=True)
        return http.empty(202)

    def _initialize(self, message: Envelope, session: SseSession, peer: Peer) -> None:
        caller = session.caller
        session.caller = self._callers.opens(message, caller.principal, caller.session)

        async def answer() -> None:
            opened = await peer.opened()
            result = initialize_result(opened, session.caller.revision)
            await session.say(wire.result_body(wire.id_of(message), result))

        session.run(_told(answer(), message, session))
        if not session.is_initialized:
            session.is_initialized = True
            session.run(self._listen(session, peer))

    async def _listen(self, session: SseSession, peer: Peer) -> None:
        """Tell the client what belongs to no call."""

        def ask(item: Ask) -> bytes | None:
            return self._asked.put(item, session.caller)

        with self._streams.opened(peer, session.caller) as stream:
            async for body in shown(stream, lambda body: body, ask):
                await session.say(body)

    async def _call(self, message: Envelope, session: SseSession, peer: Peer) -> None:
        async def carry() -> None:
            call = await peer.begin(message, session.caller)
            manner = SessionManner(session.caller, self._asked, reads_events=True)
            try:
                await exchange.tell(call, manner, session.say)
            finally:
                peer.abandon(call)
                self._asked.drop(manner.keys)

        await _told(carry(), message, session)


def _refusal(message: Envelope, route: Route) -> bytes | None:
    """Return what is answered to a call of a tool that the server's clients do not get; ``None``: they do get it."""
    screen = route.screen
    if screen is None or message.method != "tools/call":
        return None
    params = object_of(b"" if message.params is UNSET else bytes(message.params))
    refusal = screen.refusal(text_of(params.get("name")))
    if refusal is None:
        return None
    request_id = wire.id_of(message)
    return wire.error_body(request_id, wire.INVALID_PARAMS, str(refusal), refusal.data)


def _is_same(one: Route, other: Route) -> bool:
    """Whether both lead to the same server or bundle, deployed again or not."""
    return (one.server_id, one.bundle_id) == (other.server_id, other.bundle_id)


async def _told(
    work: Coroutine[Any, Any, None], message: Envelope, session: SseSession
) -> None:
    """Do ``work``; what goes wrong is told to the client."""
    try:
        await work
    except DomainError as error:
        log.info("call_failed", server=session.route.name, code=error.code)
        if message.id is not UNSET:
            await session.say(http.failure_body(wire.id_of(message), error))


async def _sent(
    request: http.Request, session: SseSession, endpoint: str
) -> http.Answer:
    response = await http.event_stream(request)
    # A client that went away is how streams end.
    with contextlib.suppress(ConnectionError):
        async with http.keep_alive(response):
            await response.write(
                b"event: endpoint\ndata: " + endpoint.encode() + b"\n\n"
            )
            while body := await session.said():
                await response.write(wire.sse_event(body))
    return response
