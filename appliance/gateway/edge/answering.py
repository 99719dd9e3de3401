"""Give a server's answer to the client: whole, or as it comes, or as the error that it ended in; and keep a trace of it."""

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from appliance.gateway.edge import admittance, allowlist, outcomes, reading
from appliance.gateway.edge.sessions import pack, unpack
from appliance.gateway.edge.states import StreamSigner, is_marked
from appliance.gateway.errors import ConnectionLostError, OverlongAnswerError
from appliance.gateway.http import heads
from appliance.gateway.http import messages as http
from appliance.gateway.http.responses import Head
from appliance.gateway.protocol import wire
from appliance.gateway.traces.record import Invocation

if TYPE_CHECKING:
    from appliance.gateway.edge.call import Call

#: Answers of known length and JSON up to this size are given whole, larger ones as they come.
WHOLE_BYTES: Final = 1024 * 1024
#: Of the end of a stream that is kept to see how it ended.
TAIL_BYTES: Final = 16 * 1024
#: What a server says to us is not for the client: it knows no credentials of the server's, and is not sent elsewhere.
_NOT_FOR_CLIENTS: Final = frozenset({401, 403, 407, *range(300, 400)})
_BODYLESS: Final = frozenset({204, 304})
_UNBUFFERED: Final = b"X-Accel-Buffering: no\r\n"
_CONTRADICTION: Final = str(wire.UNSUPPORTED_VERSION).encode()


class Answering:
    """What the client is told about one call."""

    __slots__ = (
        "_call",
        "_head",
        "_is_streaming",
        "_kept",
        "_parts",
        "_signer",
        "_size",
        "_tail",
    )

    def __init__(self, call: "Call") -> None:
        """Tell nothing yet."""
        self._call = call
        self._head: Head | None = None
        self._is_streaming = False
        #: Of an answer that is put together before it is given.
        self._parts: list[bytes] = []
        self._size = 0
        self._kept = b""
        self._tail = b""
        self._signer: StreamSigner | None = None

    # -- answers of the server

    def whole(self, head: Head, body: bytes) -> None:
        """Give all of it."""
        call = self._call
        self._head = head
        if head.status >= HTTPStatus.MULTIPLE_CHOICES and self._is_unfit(head, body):
            return
        if call.plan.route.allowed_tools is not None or call.is_direct:
            body = self._shown_body(head, body)
        lines = call.plan.desk.shown(head) + self._lines(head)
        if head.status not in _BODYLESS:
            lines += b"Content-Length: %d\r\n" % len(body)
        call.over()
        call.client.answer(lines, body)
        self.record(head.status, None, body)

    def begin(self, head: Head) -> None:
        """Stream what is a stream or large; put the rest together first."""
        self._head = head
        if head.status >= HTTPStatus.MULTIPLE_CHOICES and self._is_unfit(head, b""):
            return
        is_stream = head.content_type == http.EVENT_STREAM
        is_large = (head.content_length or 0) > WHOLE_BYTES
        if (is_stream or is_large) and not self._call.lists_tools:
            self._start(head, is_stream=is_stream)

    def piece(self, data: bytes) -> None:
        """Pass on a piece, or keep it for the whole."""
        if self._is_streaming:
            self._send(data)
            return
        self._parts.append(data)
        self._size += len(data)
        call = self._call
        if call.lists_tools:
            if self._size > call.plan.desk.config.max_body_bytes:
                call.fail(OverlongAnswerError("The list of tools is too long."))
        elif self._size > WHOLE_BYTES and self._head is not None:
            data, self._parts, self._size = b"".join(self._parts), [], 0
            self._start(self._head, is_stream=False)
            self._send(data)

    def finish(self) -> None:
        """The server's answer is complete."""
        if not self._is_streaming:
            assert self._head is not None  # noqa: S101 - the end comes after the beginning
            self.whole(self._head, b"".join(self._parts))
            return
        if self._signer is not None:
            self._pass(self._signer.finish())
        self._finish(None)

    # -- answers of our own

    def end_with(
        self, status: int, body: bytes, error_class: str, lines: bytes
    ) -> None:
        """Tell the client what went wrong: as an answer, or as the last event of a stream that is open already."""
        call = self._call
        if not self._is_streaming:
            shown = [("Content-Type", http.JSON)]
            if status == HTTPStatus.METHOD_NOT_ALLOWED:
                shown.append(("Allow", "POST"))
            call.over()
            call.client.answer(heads.head(status, shown, len(body)) + lines, body)
            self.record(status, error_class, body)
        elif self._head is not None and self._head.content_type != http.EVENT_STREAM:
            call.over()
            call.client.abort()  # half an answer must not pass for a whole one
            self.record(self._head.status, error_class, self._kept)
        else:
            if call.has_id:
                self._pass(wire.sse_event(body))
            self._finish(error_class)

    def end_in_order(self) -> None:
        """End a stream, whose client opens another one."""
        if self._is_streaming:
            self._finish(None)
            return
        text = "This part of the gateway is about to restart; try again."
        body = wire.error_body(bytes(self._call.message.id), wire.UNAVAILABLE, text)
        self.end_with(503, body, "restarting", b"Retry-After: 1\r\n")

    def record(self, status: int, error_class: str | None, body: bytes) -> None:
        """Write down how it ended; ``None``: the answer tells."""
        call = self._call
        plan, message = call.plan, call.message
        route, config_bytes = plan.route, plan.kept_bytes
        found, rpc_code = outcomes.of(status, self._tail or body)
        meta = message.meta
        trace = plan.traceparent or ((meta and meta.traceparent) or "")
        call.over()
        plan.desk.over(
            Invocation(
                call.started_at,
                time.monotonic() - call.began,
                self._server_id(),
                route.bundle_id,
                route.deployment_id or 0,
                plan.principal,
                message.method or plan.head.method,
                message.target,
                status,
                found if error_class is None else error_class,
                rpc_code,
                len(call.body or b""),
                self._size or len(body),
                trace,
                (call.body or b"")[:config_bytes],
                (self._kept or body)[:config_bytes],
            )
        )

    # -- parts

    def _start(self, head: Head, *, is_stream: bool) -> None:
        call = self._call
        lines = call.plan.desk.shown(head) + self._lines(head)
        if is_stream:
            lines += _UNBUFFERED
            if call.is_direct:
                self._signer = StreamSigner(
                    self._sign, call.plan.desk.config.max_body_bytes
                )
        length = head.content_length
        if length is not None and not is_stream:
            lines += b"Content-Length: %d\r\n" % length
        self._is_streaming = True
        call.client.start(lines, is_bounded=length is not None and not is_stream)

    def _send(self, data: bytes) -> None:
        try:
            self._pass(data if self._signer is None else self._signer.feed(data))
        except ConnectionError as error:
            self._call.fail(OverlongAnswerError(f"The server's {error}."))

    def _pass(self, data: bytes) -> None:
        if not data:
            return
        self._size += len(data)
        kept = self._call.plan.kept_bytes
        if len(self._kept) < kept:
            self._kept += data[: kept - len(self._kept)]
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        self._call.client.send(data)

    def _finish(self, error_class: str | None) -> None:
        call = self._call
        call.over()
        call.client.finish()
        status = 200 if self._head is None else self._head.status
        self.record(status, error_class, b"")

    def _is_unfit(self, head: Head, body: bytes) -> bool:
        """Deal with what clients do not get to see."""
        call = self._call
        if head.status in _NOT_FOR_CLIENTS:
            name = call.plan.route.name
            call.fail(
                ConnectionLostError(f"The server behind {name} answered {head.status}.")
            )
            return True
        if not call.is_direct:
            return False
        if head.status == HTTPStatus.BAD_REQUEST and _CONTRADICTION in body:
            call.plan.desk.eras.forget(call.plan.route)
        session = call.plan.session
        is_forgotten = head.status == HTTPStatus.NOT_FOUND and session.upstream_id
        if is_forgotten and session.packed and not call.is_revived:
            if call.plan.head.method == "DELETE":
                return False
            call.hang_up()
            call.revive(unpack(session.packed))
            return True
        return False

    def _shown_body(self, head: Head, body: bytes) -> bytes:
        call = self._call
        if call.lists_tools and head.status == HTTPStatus.OK:
            is_stream = head.content_type == http.EVENT_STREAM
            allowed = call.plan.route.allowed_tools or frozenset()
            return allowlist.filtered(body, allowed, is_stream=is_stream)
        if not (call.is_direct and is_marked(body)):
            return body
        if head.content_type == http.EVENT_STREAM:
            signer = StreamSigner(self._sign, len(body) + 1)
            return signer.feed(body) + signer.finish()
        return self._sign(body)

    def _sign(self, body: bytes) -> bytes:
        call = self._call
        owner, purpose = call.plan.owner, admittance.purpose(call)
        return call.plan.desk.binder.sign_message(body, owner, purpose)

    def _lines(self, head: Head) -> bytes:
        """Return what only this client gets to see."""
        call = self._call
        session_id = head.get("mcp-session-id")
        if session_id is None:
            return call.plan.extra
        packed = call.plan.session.packed
        if call.message.method == "initialize" and call.body:
            packed = pack(reading.said_at_opening(call.body))
        wrapped = call.plan.wrap(session_id, packed)
        return call.plan.extra + f"{http.SESSION_HEADER}: {wrapped}\r\n".encode()

    def _server_id(self) -> int:
        """Return whose answer it is: in a bundle, the bridge says which member's."""
        route = self._call.plan.route
        if not route.bundle_id or self._head is None:
            return route.server_id
        named = self._head.get(http.SERVER_HEADER.lower()) or ""
        return int(named) if named.isdigit() else route.server_id
