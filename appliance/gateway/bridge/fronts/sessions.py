"""Clients that open a session with ``initialize``: revisions 2024-11-05 to 2025-11-25 over streamable HTTP."""

import secrets
from collections.abc import Sequence

from msgspec import UNSET

from appliance.gateway.bridge.calls import Ask, Call, Caller
from appliance.gateway.bridge.fronts import exchange
from appliance.gateway.bridge.fronts.asked import Asked
from appliance.gateway.bridge.fronts.callers import Callers
from appliance.gateway.bridge.fronts.exchange import Ending
from appliance.gateway.bridge.fronts.streams import Streams
from appliance.gateway.bridge.handshake import initialize_result
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

#: Revisions in which a client may send several messages at once.
_BATCHES = {"", "2024-11-05", "2025-03-26"}


class SessionManner:
    """How a client with a session is spoken to: as the server speaks.

    Args:
        reads_events: Whether it can be told anything before the answer.
    """

    def __init__(self, caller: Caller, asked: Asked, *, reads_events: bool) -> None:
        """Have asked nothing."""
        self._caller = caller
        self._asked = asked
        self._reads_events = reads_events
        self.keys: list[str] = []

    def note(self, body: bytes) -> bytes | None:
        """Return the notification unchanged."""
        return body if self._reads_events else None

    def ask(self, ask: Ask) -> bytes | None:
        """Return the question as a request, unless the client cannot answer it."""
        if not self._reads_events:
            ask.refuse(wire.METHOD_NOT_FOUND, "The client reads no event streams.")
            return None
        self.keys.append(ask.key)
        return self._asked.put(ask, self._caller)

    def pause_s(self) -> float | None:
        """Return ``None``: only the call's end ends the exchange."""
        return None

    def ending(self, call: Call) -> Ending | None:
        """Return the server's answer under the client's id."""
        if call.error is not None:
            return exchange.failed(call, call.error)
        return Ending(call.answer_body()) if call.is_over else None


class SessionFront:
    """Serves them.

    Args:
        asked: What was asked of them and of other clients with sessions.
    """

    def __init__(self, callers: Callers, asked: Asked, streams: Streams) -> None:
        """Share what the bridge knows of its clients."""
        self._callers = callers
        self._asked = asked
        self._streams = streams

    async def post(
        self, request: http.Request, messages: Sequence[Envelope], peer: Peer
    ) -> http.Answer:
        """Answer one message, or several.

        Raises:
            DomainError: The server, or the session, cannot be had.
            WireError: Several messages, in a revision that does not have that.
        """
        caller = self._callers.of(request)
        if len(messages) == 1 and messages[0].method == "initialize":
            return await self._initialize(messages[0], caller, peer)
        if len(messages) > 1:
            _check_batch(messages, request.headers.get(http.VERSION_HEADER, ""), caller)
        await peer.opened()
        http.acknowledge(request)
        requests = await self.hand_over(messages, caller, peer)
        if not requests:
            return http.empty(202)
        exchanges: list[tuple[Call, SessionManner]] = []
        try:
            for message in requests:
                call = await peer.begin(message, caller)
                exchanges.append((call, self._manner(request, caller)))
            if len(messages) > 1:
                return await exchange.answered_together(request, exchanges)
            return await exchange.answered(request, *exchanges[0])
        finally:
            for call, manner in exchanges:
                peer.abandon(call)
                self._asked.drop(manner.keys)

    def _manner(self, request: http.Request, caller: Caller) -> SessionManner:
        reads_events = http.accepts_events(request)
        return SessionManner(caller, self._asked, reads_events=reads_events)

    async def hand_over(
        self, messages: Sequence[Envelope], caller: Caller, peer: Peer
    ) -> list[Envelope]:
        """Pass answers and notifications on; return the requests."""
        for message in messages:
            if message.method is UNSET:
                self._asked.answer(message, caller)
            elif message.id is UNSET:
                await peer.notify(message, caller)
        return [
            message
            for message in messages
            if message.method is not UNSET and message.id is not UNSET
        ]

    async def get(self, request: http.Request, peer: Peer) -> http.Answer:
        """Send what belongs to no call, until the client hangs up.

        Raises:
            DomainError: The server, or the session, cannot be had.
        """
        caller = self._callers.of(request)
        await peer.opened()
        with self._streams.opened(peer, caller) as stream:
            return await self._streams.sent(
                request,
                stream,
                lambda body: body,
                lambda ask: self._asked.put(ask, caller),
            )

    async def delete(self, request: http.Request, peer: Peer) -> http.Answer:
        """End the session.

        Raises:
            UnknownSessionError: It has ended already.
        """
        caller = self._callers.of(request)
        if not caller.session:
            return http.empty(400)
        self._callers.ends(caller)
        self._asked.end_session(caller)
        peer.end_session(caller)
        return http.empty(200)

    async def _initialize(
        self, message: Envelope, caller: Caller, peer: Peer
    ) -> http.Answer:
        """Answer from what the server said when it was opened, under a new session id."""
        opened = await peer.opened()
        session = http.BRIDGE_SESSION + secrets.token_hex(16)
        known = self._callers.opens(message, caller.principal, session)
        result = initialize_result(opened, known.revision)
        return http.json_answer(
            wire.result_body(wire.id_of(message), result),
            headers={http.SESSION_HEADER: session},
        )


def _check_batch(messages: Sequence[Envelope], header: str, caller: Caller) -> None:
    """Raise ``WireError`` unless these messages may come together."""
    if not {header, caller.revision} <= _BATCHES:
        raise wire.WireError(
            wire.INVALID_REQUEST, "The body is a batch; send one message a request."
        )
    if any(message.method == "initialize" for message in messages):
        raise wire.WireError(
            wire.INVALID_REQUEST, "initialize must not be part of a batch."
        )
