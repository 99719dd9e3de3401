"""Take a server's answer in, and give it to the client whole or as it comes: the side of a call that faces its server."""

from abc import ABC, abstractmethod
from http import HTTPStatus
from typing import Final

from appliance.gateway.edge import admittance, allowlist, reading
from appliance.gateway.edge.desk import BODYLESS
from appliance.gateway.edge.sessions import pack, unpack
from appliance.gateway.edge.states import StreamSigner, is_marked
from appliance.gateway.edge.telling import Telling
from appliance.gateway.errors import OverlongAnswerError, not_for_clients
from appliance.gateway.http import messages as http
from appliance.gateway.http.responses import Head
from appliance.gateway.protocol import wire
from appliance.gateway.screen import Screen

#: Answers of known length and JSON up to this size are given whole, larger ones as they come.
WHOLE_BYTES: Final = 1024 * 1024
#: What a server says to us is not for the client: it knows no credentials of the server's, and is not sent elsewhere.
_NOT_FOR_CLIENTS: Final = frozenset({401, 403, 407, *range(300, 400)})
_UNBUFFERED: Final = b"X-Accel-Buffering: no\r\n"
_CONTRADICTION: Final = str(wire.UNSUPPORTED_VERSION).encode()
_GOOD: Final = 300


class Answering(Telling, ABC):
    """One call, as its server sees it. A ``Receiver``."""

    is_revived = False
    #: Signs what a stream hands out.
    signer: StreamSigner | None = None
    #: Of an answer that is put together before it is given.
    parts: list[bytes] | None = None

    def whole(self, head: Head, body: bytes) -> None:
        """Give all of it."""
        self.upstream = None
        self.head = head
        if head.status >= _GOOD and self._is_unfit(head, body):
            return
        shown = self.plan.desk.shown(head)
        given = body
        is_bound = self.is_direct and is_marked(body)
        if is_bound or self.plan.listing is not None:
            given = self._shown_body(head, body)
        if shown.length == len(given) and not shown.has_session:
            lines = shown.whole_lines
        else:
            lines = shown.lines + self._session_line(head)
            if head.status not in BODYLESS:
                lines += b"Content-Length: %d\r\n" % len(given)
        self.over()
        extra = self.plan.extra
        self.client.answer(lines + extra if extra else lines, given)
        self.record(head.status, None, given)

    def started(self, head: Head) -> None:
        """Stream what is a stream or large; put the rest together first."""
        self.head = head
        if head.status >= _GOOD and self._is_unfit(head, b""):
            return
        is_stream = head.content_type == http.EVENT_STREAM
        is_large = (head.content_length or 0) > WHOLE_BYTES
        if (is_stream or is_large) and not self.lists_tools:
            self._start(head, is_stream=is_stream)
        else:
            self.parts = []

    def piece(self, data: bytes) -> None:
        """Pass on a piece, or keep it for the whole."""
        if self.is_over or self.head is None:
            return
        if self.parts is None:
            self._pass(data)
            return
        self.parts.append(data)
        self.size += len(data)
        if self.lists_tools:
            if self.size > self.plan.desk.config.max_body_bytes:
                self.fail(OverlongAnswerError("The list of tools is too long."))
        elif self.size > WHOLE_BYTES:
            data, self.parts, self.size = b"".join(self.parts), None, 0
            self._start(self.head, is_stream=False)
            self._pass(data)

    def finished(self) -> None:
        """The server's answer is complete."""
        self.upstream = None
        if self.is_over or self.head is None:
            return
        if self.parts is not None:
            self.size = 0
            self.whole(self.head, b"".join(self.parts))
            return
        if self.signer is not None:
            self.tell(self.signer.finish())
        self.end(None)

    @abstractmethod
    def revive(self, client: str) -> None:
        """Have the session that the server forgot opened anew, and send the request again."""

    def _start(self, head: Head, *, is_stream: bool) -> None:
        shown = self.plan.desk.shown(head)
        lines = shown.lines + self.plan.extra + self._session_line(head)
        if is_stream:
            lines += _UNBUFFERED
            if self.is_direct or self.plan.place.door == "sse":
                limit = self.plan.desk.config.max_body_bytes
                self.signer = StreamSigner(self._event, limit, self._concerns)
        self.start(lines, length=None if is_stream else head.content_length)

    def _pass(self, data: bytes) -> None:
        try:
            self.tell(data if self.signer is None else self.signer.feed(data))
        except ConnectionError as error:
            self.fail(OverlongAnswerError(f"The server sent too much: {error}."))

    def _is_unfit(self, head: Head, body: bytes) -> bool:
        """Deal with what clients do not get to see."""
        if head.status in _NOT_FOR_CLIENTS:
            route = self.plan.route
            challenge = head.get("www-authenticate") or ""
            is_remote = not (route.container_id or route.bundle_id)
            self.fail(
                not_for_clients(
                    route.name, head.status, is_remote=is_remote, challenge=challenge
                )
            )
            return True
        if not self.is_direct:
            return False
        if head.status == HTTPStatus.BAD_REQUEST and _CONTRADICTION in body:
            self.plan.desk.eras.forget(self.plan.route)
        session = self.plan.session
        # Some servers answer 400 where 404 is due, and name the session.
        is_unknown = head.status == HTTPStatus.NOT_FOUND or (
            head.status == HTTPStatus.BAD_REQUEST and b"session" in body.lower()
        )
        is_forgotten = is_unknown and session.packed and session.upstream_id
        if not is_forgotten or self.is_revived or self.plan.head.method == "DELETE":
            return False
        self.hang_up()
        self.revive(unpack(session.packed))
        return True

    def _shown_body(self, head: Head, body: bytes) -> bytes:
        """Return what the client gets to see of an answer."""
        is_stream = head.content_type == http.EVENT_STREAM
        listing = self.plan.listing
        if listing is not None and self.lists_tools and head.status < _GOOD:
            return self._listed(listing, body, is_stream=is_stream)
        if is_stream:
            signer = StreamSigner(self._event, len(body) + 1, self._concerns)
            return signer.feed(body) + signer.finish()
        return self._sign(body) if self.is_direct and is_marked(body) else body

    def _listed(self, screen: Screen, body: bytes, *, is_stream: bool) -> bytes:
        """Return a list with the tools that the client gets; the hub is told of those that it has not heard of."""
        sieve = allowlist.Filter(screen)
        shown = sieve.answer(body, is_stream=is_stream)
        if sieve.unknown:
            self.plan.desk.held_back(self.plan.route, sieve.unknown)
        return shown

    def _concerns(self, events: bytes) -> bool:
        """Whether events of a stream must be looked into. A list may come on any of them: as what was missed, or unasked."""
        if self.is_direct and is_marked(events):
            return True
        return allowlist.may_list(events) and self.plan.listing_now() is not None

    def _event(self, body: bytes) -> bytes:
        """Return one message of a stream as the client sees it."""
        if self.is_direct:
            body = self._sign(body)
        screen = self.plan.listing_now() if allowlist.may_list(body) else None
        return body if screen is None else self._listed(screen, body, is_stream=False)

    def _sign(self, body: bytes) -> bytes:
        owner, purpose = self.plan.owner, admittance.purpose(self)
        return self.plan.desk.binder.sign_message(body, owner, purpose)

    def _session_line(self, head: Head) -> bytes:
        """Return the session id, if there is one, as only this client may use it."""
        session_id = head.get("mcp-session-id")
        if session_id is None:
            return b""
        packed = self.plan.session.packed
        if self.message.method == "initialize" and self.body:
            packed = pack(reading.said_at_opening(self.body))
        wrapped = self.plan.wrap(session_id, packed)
        return f"{http.SESSION_HEADER}: {wrapped}\r\n".encode()
