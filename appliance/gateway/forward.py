"""Carry one request to its server and the answer back, as it comes."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
import structlog
from aiohttp import web
from multidict import CIMultiDict

from appliance.core.errors import DomainError, UnavailableError
from appliance.gateway import allowlist, headers, http, wire
from appliance.gateway.allowlist import ToolRefusedError
from appliance.gateway.errors import (
    BridgeAwayError,
    CallTimeoutError,
    ConnectionLostError,
    NotRunningError,
    UnknownSessionError,
)
from appliance.gateway.keys import Admission
from appliance.gateway.routes import Route
from appliance.gateway.sessions import SessionSigner
from appliance.gateway.upstream import Upstreams

log = structlog.get_logger("gateway.forward")

#: Answers up to this size are read whole, larger and unbounded ones are streamed.
WHOLE_BYTES = 256 * 1024
#: The bridge is started again within a blink; calls wait for it instead of failing.
BRIDGE_ATTEMPTS = 100
BRIDGE_RETRY_S = 0.05
LISTEN = "subscriptions/listen"


@dataclass(eq=False, slots=True)
class Exchange:
    """One request on its way; what is known of it at each moment."""

    request: web.BaseRequest
    admission: Admission
    body: bytes = b""
    #: Set once the client was sent the head of an answer that is streamed.
    stream: web.StreamResponse | None = None
    onward: CIMultiDict[str] = field(default_factory=CIMultiDict)
    #: Whether the answer is a list of tools from which some are to be taken out.
    lists_tools: bool = False

    @property
    def route(self) -> Route:
        """Where it goes."""
        return self.admission.route


class Forwarder:
    """Carries requests.

    Args:
        timeout_s: Seconds from a client's request to the end of its answer; streams of notifications have no limit.
        max_body_bytes: Of a request.
    """

    def __init__(
        self,
        upstreams: Upstreams,
        signer: SessionSigner,
        *,
        timeout_s: float,
        max_body_bytes: int,
    ) -> None:
        """Keep what every call uses."""
        self._upstreams = upstreams
        self._signer = signer
        self._timeout_s = timeout_s
        self._max_body_bytes = max_body_bytes

    async def forward(
        self, request: web.BaseRequest, admission: Admission
    ) -> web.StreamResponse:
        """Answer ``request`` with what the server behind it says."""
        exchange = Exchange(request, admission)
        limit_s = None if request.method == "GET" else self._timeout_s
        try:
            async with asyncio.timeout(limit_s) as limit:
                if request.method == "POST":
                    exchange.body = await http.read_body(request, self._max_body_bytes)
                    if _is_listen(exchange):
                        limit.reschedule(None)
                    _keep_to_allowed_tools(exchange)
                exchange.onward = self._onward(exchange)
                return await self._carry(exchange)
        except TimeoutError:
            return await _end(exchange, _timed_out(exchange, self._timeout_s))
        except wire.WireError as error:
            return http.refusal(wire.NULL, error)
        except ToolRefusedError as error:
            body = wire.error_body(
                wire.id_of_body(exchange.body), wire.INVALID_PARAMS, str(error)
            )
            return http.json_answer(body)
        except (DomainError, OSError, aiohttp.ClientError) as error:
            return await _end(
                exchange, error if isinstance(error, DomainError) else _broken(error)
            )

    def _onward(self, exchange: Exchange) -> CIMultiDict[str]:
        """Return the headers for the server.

        Raises:
            UnknownSessionError: The client names a session that is not its own.
        """
        request, admission = exchange.request, exchange.admission
        onward = CIMultiDict(headers.to_server(request.headers.items()))
        if admission.route.transport == "stdio":
            onward[http.PRINCIPAL_HEADER] = admission.principal
        session_id = request.headers.get(http.SESSION_HEADER)
        if session_id is not None:
            upstream_id = self._signer.unwrap(
                session_id, admission.route.server_id, admission.principal
            )
            if upstream_id is None:
                raise UnknownSessionError("Session not found; initialize again.")
            onward[http.SESSION_HEADER] = upstream_id
        return onward

    async def _carry(self, exchange: Exchange) -> web.StreamResponse:
        route = exchange.route
        if route.instance_id is None or not (route.container_id or route.address):
            raise NotRunningError(_why_not_running(route))
        if route.transport == "sse":
            raise NotRunningError(
                f"{route.name} speaks only the HTTP+SSE transport of 2024-11-05, which the gateway does not carry."
            )
        client, url = self._upstreams.for_route(route)
        upstream = await self._send(client, url, exchange)
        async with upstream:
            return await self._answer(upstream, exchange)

    async def _send(
        self, client: aiohttp.ClientSession, url: str, exchange: Exchange
    ) -> aiohttp.ClientResponse:
        """Return the server's answer as far as its head; waits for a bridge that is being started."""
        attempts = BRIDGE_ATTEMPTS if client is self._upstreams.bridge else 1
        while True:
            try:
                return await client.request(
                    exchange.request.method,
                    url,
                    data=exchange.body or None,
                    headers=exchange.onward,
                    allow_redirects=False,
                )
            except (
                aiohttp.ClientConnectorError,
                aiohttp.ConnectionTimeoutError,
            ) as error:  # nothing was sent
                attempts -= 1
                if attempts > 0:
                    await asyncio.sleep(BRIDGE_RETRY_S)
                    continue
                raise _unreachable(exchange.route, error) from error

    async def _answer(
        self, upstream: aiohttp.ClientResponse, exchange: Exchange
    ) -> web.StreamResponse:
        if upstream.status in {401, 403, 407} or 300 <= upstream.status < 400:  # noqa: PLR2004 - HTTP's own numbers
            raise ConnectionLostError(
                f"The server behind {exchange.route.name} answered {upstream.status}."
            )
        answer_headers = CIMultiDict(headers.to_client(upstream.headers.items()))
        admission = exchange.admission
        if admission.principal == "hub":
            answer_headers[http.INSTANCE_HEADER] = str(admission.route.instance_id)
        if (session_id := upstream.headers.get(http.SESSION_HEADER)) is not None:
            answer_headers[http.SESSION_HEADER] = self._signer.wrap(
                session_id, admission.route.server_id, admission.principal
            )
        if exchange.lists_tools and upstream.status == HTTPStatus.OK:
            return await _allowed_tools(upstream, exchange, answer_headers)
        if (
            upstream.content_length is not None
            and upstream.content_length <= WHOLE_BYTES
        ):
            return web.Response(
                body=await upstream.read(),
                status=upstream.status,
                headers=answer_headers,
            )
        return await _stream(upstream, exchange, answer_headers)


async def _stream(
    upstream: aiohttp.ClientResponse,
    exchange: Exchange,
    answer_headers: CIMultiDict[str],
) -> web.StreamResponse:
    """Pass on what comes, when it comes."""
    answer_headers["X-Accel-Buffering"] = "no"
    response = web.StreamResponse(status=upstream.status, headers=answer_headers)
    await response.prepare(exchange.request)
    exchange.stream = response
    async for chunk in upstream.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


async def _end(exchange: Exchange, error: DomainError) -> web.StreamResponse:
    """Tell the client what went wrong: as an answer, or as the last event of a stream that is open already."""
    log.info(
        "call_failed", server=exchange.route.name, code=error.code, reason=error.reason
    )
    request_id = wire.id_of_body(exchange.body)
    if exchange.stream is None:
        route = exchange.route
        state = {"status": route.status, "status_reason": route.status_reason}
        return http.failure(
            request_id, error, state if isinstance(error, NotRunningError) else None
        )
    if (
        exchange.stream.content_type != http.EVENT_STREAM
        and exchange.request.transport is not None
    ):
        exchange.request.transport.abort()  # half an answer must not pass for a whole one
    elif request_id != wire.NULL:
        with contextlib.suppress(
            ConnectionError
        ):  # perhaps the client is what went wrong
            await exchange.stream.write(
                wire.sse_event(http.failure_body(request_id, error))
            )
    return exchange.stream


def _keep_to_allowed_tools(exchange: Exchange) -> None:
    """Refuse calls of tools that are not on the server's list; without a list, the body is not even read.

    Raises:
        ToolRefusedError: The call names such a tool.
        WireError: The body is not one message, so what it calls cannot be told.
    """
    allowed = exchange.route.allowed_tools
    if allowed is not None:
        message = wire.decode_body(exchange.body)
        exchange.lists_tools = message.method == allowlist.LIST
        exchange.body = allowlist.checked_body(message, allowed)


async def _allowed_tools(
    upstream: aiohttp.ClientResponse,
    exchange: Exchange,
    answer_headers: CIMultiDict[str],
) -> web.Response:
    is_stream = upstream.content_type == http.EVENT_STREAM
    allowed = exchange.route.allowed_tools or frozenset()
    body = allowlist.filtered(await upstream.read(), allowed, is_stream=is_stream)
    return web.Response(body=body, headers=answer_headers)


def _is_listen(exchange: Exchange) -> bool:
    """Whether the modern era's way of a GET stream is asked for; header and body must both say so."""
    if exchange.request.headers.get("Mcp-Method") != LISTEN:
        return False
    with contextlib.suppress(wire.WireError):
        return wire.decode_body(exchange.body).method == LISTEN
    return False


def _why_not_running(route: Route) -> str:
    if route.status_reason:
        return f"{route.name} is {route.status}: {route.status_reason}"
    return f"{route.name} is {route.status}."


def _timed_out(exchange: Exchange, timeout_s: float) -> CallTimeoutError:
    return CallTimeoutError(
        f"{exchange.route.name} did not answer within {timeout_s:g} seconds.",
        hint="GW_TIMEOUT sets how long a call may take.",
    )


def _unreachable(route: Route, error: Exception) -> DomainError:
    if route.transport == "stdio":
        return BridgeAwayError(
            "The bridge to stdio servers does not answer.",
            hint="It is started again by itself.",
        )
    return NotRunningError(
        f"{route.name} runs, but does not accept connections: {error}."
    )


def _broken(error: Exception) -> DomainError:
    if isinstance(error, PermissionError):
        return UnavailableError(f"The server's address may not be called: {error}.")
    return ConnectionLostError(
        "The connection to the server broke; whether the call was done is not known."
    )
