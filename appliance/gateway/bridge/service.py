"""The bridge: makes a streamable-HTTP server of every stdio server, for the workers, on a socket of its own.

The only gateway process that talks to the engine. It believes the workers (who is calling, which session ids are real) and
nobody else can reach its socket.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from msgspec import UNSET

from appliance.core.errors import DomainError
from appliance.gateway.bridge import answers, eras
from appliance.gateway.bridge.calls import Caller
from appliance.gateway.bridge.engine import Engine
from appliance.gateway.bridge.handshake import HandshakeFiles
from appliance.gateway.bridge.stdio import StdioServer
from appliance.gateway.errors import (
    EngineAwayError,
    InstanceGoneError,
    UnknownSessionError,
)
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

_PATH = re.compile(r"/instances/([0-9a-f]{12,64})(/mcp)?")
#: A detached server nobody asked about for so long is forgotten; the next call finds it again.
FORGET_AFTER_S = 600.0
ENDED_SESSIONS_KEPT = 10_000


class Bridge:
    """Serves ``/instances/<container id>/mcp``.

    Args:
        line_limit: Bytes a line of a server may have.
        start_timeout_s: Seconds a call waits for a server that is just starting.
    """

    def __init__(
        self,
        engine: Engine,
        files: HandshakeFiles,
        *,
        line_limit: int,
        start_timeout_s: float,
    ) -> None:
        """Know no server yet."""
        self._engine = engine
        self._files = files
        self._line_limit = line_limit
        self._start_timeout_s = start_timeout_s
        self._servers: dict[str, StdioServer] = {}
        self._last_used: dict[str, float] = {}
        self._ended: dict[str, None] = {}

    async def handle(self, request: http.Request) -> http.Answer:
        """Answer one request of a worker."""
        if request.path == "/healthz":
            return web.Response(text="ok\n")
        match = _PATH.fullmatch(request.path)
        if match is None:
            return http.empty(404)
        server = self._server(match[1])
        if match[2] is None:
            return http.json_answer(wire.encode(server.describe()))
        handler = self._methods().get(request.method)
        if handler is None:
            return http.empty(405, headers={"Allow": "POST, GET, DELETE"})
        return await handler(request, server)

    async def forget_gone_containers(self) -> None:
        """Remove what earlier bridges kept of containers that are gone by now."""
        for container_id in await asyncio.to_thread(self._files.container_ids):
            try:
                await self._engine.inspect(container_id)
            except InstanceGoneError:
                await asyncio.to_thread(self._files.forget, container_id)
            except EngineAwayError:
                return

    def end_streams(self) -> None:
        """Close the open GET streams; calls go on."""
        for server in self._servers.values():
            server.traffic.close_streams()

    async def close(self) -> None:
        """Detach from every server."""
        for server in self._servers.values():
            await server.close()

    def _methods(
        self,
    ) -> dict[str, Callable[[http.Request, StdioServer], Awaitable[http.Answer]]]:
        return {"POST": self._post, "GET": self._get, "DELETE": self._delete}

    def _server(self, container_id: str) -> StdioServer:
        self._last_used[container_id] = time.monotonic()
        server = self._servers.get(container_id)
        if server is None:
            self._forget_idle()
            server = self._servers[container_id] = StdioServer(
                container_id,
                self._engine,
                self._files,
                line_limit=self._line_limit,
                start_timeout_s=self._start_timeout_s,
            )
        return server

    def _forget_idle(self) -> None:
        before = time.monotonic() - FORGET_AFTER_S
        for container_id in [
            key for key, used in self._last_used.items() if used < before
        ]:
            if self._servers[container_id].is_idle:
                del self._servers[container_id], self._last_used[container_id]
                self._files.forget(container_id)

    async def _post(self, request: http.Request, server: StdioServer) -> http.Answer:
        message: Envelope | None = None
        try:
            message = wire.decode_body(await http.read_body(request, self._line_limit))
            return await self._message(request, message, server)
        except wire.WireError as error:
            return http.refusal(wire.NULL, error)
        except eras.RefusalError as refusal:
            answer = refusal.answer(wire.id_of(message))
            return http.json_answer(answer.body, status=answer.status)
        except DomainError as error:
            return http.failure(wire.id_of(message), error)

    async def _message(
        self, request: http.Request, message: Envelope, server: StdioServer
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
        server: StdioServer,
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
            return await answers.listen(request, modern, server, caller)
        http.acknowledge(request)
        call = await server.begin(modern.onward, caller)
        return await answers.call(request, call, server, modern)

    def _caller(self, request: http.Request) -> Caller:
        """Return on whose behalf ``request`` is.

        Raises:
            UnknownSessionError: It names a session that was ended.
        """
        session = request.headers.get(http.SESSION_HEADER, "")
        if session in self._ended:
            raise UnknownSessionError("Session not found; initialize again.")
        return Caller(request.headers.get(http.PRINCIPAL_HEADER, ""), session)

    async def _get(self, request: http.Request, server: StdioServer) -> http.Answer:
        try:
            caller = self._caller(request)
            await server.opened()
        except DomainError as error:
            return http.failure(wire.NULL, error)
        return await answers.notifications(request, server, caller, lambda body: body)

    async def _delete(self, request: http.Request, server: StdioServer) -> http.Answer:
        try:
            caller = self._caller(request)
        except UnknownSessionError as error:
            return http.failure(wire.NULL, error)
        if not caller.session:
            return http.empty(400)
        self._ended[caller.session] = None
        if len(self._ended) > ENDED_SESSIONS_KEPT:
            del self._ended[next(iter(self._ended))]
        server.traffic.end_session(caller)
        return http.empty(200)
