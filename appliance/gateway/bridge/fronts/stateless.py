"""Clients whose every request stands alone: revision 2026-07-28."""

import contextlib

from msgspec import UNSET

from appliance.gateway.bridge.calls import Call, Caller
from appliance.gateway.bridge.fronts import exchange
from appliance.gateway.bridge.fronts.listening import Listening
from appliance.gateway.bridge.fronts.manner import StatelessManner
from appliance.gateway.bridge.fronts.marked import MarkedTools
from appliance.gateway.bridge.fronts.parking import Parked, Parking, Purpose
from appliance.gateway.bridge.fronts.streams import Streams
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.bridge.peers.registry import Peers
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import modern, wire
from appliance.gateway.protocol.modern import Modern, RefusalError
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import Route


class StatelessFront:
    """Serves them."""

    def __init__(self, peers: Peers, parking: Parking, streams: Streams) -> None:
        """Share what the bridge knows of its servers."""
        self._peers = peers
        self._parking = parking
        self._listening = Listening(peers, streams)
        self._marked = MarkedTools()

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
            return await self._listening.serve(request, asked, caller, route)
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


def _place(route: Route) -> object:
    """Return what stays the same when a server is deployed again."""
    return route.server_id, route.bundle_id


def _caller(request: http.Request, asked: Modern) -> Caller:
    return Caller(
        request.headers.get(http.PRINCIPAL_HEADER, ""),
        capabilities=asked.capabilities,
        client_info=asked.client_info,
        revision=wire.MODERN_REVISIONS[0],
        log_level=asked.log_level,
    )
