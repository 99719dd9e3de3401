"""The bridge: makes a streamable-HTTP server of every server that workers cannot forward to, on a socket of its own.

The only gateway process that talks to the engine. It believes the workers (who is calling, which session ids are real) and
nobody else can reach its socket.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator

from msgspec import UNSET

from appliance.core.errors import DomainError
from appliance.gateway.bridge import answers, eras
from appliance.gateway.bridge.calls import Caller, Stream
from appliance.gateway.bridge.peer import Describes, Peer
from appliance.gateway.bridge.peers.registry import Peers
from appliance.gateway.errors import NotRunningError, UnknownSessionError
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import LiveTable, Route, RoutingTable

_ENDPOINT = re.compile(r"/(servers|bundles)/([a-z0-9-]{1,63})/mcp/?")
_INSTANCE = re.compile(r"/instances/([0-9a-f]{12,64})(/mcp)?")
ENDED_SESSIONS_KEPT = 10_000
#: Workers hear of a change a moment before or after the bridge does.
ROUTED_WITHIN_S = 2.0
CLOSE_IDLE_EVERY_S = 30.0


class Bridge:
    """Serves ``/servers/<name>/mcp`` and ``/bundles/<name>/mcp``.

    Args:
        body_limit: Bytes that a client's message may have.
    """

    def __init__(self, peers: Peers, table: LiveTable, *, body_limit: int) -> None:
        """Know no session yet."""
        self._peers = peers
        self._table = table
        self._body_limit = body_limit
        self._ended: dict[str, None] = {}
        self._streams: set[Stream] = set()

    async def handle(self, request: http.Request) -> http.Answer:
        """Answer one request of a worker."""
        if request.path == "/healthz":
            return http.text_answer("ok\n")
        try:
            route = await self._route(request)
            if route is None:
                return http.empty(404)
            with self._peers.leased(route) as peer:
                if (
                    request.path.startswith("/instances/")
                    and request.path[-4:] != "/mcp"
                ):
                    return _description(peer)
                handler = self._methods().get(request.method)
                if handler is None:
                    return http.empty(405, headers={"Allow": "POST, GET, DELETE"})
                return await handler(request, peer)
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
        """Close the open streams; calls go on."""
        for stream in list(self._streams):
            stream.close()

    async def _route(self, request: http.Request) -> Route | None:
        """Return where ``request`` goes; ``None``: there is no such path.

        Raises:
            NotRunningError: The worker knows an instance that has not been heard of here.
        """
        if (match := _INSTANCE.fullmatch(request.path)) is not None:
            return self._route_of_container(match[1])
        match = _ENDPOINT.fullmatch(request.path)
        if match is None:
            return None
        wanted = request.headers.get(http.INSTANCE_HEADER)

        def look(table: RoutingTable) -> Route | None:
            routes = table.bundles if match[1] == "bundles" else table.routes
            found = routes.get(match[2])
            is_it = found is not None and wanted in {None, str(found.instance_id)}
            return found if is_it else None

        route = await self._table.find(look, within_s=ROUTED_WITHIN_S)
        if route is None:
            raise NotRunningError("The bridge has not heard of that instance yet.")
        return route

    def _route_of_container(self, container_id: str) -> Route:
        table = self._table.current
        for route in table.routes.values() if table is not None else ():
            if route.container_id == container_id:
                return route
        return Route(
            server_id=0,
            name="The server",
            owner_id=0,
            status="",
            status_reason="",
            container_id=container_id,
            transport="stdio",
        )

    def _methods(
        self,
    ) -> dict[str, Callable[[http.Request, Peer], Awaitable[http.Answer]]]:
        return {"POST": self._post, "GET": self._get, "DELETE": self._delete}

    async def _post(self, request: http.Request, server: Peer) -> http.Answer:
        message: Envelope | None = None
        try:
            message = wire.decode_body(await http.read_body(request, self._body_limit))
            return await self._message(request, message, server)
        except wire.WireError as error:
            return http.refusal(wire.NULL, error)
        except eras.RefusalError as refusal:
            answer = refusal.answer(wire.id_of(message))
            return http.json_answer(answer.body, status=answer.status)
        except DomainError as error:
            return http.failure(wire.id_of(message), error)

    async def _message(
        self, request: http.Request, message: Envelope, server: Peer
    ) -> http.Answer:
        caller = self._caller(request)
        revision = request.headers.get(http.VERSION_HEADER)
        if message.method is UNSET:  # an answer to a request, of which none was made
            return http.empty(202)
        opened = await server.opened()
        if eras.is_modern(revision, message):
            return await self._modern(request, message, server, caller)
        if message.id is UNSET:
            http.acknowledge(request)
            await server.notify(message, caller)
            return http.empty(202)
        if message.method == "initialize":
            return answers.initialized(message, opened)
        http.acknowledge(request)
        call = await server.begin(message, caller)
        return await answers.call(request, call, server, eras.Legacy())

    async def _modern(
        self,
        request: http.Request,
        message: Envelope,
        server: Peer,
        caller: Caller,
    ) -> http.Answer:
        if (
            message.id is UNSET
        ):  # the modern era has no notifications for servers: to hang up is to cancel
            eras.check_revision(request.headers.get(http.VERSION_HEADER))
            return http.empty(202)
        modern = eras.read_modern(message, request.headers.items())
        if message.method == "server/discover":
            result = eras.discover_result(await server.opened())
            return http.json_answer(wire.result_body(wire.id_of(message), result))
        if message.method == "subscriptions/listen":
            with self._stream(server, caller) as stream:
                return await answers.listen(request, modern, server, stream)
        http.acknowledge(request)
        call = await server.begin(modern.onward, caller)
        return await answers.call(request, call, server, modern)

    @contextlib.contextmanager
    def _stream(self, peer: Peer, caller: Caller) -> Iterator[Stream]:
        stream = peer.open_stream(caller)
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)
            peer.close_stream(stream)

    def _caller(self, request: http.Request) -> Caller:
        """Return on whose behalf ``request`` is.

        Raises:
            UnknownSessionError: It names a session that was ended.
        """
        session = request.headers.get(http.SESSION_HEADER, "")
        if session in self._ended:
            raise UnknownSessionError("Session not found; initialize again.")
        return Caller(request.headers.get(http.PRINCIPAL_HEADER, ""), session)

    async def _get(self, request: http.Request, server: Peer) -> http.Answer:
        try:
            caller = self._caller(request)
            await server.opened()
        except DomainError as error:
            return http.failure(wire.NULL, error)
        with self._stream(server, caller) as stream:
            return await answers.notifications(request, stream, lambda body: body)

    async def _delete(self, request: http.Request, server: Peer) -> http.Answer:
        try:
            caller = self._caller(request)
        except UnknownSessionError as error:
            return http.failure(wire.NULL, error)
        if not caller.session:
            return http.empty(400)
        self._ended[caller.session] = None
        if len(self._ended) > ENDED_SESSIONS_KEPT:
            del self._ended[next(iter(self._ended))]
        server.end_session(caller)
        return http.empty(200)


def _description(peer: Peer) -> http.Answer:
    if not isinstance(peer, Describes):
        return http.empty(404)
    return http.json_answer(wire.encode(peer.describe()))
