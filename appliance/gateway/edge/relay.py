"""Hand a server's answer on to the client: whole, or as it comes, or as the error that it ended in."""

import contextlib
from dataclasses import dataclass, field
from http import HTTPStatus

import structlog
from multidict import CIMultiDict

from appliance.core.errors import DomainError
from appliance.gateway.edge import allowlist, headers
from appliance.gateway.edge.keys import Admission
from appliance.gateway.edge.sessions import SessionSigner
from appliance.gateway.errors import ConnectionLostError, NotRunningError
from appliance.gateway.http import messages as http
from appliance.gateway.http.upstream import UpstreamAnswer
from appliance.gateway.protocol import wire
from appliance.gateway.routes import Route

log = structlog.get_logger("gateway.relay")

#: Answers up to this size are read whole, larger and unbounded ones are streamed.
WHOLE_BYTES = 256 * 1024
#: What a server says to us is not for the client: it knows no credentials of the server's, and is not sent elsewhere.
_NOT_FOR_CLIENTS = {401, 403, 407, *range(300, 400)}


@dataclass(eq=False, slots=True)
class Exchange:
    """One request on its way; what is known of it at each moment."""

    request: http.Request
    admission: Admission
    body: bytes = b""
    #: Set once the client was sent the head of an answer that is streamed.
    stream: http.Answer | None = None
    onward: CIMultiDict[str] = field(default_factory=CIMultiDict)
    #: Whether the answer is a list of tools from which some are to be taken out.
    lists_tools: bool = False

    @property
    def route(self) -> Route:
        """Where it goes."""
        return self.admission.route


async def relay(
    upstream: UpstreamAnswer, exchange: Exchange, signer: SessionSigner
) -> http.Answer:
    """Return the answer, or the stream once it has ended.

    Raises:
        ConnectionLostError: The answer is not for clients.
        ConnectionError: It broke off.
    """
    head = upstream.head
    if head.status in _NOT_FOR_CLIENTS:
        raise ConnectionLostError(
            f"The server behind {exchange.route.name} answered {head.status}."
        )
    shown = _shown_headers(upstream, exchange, signer)
    if exchange.lists_tools and head.status == HTTPStatus.OK:
        return await _allowed_tools(upstream, exchange, shown)
    if head.content_length is not None and head.content_length <= WHOLE_BYTES:
        return http.Answer(await upstream.read(), status=head.status, headers=shown)
    return await _stream(upstream, exchange, shown)


def _shown_headers(
    upstream: UpstreamAnswer, exchange: Exchange, signer: SessionSigner
) -> CIMultiDict[str]:
    shown = CIMultiDict(headers.to_client(upstream.head.headers))
    admission = exchange.admission
    if admission.principal == "hub":
        shown[http.INSTANCE_HEADER] = str(admission.route.instance_id)
    session_id = upstream.head.get(http.SESSION_HEADER.lower())
    if session_id is not None:
        shown[http.SESSION_HEADER] = signer.wrap(
            session_id, admission.route.server_id, admission.principal
        )
    return shown


async def _allowed_tools(
    upstream: UpstreamAnswer,
    exchange: Exchange,
    answer_headers: CIMultiDict[str],
) -> http.Answer:
    is_stream = upstream.head.content_type == http.EVENT_STREAM
    allowed = exchange.route.allowed_tools or frozenset()
    body = allowlist.filtered(await upstream.read(), allowed, is_stream=is_stream)
    return http.Answer(body, headers=answer_headers)


async def _stream(
    upstream: UpstreamAnswer,
    exchange: Exchange,
    answer_headers: CIMultiDict[str],
) -> http.Answer:
    """Pass on what comes, when it comes."""
    answer_headers["X-Accel-Buffering"] = "no"
    response = http.Answer(status=upstream.head.status, headers=answer_headers)
    await response.prepare(exchange.request)
    exchange.stream = response
    async for piece in upstream.pieces():
        await response.write(piece)
    return response


async def end(exchange: Exchange, error: DomainError) -> http.Answer:
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
