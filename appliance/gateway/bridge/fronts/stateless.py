"""Clients whose every request stands alone: revision 2026-07-28."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET, Raw

from appliance.gateway.bridge.calls import Ask, Call, Caller
from appliance.gateway.bridge.fronts import exchange, modern_answers, subscriptions
from appliance.gateway.bridge.fronts.exchange import Ending
from appliance.gateway.bridge.fronts.marked import MarkedTools
from appliance.gateway.bridge.fronts.parking import (
    Parked,
    Parking,
    Purpose,
    is_response,
)
from appliance.gateway.bridge.fronts.streams import Streams
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.bridge.peers.registry import Peers
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import modern, wire
from appliance.gateway.protocol.capabilities import lacking
from appliance.gateway.protocol.levels import reaches
from appliance.gateway.protocol.modern import Modern, RefusalError
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import Route

#: Requests that may end with questions.
_ASKING = {"tools/call", "prompts/get", "resources/read"}
#: A server that asks several things at once prints them one by one.
MORE_WITHIN_S = 0.03


class StatelessManner:
    """How a client without a session is spoken to.

    Args:
        parked: The call, which waits here if its server asks something.
        park: Makes it wait, and returns the state for its client.
        server_info: What the server calls itself.
    """

    def __init__(
        self,
        request: Modern,
        parked: Parked,
        park: Callable[[Parked], str],
        server_info: object,
    ) -> None:
        """Have asked nothing but what is left from before."""
        self._request = request
        self._parked = parked
        self._park = park
        self._server_info = server_info
        self._settled_at = 0.0
        # A client may bring what it knows will be asked, without having been asked yet.
        is_first = request.request_state is None
        self._brought = dict(request.input_responses) if is_first else {}
        self.is_parked = False

    def note(self, body: bytes) -> bytes | None:
        """Return the notification, unless it is a log message that the client did not ask for, or of the other era."""
        message = wire.decode_line(body)
        fields = modern.fields_of(message.params)
        if message.method == "notifications/message":
            level = modern.value_of(fields.get("level"))
            return body if reaches(level, self._request.log_level) else None
        if message.method == "notifications/cancelled":
            key = wire.string_of(fields.get("requestId", UNSET))
            self._withdrawn(key)
            return None
        return None if message.method == "notifications/elicitation/complete" else body

    def ask(self, ask: Ask) -> bytes | None:
        """Keep the question for the end of the exchange, unless the client cannot answer it or has done so already."""
        if self._request.method not in _ASKING:
            ask.refuse(
                wire.INVALID_REQUEST,
                f"Nothing can be asked during {self._request.method}.",
            )
            return None
        missing = lacking(ask.method, ask.params, self._request.capabilities)
        if missing:
            ask.refuse(
                wire.MISSING_CAPABILITY,
                f"The client does not support {ask.method}.",
                {"requiredCapabilities": missing},
            )
            return None
        self._keep(ask, modern_answers.key_of(ask))
        return None

    def pause_s(self) -> float | None:
        """Return how long to wait for another question, once there is one."""
        if not self._parked.asks:
            return None
        return max(0.001, self._settled_at - asyncio.get_running_loop().time())

    def ending(self, call: Call) -> Ending | None:
        """Return the answer, or the questions."""
        if call.error is not None:
            return exchange.failed(call, call.error)
        if call.answer is not None:
            if call.answer.error is UNSET:
                return modern_answers.result_of(call, self._server_info)
            return modern_answers.error_of(
                call, self._request.capabilities, self._server_info
            )
        is_settled = asyncio.get_running_loop().time() >= self._settled_at
        if not self._parked.asks or not is_settled:
            return None
        self.is_parked = True
        requests = {
            key: modern_answers.question(ask) for key, ask in self._parked.asks.items()
        }
        state = self._park(self._parked)
        return modern_answers.input_required(
            call.client_id, requests, self._server_info, state
        )

    def _keep(self, ask: Ask, key: str) -> None:
        if key in self._parked.asks:
            key = ask.key
        brought = self._brought.pop(key, None)
        if brought is not None and is_response(brought):
            ask.reply(Envelope(result=brought))
            return
        self._parked.asks[key] = ask
        self._settled_at = asyncio.get_running_loop().time() + MORE_WITHIN_S

    def _withdrawn(self, ask_key: str) -> None:
        for key, ask in list(self._parked.asks.items()):
            if ask.key == ask_key:
                del self._parked.asks[key]


class StatelessFront:
    """Serves them."""

    def __init__(self, peers: Peers, parking: Parking, streams: Streams) -> None:
        """Share what the bridge knows of its servers."""
        self._peers = peers
        self._parking = parking
        self._streams = streams
        self._marked = MarkedTools()
        self._leaving: set[asyncio.Task[None]] = set()

    async def post(
        self, request: http.Request, message: Envelope, route: Route, peer: Peer
    ) -> http.Answer:
        """Answer one message.

        Raises:
            DomainError: The server cannot be had.
            RefusalError: The message breaks a rule.
        """
        # There are no notifications for servers in this era: to hang up is to cancel.
        if message.id is UNSET:
            modern.check_revision(request.headers.get(http.VERSION_HEADER))
            return http.empty(202)
        asked = modern.read_modern(message, request.headers.items())
        opened = await peer.opened()
        if asked.method == "server/discover":
            result = modern.discover_result(opened)
            return http.json_answer(wire.result_body(wire.id_of(message), result))
        caller = _caller(request, asked)
        if asked.method == "subscriptions/listen":
            return await self._listen(request, asked, caller, route)
        self._marked.check(_place(route), asked, request.headers)
        http.acknowledge(request)
        parked = await self._parked(asked, caller, route)
        manner = StatelessManner(
            asked, parked, self._parking.park, opened.get("serverInfo")
        )
        try:
            return await exchange.answered(request, parked.call, manner)
        finally:
            if not manner.is_parked:
                parked.end()
                self._learn(parked.call, route)

    def _learn(self, call: Call, route: Route) -> None:
        if call.method == "tools/list" and call.answer is not None:
            self._marked.learn(_place(route), call.answer.result)

    async def _parked(self, asked: Modern, caller: Caller, route: Route) -> Parked:
        """Return the call that the client comes back for, or a new one."""
        purpose = Purpose(
            caller.principal,
            _place(route),
            asked.method,
            asked.target,
        )
        if asked.request_state is not None:
            return self._resumed(asked, asked.request_state, purpose)
        with contextlib.ExitStack() as lease:
            peer = lease.enter_context(self._peers.leased(route))
            call = await peer.begin(asked.onward, caller)
            return Parked(call, peer, purpose, lease.pop_all())

    def _resumed(self, asked: Modern, state: str, purpose: Purpose) -> Parked:
        parked = self._parking.take(state, purpose)
        if parked is None:
            raise RefusalError(
                wire.INVALID_PARAMS,
                "requestState is not known here, or was used up: call again without it.",
            )
        meta = modern.fields_of(
            modern.fields_of(asked.request.params).get("_meta", UNSET)
        )
        token = meta.get("progressToken")
        parked.call.client_id = wire.id_of(asked.request)
        parked.call.token = None if token is None else token.copy()
        parked.answer(asked.input_responses)
        return parked

    async def _listen(
        self, request: http.Request, asked: Modern, caller: Caller, route: Route
    ) -> http.Answer:
        """Serve a subscription until the client hangs up."""
        listener = _listener(caller)
        with contextlib.ExitStack() as lease:
            peer = lease.enter_context(self._peers.leased(route))
            wanted = subscriptions.honoured(
                wire.id_of(asked.request), asked.wanted, await peer.opened()
            )
            with self._streams.opened(peer, listener) as stream:
                try:
                    for uri in wanted.uris:
                        await _resource(peer, listener, "resources/subscribe", uri)
                    return await self._streams.sent(
                        request,
                        stream,
                        wanted.shown,
                        _refuse,
                        first=wanted.acknowledgement,
                        last=wanted.ending,
                    )
                finally:
                    self._leave(peer, listener, wanted.uris, lease.pop_all())

    def _leave(
        self,
        peer: Peer,
        listener: Caller,
        uris: tuple[str, ...],
        lease: contextlib.ExitStack,
    ) -> None:
        """End subscriptions, whether or not the one who listened is still there."""

        async def leave() -> None:
            with lease:
                for uri in uris:
                    await _resource(peer, listener, "resources/unsubscribe", uri)
                peer.end_session(listener)

        task = asyncio.create_task(leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def _place(route: Route) -> object:
    """Return what stays the same when a server is deployed again."""
    return route.transport == "bundle", route.name, route.server_id


def _caller(request: http.Request, asked: Modern) -> Caller:
    return Caller(
        request.headers.get(http.PRINCIPAL_HEADER, ""),
        capabilities=asked.capabilities,
        client_info=asked.client_info,
        revision=wire.MODERN_REVISIONS[0],
        log_level=asked.log_level,
    )


def _listener(caller: Caller) -> Caller:
    return Caller(
        caller.principal,
        capabilities=caller.capabilities,
        client_info=caller.client_info,
        revision=caller.revision,
        listener=secrets.token_hex(8),
    )


async def _resource(peer: Peer, caller: Caller, method: str, uri: str) -> None:
    """Ask the server to tell of one resource, or no more; what it answers changes nothing."""
    params: Mapping[str, Any] = {"uri": uri}
    request = Envelope(id=Raw(b"0"), method=method, params=Raw(wire.encode(params)))
    call = await peer.begin(request, caller)
    try:
        async with asyncio.timeout(_SUBSCRIBED_WITHIN_S):
            while not call.is_over:
                await call.news()
    except TimeoutError:
        return
    finally:
        peer.abandon(call)


#: A subscription goes on without the server's word for it.
_SUBSCRIBED_WITHIN_S = 5.0


def _refuse(ask: Ask) -> None:
    ask.refuse(
        wire.INVALID_REQUEST, "Clients without a session are asked in calls only."
    )
