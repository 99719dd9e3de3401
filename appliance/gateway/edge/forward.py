"""Carry one request to its server."""

import asyncio
import contextlib

from multidict import CIMultiDict

from appliance.core.errors import DomainError, UnavailableError
from appliance.gateway.edge import allowlist, headers
from appliance.gateway.edge.allowlist import ToolRefusedError
from appliance.gateway.edge.keys import Admission
from appliance.gateway.edge.relay import Exchange, end, relay
from appliance.gateway.edge.sessions import SessionSigner
from appliance.gateway.errors import (
    BridgeAwayError,
    CallTimeoutError,
    ConnectionLostError,
    NotRunningError,
    UnknownSessionError,
)
from appliance.gateway.http import messages as http
from appliance.gateway.http.client import NotConnectedError, UnansweredError
from appliance.gateway.http.upstream import UpstreamAnswer, Upstreams
from appliance.gateway.protocol import wire
from appliance.gateway.routes import Route

#: The bridge is started again within a blink; calls wait for it instead of failing.
BRIDGE_ATTEMPTS = 100
BRIDGE_RETRY_S = 0.05
LISTEN = "subscriptions/listen"


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

    async def forward(self, request: http.Request, admission: Admission) -> http.Answer:
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
            return await end(exchange, _timed_out(exchange, self._timeout_s))
        except wire.WireError as error:
            return http.refusal(wire.NULL, error)
        except ToolRefusedError as error:
            body = wire.error_body(
                wire.id_of_body(exchange.body), wire.INVALID_PARAMS, str(error)
            )
            return http.json_answer(body)
        except (DomainError, OSError) as error:
            return await end(
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

    async def _carry(self, exchange: Exchange) -> http.Answer:
        route = exchange.route
        if route.instance_id is None or not (route.container_id or route.address):
            raise NotRunningError(_why_not_running(route))
        if route.transport == "sse":
            raise NotRunningError(
                f"{route.name} speaks only the HTTP+SSE transport of 2024-11-05, which the gateway does not carry."
            )
        async with await self._send(exchange) as upstream:
            return await relay(upstream, exchange, self._signer)

    async def _send(self, exchange: Exchange) -> UpstreamAnswer:
        """Return the server's answer as far as its head.

        A bridge that is being started is waited for. It acknowledges a request before it passes it on, so one that died
        without a word has passed nothing on, and its successor may be asked again.
        """
        route, method = exchange.route, exchange.request.method
        attempts = BRIDGE_ATTEMPTS if route.transport == "stdio" else 1
        while True:
            try:
                return await self._upstreams.request(
                    route, method, exchange.onward, exchange.body
                )
            except (NotConnectedError, UnansweredError) as error:
                attempts -= 1
                if not attempts:
                    raise _unreachable(route, error) from error
                await asyncio.sleep(BRIDGE_RETRY_S)


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
    if isinstance(error, UnansweredError):
        return _broken(error)
    return NotRunningError(
        f"{route.name} runs, but does not accept connections: {error}."
    )


def _broken(error: Exception) -> DomainError:
    if isinstance(error, PermissionError):
        return UnavailableError(f"The server's address may not be called: {error}.")
    return ConnectionLostError(
        "The connection to the server broke; whether the call was done is not known."
    )
