"""What the client of one call is told, and what is kept of it: the side of a call that faces its client."""

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from appliance.core.errors import DomainError
from appliance.gateway.edge import allowlist, failures, outcomes
from appliance.gateway.edge.reading import Message
from appliance.gateway.http import heads
from appliance.gateway.http import messages as http
from appliance.gateway.http.listener import Connection
from appliance.gateway.http.responses import Head
from appliance.gateway.protocol import wire
from appliance.gateway.traces.record import Invocation

if TYPE_CHECKING:
    from appliance.gateway.edge.agreement import Era
    from appliance.gateway.edge.limits import Token
    from appliance.gateway.edge.plan import CallPlan

log = structlog.get_logger("gateway.call")

#: Of the end of a stream that is kept to see how it ended.
TAIL_BYTES: Final = 16 * 1024
#: Nginx's word for a client that left before its answer.
CLIENT_GONE: Final = 499
_UNREAD: Final = Message()


class Upstream(Protocol):
    """The connection that an answer arrives on."""

    def abort(self) -> None:
        """Hang up; nothing more is told."""
        ...

    def pause(self) -> None:
        """Have the server wait."""
        ...

    def resume(self) -> None:
        """Let it go on."""
        ...


class Telling:
    """One call, as its client sees it. What most calls never change is kept by the class.

    Args:
        plan: What the head decided.
        client: Who asks.
        body: ``None``: it is larger than it may be.
    """

    message: Message = _UNREAD
    era: "Era" = "legacy"
    is_direct = False
    is_over = False
    task: "asyncio.Task[None] | None" = None
    token: "Token | None" = None
    upstream: Upstream | None = None
    #: Of the answer, once it has come.
    head: Head | None = None
    is_streaming = False
    #: Of an answer that is streamed: its length, its first bytes, its last.
    size = 0
    kept = b""
    tail = b""

    def __init__(
        self, plan: "CallPlan", client: Connection, body: bytes | None
    ) -> None:
        """Note when it came."""
        self.plan = plan
        self.client = client
        self.body = body
        self.started_at = time.time()
        self.began = time.monotonic()
        self.deadline: float | None = self.began + plan.timeout_s

    # -- streams

    def start(self, lines: bytes, *, length: int | None) -> None:
        """Begin an answer whose body follows by ``tell``."""
        if length is not None:
            lines += b"Content-Length: %d\r\n" % length
        self.is_streaming = True
        self.client.start(lines, is_bounded=length is not None)

    def tell(self, data: bytes) -> None:
        """Send a piece."""
        if not data:
            return
        self.size += len(data)
        kept = self.plan.kept_bytes
        if len(self.kept) < kept:
            self.kept += data[: kept - len(self.kept)]
        self.tail = (self.tail + data)[-TAIL_BYTES:]
        self.client.send(data)

    def end(self, error_class: str | None) -> None:
        """The stream is complete; ``None``: its last event tells how it went."""
        self.over()
        self.client.finish()
        self.record(200 if self.head is None else self.head.status, error_class, b"")

    def end_stream(self) -> None:
        """End in order: what was sent stays valid, and the client opens the stream again, elsewhere."""
        self.hang_up()
        if self.is_streaming:
            self.end(None)
            return
        text = "This part of the gateway is about to restart; try again."
        body = wire.error_body(bytes(self.message.id), wire.UNAVAILABLE, text)
        self.end_with(503, body, "restarting", b"Retry-After: 1\r\n")

    def move_on(self) -> None:
        """End a stream in order because its server's next instance has taken over; it is opened again there."""
        if not self.is_streaming and self.plan.is_stream:
            # Some servers answer with the first event; a stream on which nothing was said is a good one.
            self.start(
                heads.head(200, [("Content-Type", http.EVENT_STREAM)]), length=None
            )
        self.end_stream()

    # -- errors

    def fail(self, error: DomainError) -> None:
        """Tell the client what went wrong."""
        route = self.plan.route
        log.info(
            "call_failed",
            server=route.name,
            code=error.code,
            reason=error.reason,
            request_id=self.client.request_id.decode(),
        )
        self.hang_up()
        body = http.failure_body(
            bytes(self.message.id), error, failures.state(route, error)
        )
        status, lines = http.failure_status(error), failures.lines(error)
        self.end_with(status, body, error.code, lines)

    def refuse(self, refusal: Exception) -> None:
        """Answer what breaks a rule: one of ``failures.REFUSALS``."""
        status, body, error_class = failures.refused(refusal, self.message.id)
        lines = self.plan.lines_for(refusal)
        self.end_with(status, body, error_class, lines)

    def end_with(
        self, status: int, body: bytes, error_class: str, lines: bytes
    ) -> None:
        """End with an error: as an answer, or as the last event of a stream that is open already."""
        if not self.is_streaming:
            shown = [("Content-Type", http.JSON)]
            if status == HTTPStatus.METHOD_NOT_ALLOWED:
                shown.append(("Allow", "POST"))
            self.over()
            self.client.answer(heads.head(status, shown, len(body)) + lines, body)
            self.record(status, error_class, body)
        elif self.head is not None and self.head.content_type != http.EVENT_STREAM:
            self.over()
            self.client.abort()  # half an answer must not pass for a whole one
            self.record(self.head.status, error_class, self.kept)
        else:
            if bytes(self.message.id) != wire.NULL:
                self.tell(wire.sse_event(body))
            self.end(error_class)

    # -- the end

    def hang_up(self) -> None:
        """Have nothing more come from the server."""
        upstream, self.upstream = self.upstream, None
        task, self.task = self.task, None
        if upstream is not None:
            upstream.abort()
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def over(self) -> None:
        """Let go of everything, once."""
        if self.is_over:
            return
        self.is_over = True
        if self.deadline is None:
            self.plan.desk.streams.discard(self)
        if self.token is not None and self.plan.desk.limiter is not None:
            self.plan.desk.limiter.leave(self.token)
            self.token = None

    def record(self, status: int, error_class: str | None, body: bytes) -> None:
        """Write down how it ended; ``None``: the answer tells."""
        plan, message = self.plan, self.message
        if not plan.is_traced:
            plan.desk.left()
            return
        route, kept_bytes = plan.route, plan.kept_bytes
        found, rpc_code = outcomes.of(status, self.tail or body)
        trace, target, params = plan.traceparent, "", message.params
        if params is not None:
            target = message.target()
            if not trace and params.meta is not None:
                trace = params.meta.traceparent or ""
        asked = self.body or b""
        plan.desk.over(
            Invocation(
                self.started_at,
                time.monotonic() - self.began,
                self._server_id() if route.bundle_id else route.server_id,
                route.bundle_id,
                route.deployment_id or 0,
                plan.principal,
                message.method or plan.head.method,
                target,
                status,
                found if error_class is None else error_class,
                rpc_code,
                len(asked),
                self.size or len(body),
                trace,
                asked[:kept_bytes],
                (self.kept or body)[:kept_bytes],
            )
        )

    def _server_id(self) -> int:
        """Return whose answer it is: in a bundle, the bridge says which member's."""
        named = self.head and self.head.get(http.SERVER_HEADER.lower())
        return int(named) if named and named.isdigit() else self.plan.route.server_id

    # -- events of the client's connection

    def client_lost(self) -> None:
        """Nobody reads the answer: have the server stop, too."""
        if not self.is_over:
            self.hang_up()
            self.over()
            self.record(CLIENT_GONE, "client_gone", b"")

    def pause(self) -> None:
        """The client reads more slowly than the server writes."""
        if self.upstream is not None:
            self.upstream.pause()

    def resume(self) -> None:
        """It has caught up."""
        if self.upstream is not None:
            self.upstream.resume()

    @property
    def lists_tools(self) -> bool:
        """Whether the answer is a list from which some tools are to be taken out."""
        return self.plan.listing is not None and self.message.method == allowlist.LIST
