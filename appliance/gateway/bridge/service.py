"""The bridge: makes one kind of server of every kind, for the workers, on a socket of its own.

The only gateway process that talks to the engine. It believes the workers (who is calling, which session ids are real) and
nobody else can reach its socket.
"""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence

from msgspec import UNSET

from appliance.core.errors import DomainError
from appliance.gateway.bridge import inquiries
from appliance.gateway.bridge.elder import ANSWERS_PATH, Elder
from appliance.gateway.bridge.fronts.asked import Asked
from appliance.gateway.bridge.fronts.callers import Callers
from appliance.gateway.bridge.fronts.http_sse import HttpSseFront
from appliance.gateway.bridge.fronts.parking import Parking
from appliance.gateway.bridge.fronts.sessions import SessionFront
from appliance.gateway.bridge.fronts.stateless import StatelessFront
from appliance.gateway.bridge.fronts.streams import Streams
from appliance.gateway.bridge.peer import Describes, Peer
from appliance.gateway.bridge.peers.registry import Peers
from appliance.gateway.errors import NotRunningError
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import modern, wire
from appliance.gateway.protocol.modern import RefusalError
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import LiveTable, Route, RoutingTable, for_principal

_ENDPOINT = re.compile(
    r"/(servers|bundles)/([a-z0-9-]{1,63})/(mcp|sse|messages|eras|revive)/?"
)
_INSTANCE = re.compile(r"/instances/([0-9a-f]{12,64})")
_TRAFFIC = re.compile(r"/instances/([0-9]{1,18})/traffic")
#: Workers hear of a change a moment before or after the bridge does.
ROUTED_WITHIN_S = 2.0
#: Seconds between two readings of the table for what a worker has heard of before the bridge.
REREAD_PAUSE_S = 0.5
CLOSE_IDLE_EVERY_S = 30.0
#: Between two looks at what nobody uses any more, while a successor waits for it.
LET_GO_EVERY_S = 0.02
#: A person answers, or a model does.
ASK_WITHIN_S = 300.0
_METHODS = {
    "mcp": "POST, GET, DELETE",
    "sse": "GET",
    "messages": "POST",
    "eras": "GET",
    "revive": "POST",
}


class Bridge:
    """Serves ``/servers/<name>/mcp`` and its like.

    Args:
        body_limit: Bytes that a client's message may have.
        ask_within_s: Seconds that a client has to answer what a server asks.
        elder: The bridge that this one takes over from.
    """

    def __init__(
        self,
        peers: Peers,
        table: LiveTable,
        *,
        body_limit: int,
        ask_within_s: float = ASK_WITHIN_S,
        elder: Elder | None = None,
    ) -> None:
        """Put together what every request uses."""
        self._peers = peers
        self._table = table
        self._body_limit = body_limit
        self._streams = Streams()
        self._parking = Parking()
        callers, asked = Callers(), Asked(ask_within_s)
        self._callers, self._asked, self._elder = callers, asked, elder
        self._sessions = SessionFront(callers, asked, self._streams)
        self._stateless = StatelessFront(peers, self._parking, self._streams)
        self._http_sse = HttpSseFront(callers, asked, self._streams, self._sessions)
        self._reread_at = float("-inf")
        #: Whether another bridge has taken over.
        self._is_relieved = False

    async def handle(self, request: http.Request) -> http.Answer:
        """Answer one request of a worker."""
        if self._is_relieved and request.path == ANSWERS_PATH:
            return self._take_answers(request)
        if self._is_relieved:
            # Without a word: nothing was passed on, so the worker asks again, and reaches the successor.
            request.connection.abort()
            return http.empty(503)
        if request.path == "/healthz":
            return http.text_answer("ok\n")
        try:
            if (match := _INSTANCE.fullmatch(request.path)) is not None:
                return self._instance(match[1])
            if (match := _TRAFFIC.fullmatch(request.path)) is not None:
                return self._traffic(int(match[1]))
            match = _ENDPOINT.fullmatch(request.path)
            if match is None:
                return http.empty(404)
            route = await self._route(match[1], match[2], request.headers)
            principal = request.headers.get(http.PRINCIPAL_HEADER, "")
            own = for_principal(route, principal)
            return await self._endpoint(request, own, match[3])
        except DomainError as error:
            return http.failure(wire.NULL, error)

    async def close_idle_peers(self) -> None:
        """Close what nobody needs any more, for ever."""
        while True:
            await asyncio.sleep(CLOSE_IDLE_EVERY_S)
            table = self._table.current
            if table is not None:
                self._peers.keep_to(table.all_routes())

    def end_streams(self) -> None:
        """Close the open streams and give up what waits for a client; calls go on."""
        self._streams.end()
        self._http_sse.end_streams()
        self._parking.close()

    async def hand_over(self, *, within_s: float) -> None:
        """Take nothing new, end what is open, and let go of each server as soon as nothing goes on there.

        Args:
            within_s: Seconds that open calls have.
        """
        self._is_relieved = True
        self._streams.end()
        self._parking.close()
        deadline = time.monotonic() + within_s
        while not self._peers.is_empty and time.monotonic() < deadline:
            self._http_sse.end_streams(only_idle=True)
            self._peers.let_go()
            await asyncio.sleep(LET_GO_EVERY_S)

    async def _endpoint(
        self, request: http.Request, route: Route, kind: str
    ) -> http.Answer:
        if request.method not in _METHODS[kind].split(", "):
            return http.empty(405, headers={"Allow": _METHODS[kind]})
        with self._peers.leased(route) as peer:
            if kind == "eras":
                return await inquiries.eras(route, peer)
            if kind == "revive":
                return await inquiries.revive(request, peer)
            if request.method == "POST":
                return await self._post(request, route, peer, is_sse=kind != "mcp")
            if kind == "sse":
                return await self._http_sse.get(request, route, peer)
            if request.headers.get(http.VERSION_HEADER) in wire.MODERN_REVISIONS:
                return http.empty(405, headers={"Allow": "POST"})
            if request.method == "GET":
                return await self._sessions.get(request, peer)
            return await self._sessions.delete(request, peer)

    async def _post(
        self, request: http.Request, route: Route, peer: Peer, *, is_sse: bool
    ) -> http.Answer:
        message: Envelope | None = None
        try:
            body = await http.read_body(request, self._body_limit)
            if is_sse:
                return await self._http_sse.post(request, route, peer, body)
            messages = wire.decode_batch(body)
            if await self._is_for_elder(request, messages, body):
                return http.empty(202)
            message = messages[0] if len(messages) == 1 else None
            revision = request.headers.get(http.VERSION_HEADER)
            if message is not None and modern.is_modern(revision, message):
                return await self._stateless.post(request, message, route, peer)
            return await self._sessions.post(request, messages, peer)
        except wire.WireError as error:
            return http.refusal(wire.id_of(message), error)
        except RefusalError as refusal:
            body = refusal.body(wire.id_of(message))
            return http.json_answer(body, status=refusal.status)
        except DomainError as error:
            return http.failure(wire.id_of(message), error)

    async def _route(self, kind: str, name: str, headers: Mapping[str, str]) -> Route:
        """Return where a request goes.

        Raises:
            NotRunningError: The worker knows an instance that has not been heard of here.
        """
        wanted = headers.get(http.INSTANCE_HEADER)

        def look(table: RoutingTable) -> Route | None:
            found = (table.routes if kind == "servers" else table.bundles).get(name)
            if found is None or wanted in {None, str(found.instance_id)}:
                return found
            if kind != "servers" or not str(wanted).isdigit():
                return None
            # A worker may not have heard yet that another instance took over, and the hub asks one before it does.
            return table.at_instance(name, int(str(wanted)))

        current = self._table.current
        if current is not None and look(current) is None:
            self._reread()
        route = await self._table.find(look, within_s=ROUTED_WITHIN_S)
        if route is None:
            raise NotRunningError("The bridge has not heard of that instance yet.")
        return route

    def _reread(self) -> None:
        """Have the table read again, but not for every request anew."""
        now = time.monotonic()
        if now - self._reread_at >= REREAD_PAUSE_S:
            self._reread_at = now
            self._table.look_again()

    async def _is_for_elder(
        self, request: http.Request, messages: Sequence[Envelope], body: bytes
    ) -> bool:
        are_answers = all(item.method is UNSET for item in messages)
        if self._elder is None or not are_answers:
            return False
        return await self._elder.takes(request, body)

    def _take_answers(self, request: http.Request) -> http.Answer:
        """Take what a client answers, from the successor."""
        try:
            caller = self._callers.of(request)
            messages = wire.decode_batch(request.body or b"")
        except (wire.WireError, DomainError):
            return http.empty(404)
        taken = [self._asked.answer(item, caller) for item in messages]
        return http.empty(202 if any(taken) else 404)

    def _traffic(self, instance_id: int) -> http.Answer:
        """Tell what goes on at an instance that is left, having let those go on who only listened there."""
        table = self._table.current
        route = table.beside.get(instance_id) if table is not None else None
        if table is not None:
            self._peers.keep_to(table.all_routes())
        users = self._peers.users_of(instance_id)
        is_left = route is not None and route.is_leaving
        state = {"is_left": is_left, "calls": users, "streams": 0}
        return http.json_answer(wire.encode(state))

    def _instance(self, container_id: str) -> http.Answer:
        """Tell people and tests what is known of a server on this box."""
        table = self._table.current
        for route in table.routes.values() if table is not None else ():
            if route.container_id == container_id:
                peer = self._peers.of(route)
                if isinstance(peer, Describes):
                    return http.json_answer(wire.encode(peer.describe()))
        return http.empty(404)
