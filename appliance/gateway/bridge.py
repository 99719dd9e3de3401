"""The bridge: makes a streamable-HTTP server of every stdio server, for the workers, on a socket of its own.

The only gateway process that talks to the engine. It believes the workers (who is calling, which session ids are real) and
nobody else can reach its socket.
"""

import contextlib
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET

from appliance.core.errors import DomainError
from appliance.gateway import http, wire
from appliance.gateway.engine import Engine
from appliance.gateway.errors import BodyTooLargeError
from appliance.gateway.handshake import HandshakeFiles, initialize_result
from appliance.gateway.stdio import StdioServer
from appliance.gateway.traffic import Call, Caller
from appliance.gateway.wire import Envelope

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

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request of a worker."""
        if request.path == "/healthz":
            return web.Response(text="ok\n")
        match = _PATH.fullmatch(request.path)
        if match is None:
            return web.Response(status=404)
        server = self._server(match[1])
        if match[2] is None:
            return http.json_answer(wire.encode(server.describe()))
        handler = self._methods().get(request.method)
        if handler is None:
            return web.Response(status=405, headers={"Allow": "POST, GET, DELETE"})
        return await handler(request, server)

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
    ) -> dict[
        str, Callable[[web.BaseRequest, StdioServer], Awaitable[web.StreamResponse]]
    ]:
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

    async def _post(
        self, request: web.BaseRequest, server: StdioServer
    ) -> web.StreamResponse:
        try:
            message = wire.decode_body(await http.read_body(request, self._line_limit))
        except wire.WireError as error:
            return http.refusal(wire.NULL, error)
        except BodyTooLargeError as error:
            return http.failure(wire.NULL, error)
        caller = _caller(request)
        if caller.session in self._ended:
            return _session_ended(wire.id_of(message))
        try:
            if (
                message.method is UNSET
            ):  # an answer to a request, of which none was made
                return web.Response(status=202)
            if message.id is UNSET:
                await server.opened()
                await server.notify(message, caller)
                return web.Response(status=202)
            if message.method == "initialize":
                return await self._initialize(message, server)
            await server.opened()
            return await self._call(request, message, server, caller)
        except DomainError as error:
            return http.failure(wire.id_of(message), error)

    async def _initialize(self, message: Envelope, server: StdioServer) -> web.Response:
        opened = await server.opened()
        result = initialize_result(opened, _revision(message))
        headers = {http.SESSION_HEADER: secrets.token_hex(16)}
        return http.json_answer(
            wire.result_body(wire.id_of(message), result), headers=headers
        )

    async def _call(
        self,
        request: web.BaseRequest,
        message: Envelope,
        server: StdioServer,
        caller: Caller,
    ) -> web.StreamResponse:
        call = await server.begin(message, caller)
        try:
            if not http.accepts_events(request):
                while not call.is_over:
                    await call.news()
                return _answer(call)
            if not call.is_over:
                await call.news(within_s=http.KEEP_ALIVE_S)
            if call.is_over and not call.notes:
                return _answer(call)
            return await _stream(request, call)
        finally:
            server.abandon(call)

    async def _get(
        self, request: web.BaseRequest, server: StdioServer
    ) -> web.StreamResponse:
        caller = _caller(request)
        if caller.session in self._ended:
            return _session_ended(wire.NULL)
        try:
            await server.opened()
        except DomainError as error:
            return http.failure(wire.NULL, error)
        stream = server.open_stream(caller)
        try:
            response = await http.event_stream(request)
            with contextlib.suppress(
                ConnectionError
            ):  # a client that went away is how streams end
                async with http.keep_alive(response):
                    while (body := await stream.get()) is not None:
                        await response.write(wire.sse_event(body))
            return response
        finally:
            server.traffic.close_stream(stream)

    async def _delete(
        self, request: web.BaseRequest, server: StdioServer
    ) -> web.StreamResponse:
        caller = _caller(request)
        if not caller.session or caller.session in self._ended:
            return _session_ended(wire.NULL)
        self._ended[caller.session] = None
        if len(self._ended) > ENDED_SESSIONS_KEPT:
            del self._ended[next(iter(self._ended))]
        server.traffic.end_session(caller)
        return web.Response(status=200)


def _caller(request: web.BaseRequest) -> Caller:
    return Caller(
        request.headers.get(http.PRINCIPAL_HEADER, ""),
        request.headers.get(http.SESSION_HEADER, ""),
    )


def _session_ended(request_id: bytes) -> web.Response:
    body = wire.error_body(
        request_id, wire.INVALID_REQUEST, "Session not found; initialize again."
    )
    return http.json_answer(body, status=404)


def _revision(message: Envelope) -> str:
    try:
        params: Any = msgspec.json.decode(
            b"{}" if message.params is UNSET else message.params
        )
        return str(params.get("protocolVersion", ""))
    except (msgspec.DecodeError, AttributeError):
        return ""


def _answer(call: Call) -> web.Response:
    if call.error is not None:
        return http.failure(call.client_id, call.error)
    return http.json_answer(call.answer_body())


async def _stream(request: web.BaseRequest, call: Call) -> web.StreamResponse:
    """Send the call's notifications as they come, and its answer last."""
    response = await http.event_stream(request)
    with contextlib.suppress(ConnectionError):
        async with http.keep_alive(response):
            while call.notes or not call.is_over:
                for note in call.take_notes():
                    await response.write(wire.sse_event(note))
                if not call.is_over:
                    await call.news()
            await response.write(wire.sse_event(call.answer_body()))
    return response
