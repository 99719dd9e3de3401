"""The gateway's HTTP/1.1 server: reads requests on kept connections and has each answered before the next.

Built for calls that are answered by callbacks: a request whose head was seen before costs a look into a dictionary.
Whatever can be slow or endless is bounded: heads, bodies, requests that wait, clients that send or read slowly, idle
connections.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from appliance.gateway.http import heads
from appliance.gateway.http.heads import Clock
from appliance.gateway.http.outbox import Outbox
from appliance.gateway.http.requests import (
    HEAD_LIMIT,
    ChunkReader,
    RequestError,
    RequestHead,
    parse_head,
)

#: Bytes of further requests that may wait until one is answered.
PIPELINED_BYTES: Final = 256 * 1024
#: Heads that are remembered, and how long one of them may be.
HEADS_KEPT: Final = 1024
HEAD_KEPT_BYTES: Final = 4096
#: Seconds for a request to arrive whole, for its last bytes to follow an answer given early, and for a last answer to leave.
READ_WITHIN_S: Final = 30.0
LINGER_S: Final = 2.0
FLUSH_WITHIN_S: Final = 30.0
_END: Final = b"\r\n\r\n"
#: How a proxy of ours tells a request's own id: right behind the request line, 32 letters and digits.
_TAG: Final = b"\r\nX-Request-ID: "
_TAG_END: Final = len(_TAG) + 32


class Exchange(Protocol):
    """What is done about one request, until it calls ``Connection.answer`` or ``finish``."""

    def client_lost(self) -> None:
        """The client went away: nobody reads the answer."""
        ...

    def pause(self) -> None:
        """The client reads more slowly than it is written to."""
        ...

    def resume(self) -> None:
        """It has caught up."""
        ...

    def check(self, now: float) -> None:
        """Look whether there is still time; called a few times a second."""
        ...


class Plan(Protocol):
    """What is to be done about requests with one head."""

    @property
    def is_kept(self) -> bool:
        """Whether it holds for later requests with the same head."""
        ...

    @property
    def body_limit(self) -> int:
        """Bytes that the body may have."""
        ...

    def begin(self, connection: "Connection", body: bytes | None) -> None:
        """Do it; ``None``: the body is larger than the limit. Sets ``connection.exchange`` unless it is done at once."""
        ...


class Known:
    """A head that was read and planned for."""

    __slots__ = ("head", "is_current", "is_usual", "length", "plan", "size", "text")

    def __init__(self, text: bytes, head: RequestHead, plan: Plan) -> None:
        """Keep them."""
        #: With the empty line at its end.
        self.text = text + _END
        self.head = head
        self.plan = plan
        length = head.content_length
        #: Of the body; -1: chunks, or more than may come.
        self.length = -1 if length is None or length > plan.body_limit else length
        #: Of the whole request; -1: not known.
        self.size = len(self.text) + self.length if self.length >= 0 else -1
        #: Whether the plan still holds.
        self.is_current = True
        #: Whether an answer needs no more than to be written.
        self.is_usual = head.keeps_alive and head.method != "HEAD"


class KnownHeads(dict[bytes, Known]):
    """Heads by their bytes."""

    def forget(self) -> None:
        """Have every head planned for anew, those too that connections hold on to."""
        for known in self.values():
            known.is_current = False
        self.clear()

    def forget_named(self, part: bytes) -> None:
        """Have every head planned for anew that has ``part`` in it, in lower case; few are asked for so."""
        for text in [text for text in self if part in text.lower()]:
            self.pop(text).is_current = False


class Site(Protocol):
    """What is served."""

    def plan(self, head: RequestHead, connection: "Connection") -> Plan:
        """Return what to do about a request, before its body is read."""
        ...

    def known(self, connection: "Connection") -> KnownHeads:
        """Return where the heads of this connection's requests are remembered."""
        ...


class Connection(asyncio.Protocol):
    """One client.

    Args:
        site: Answers its requests.
        clock: Tells the time roughly, and whether this is the last answer.
        outbox: Takes answers that are no more than written.
        connections: Those that are open.
    """

    def __init__(
        self,
        site: Site,
        clock: Clock,
        outbox: Outbox,
        connections: "set[Connection]",
    ) -> None:
        """Expect a request."""
        self._site = site
        self._clock = clock
        self._outbox = outbox
        self._connections = connections
        self._known = KnownHeads()
        #: Of the last request: clients send the same again and again.
        self._last: Known | None = None
        self.transport: asyncio.Transport | None = None
        self.exchange: Exchange | None = None
        self.head: RequestHead | None = None
        self.is_busy = False
        #: Whether a proxy of ours may be at the other end, which tells each request's id; and the last one that it told.
        self.is_tagged = False
        self.request_id = b""
        self._buffer = b""
        #: Pieces of a request whose length is known, and how many bytes there will be.
        self._parts: list[bytes] = []
        self._have = 0
        self._awaited = 0
        self._chunks: ChunkReader | None = None
        self._is_advancing = False
        #: Whether a request is read that came in pieces, or none is read any more.
        self._is_reading = False
        self._is_closing = False
        self._has_unread = False
        self._is_usual = False
        self._is_unbounded = False
        self._is_chunking = False
        #: Since when it is idle, reads a request, or closes.
        self.since = clock.now
        self._reads_since = 0.0

    # -- events of the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self._known = self._site.known(self)
        self._connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """End."""
        self.transport = None
        self._is_closing = self._is_reading = True
        self._connections.discard(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_lost()

    def eof_received(self) -> None:
        """A client that sends no more has left, as Nginx takes it too: what it waits for ends now."""
        self._outbox.flush()
        self._is_closing = self._is_reading = True
        self.since = self._clock.now
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_lost()

    def pause_writing(self) -> None:
        """Too much waits to be sent."""
        if self.exchange is not None:
            self.exchange.pause()

    def resume_writing(self) -> None:
        """It was sent."""
        if self.exchange is not None:
            self.exchange.resume()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if not (self.is_busy or self._buffer or self._is_reading):
            if self.is_tagged:
                self.request_id = b""
                data = self._untag(data)
            # Most of what comes is one whole request, by a head that was seen before.
            known = self._last
            if not (known and known.is_current and data.startswith(known.text)):
                known = self._last = self._known.get(data[: data.find(_END)])
            if known and len(data) == known.size:
                self.is_busy = True
                self.head = known.head
                self._is_usual = known.is_usual
                known.plan.begin(self, data[len(known.text) :])
                return
        self._take_in(data)

    # -- reading

    def _untag(self, data: bytes) -> bytes:
        """Take the id out of a request's head: with it, no head would ever come again, and each would be read anew."""
        at = data.find(b"\r\n")
        tag = data[at : at + _TAG_END]
        told = tag[len(_TAG) :]
        if not (tag.startswith(_TAG) and len(tag) == _TAG_END and told.isalnum()):
            return data
        rest = data[at + _TAG_END :]
        if rest[:2] != b"\r\n":
            return data
        self.request_id = told
        return data[:at] + rest

    def _take_in(self, data: bytes) -> None:
        """Read on where reading ended."""
        if self._is_closing:
            return
        if self._awaited:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._awaited:
                return
            data = b"".join(self._parts)
            self._parts.clear()
            self._awaited = 0
            self._is_reading = False
        elif self._buffer:
            data = self._buffer + data
        if self.is_busy:
            self._buffer = data
            if len(data) > PIPELINED_BYTES and self.transport is not None:
                self.transport.pause_reading()
        else:
            self._advance(data)

    def _advance(self, data: bytes) -> None:
        """Begin with the requests that are there, one after the other."""
        self._is_advancing = True
        try:
            while data and not (self.is_busy or self._is_closing):
                rest = self._read(data)
                if rest is None:
                    return
                data = rest
            self._buffer = data
        except RequestError as error:
            self.refuse(error.status, error.reason)
        finally:
            self._is_advancing = False

    def _read(self, data: bytes) -> bytes | None:
        """Begin with the first request in ``data`` and return what follows; ``None``: it is not complete yet.

        Raises:
            RequestError: It is not a request.
        """
        if self._chunks is not None:
            return self._read_chunks(data)
        end = data.find(_END)
        if end < 0 or end > HEAD_LIMIT:
            if len(data) > HEAD_LIMIT:
                raise RequestError("The head is too long.", 431)
            self._wait(data)
            return None
        if self.is_tagged:
            data = self._untag(data)
            end = data.find(_END)
        text = data[:end]
        known = self._known.get(text) or self._learn(text)
        head = known.head
        if known.length < 0:
            return self._read_unusual(known, data[end + 4 :])
        total = end + 4 + known.length
        if len(data) < total:
            if head.expects_continue and len(data) == end + 4:
                self.inform(heads.CONTINUE)
            self._awaited, self._have = total, len(data)
            self._parts.append(data)
            self._wait(b"")
            return None
        self._begin(known, data[end + 4 : total])
        return data[total:]

    def _learn(self, text: bytes) -> Known:
        head = parse_head(text)
        known = Known(text, head, self._site.plan(head, self))
        if known.plan.is_kept and len(text) <= HEAD_KEPT_BYTES:
            if len(self._known) >= HEADS_KEPT:
                self._known.forget()
            self._known[text] = known
        return known

    def _read_unusual(self, known: Known, data: bytes) -> bytes | None:
        """Read a body in chunks, or refuse to read one that is too large."""
        if known.head.content_length is not None:
            self._has_unread = True
            self._begin(known, None)
            return b""
        self.head = known.head
        self._chunks = ChunkReader(known.plan.body_limit)
        self._pending = known
        if known.head.expects_continue and not data:
            self.inform(heads.CONTINUE)
        return self._read_chunks(data)

    def _read_chunks(self, data: bytes) -> bytes | None:
        chunks = self._chunks
        assert chunks is not None  # noqa: S101 - whoever calls has looked
        rest = chunks.feed(data)
        if not (chunks.is_done or chunks.is_too_large):
            self._wait(rest)
            return None
        self._chunks = None
        self._has_unread = chunks.is_too_large
        self._begin(self._pending, None if chunks.is_too_large else chunks.body())
        return b"" if chunks.is_too_large else rest

    def _wait(self, data: bytes) -> None:
        self._buffer = data
        self._is_reading = True
        if not self._reads_since:
            self._reads_since = self._clock.now

    def _begin(self, known: Known, body: bytes | None) -> None:
        self._reads_since = 0.0
        self._is_reading = False
        self.is_busy = True
        self.head = known.head
        self._is_usual = known.is_usual
        known.plan.begin(self, body)

    # -- answering

    @property
    def is_last(self) -> bool:
        """Whether the connection is closed after this answer."""
        return (
            self._clock.is_ending
            or self._has_unread
            or self._is_unbounded
            or self.head is None
            or not self.head.keeps_alive
        )

    def answer(self, head: bytes, body: bytes) -> None:
        """Give the whole answer.

        Args:
            head: Status line and header lines, each with its line break.
            body: As long as ``head`` says.
        """
        clock = self._clock
        if self.transport is None:
            self.exchange = None
            return
        if self._is_usual and not (clock.is_ending or self._has_unread):
            self._outbox.put(self, head + clock.lines + body)
            self.exchange = None
            self.is_busy = False
            self.since = clock.now
            if self._buffer:
                self._done(is_last=False)
            return
        is_last = self.is_last
        end = clock.last_lines if is_last else clock.lines
        if self.head is not None and self.head.method == "HEAD":
            body = b""
        self._write(head + end + body)
        self._done(is_last=is_last)

    def start(self, head: bytes, *, is_bounded: bool) -> None:
        """Begin an answer whose body follows by ``send``.

        Args:
            head: As for ``answer``.
            is_bounded: Whether it says how long the body is.
        """
        if self.transport is None:
            return
        knows_chunks = self.head is not None and self.head.is_http_1_1
        self._is_chunking = not is_bounded and knows_chunks
        #: The end of the connection is the end of the body.
        self._is_unbounded = not (is_bounded or knows_chunks)
        end = self._clock.last_lines if self.is_last else self._clock.lines
        self._write(head + (heads.CHUNKED + end if self._is_chunking else end))

    def send(self, piece: bytes) -> None:
        """Send a piece of the body."""
        if self.transport is not None and piece:
            if self._is_chunking:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            self._write(piece)

    def finish(self) -> None:
        """The body is complete."""
        if self.transport is None:
            self.exchange = None
            return
        if self._is_chunking:
            self._write(heads.LAST_CHUNK)
            self._is_chunking = False
        self._done(is_last=self.is_last)

    def inform(self, informational: bytes) -> None:
        """Send an informational response, to who understands it."""
        self._write(informational)

    def abort(self) -> None:
        """Hang up at once; half an answer must not pass for a whole one."""
        if self.transport is not None:
            self.transport.abort()

    def refuse(self, status: int, reason: str) -> None:
        """Answer what is no request, and hang up."""
        self.head = None
        self._is_usual = False
        body = reason.encode() + b"\n"
        self._has_unread = True
        self.answer(heads.text_head(status, len(body)), body)

    def _write(self, data: bytes) -> None:
        self._outbox.flush()  # perhaps of an answer to the same client
        if self.transport is not None:
            self.transport.write(data)

    def _done(self, *, is_last: bool) -> None:
        self.exchange = None
        self.is_busy = False
        self.since = self._clock.now
        if is_last:
            self.close()
        elif self._buffer and not self._is_advancing:
            data, self._buffer = self._buffer, b""
            if self.transport is not None:
                self.transport.resume_reading()
            self._advance(data)

    def close(self) -> None:
        """Close when everything was sent; what a client still sends is read for a while, lest it miss its answer."""
        self._is_closing = self._is_reading = True
        self.since = self._clock.now
        self._buffer = b""
        self._outbox.flush()
        if self.transport is None:
            return
        if self._has_unread and self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    # -- time

    def check(self, now: float, keepalive_s: float) -> None:
        """Look whether something takes too long."""
        if self._is_closing:
            if now - self.since > (LINGER_S if self._has_unread else FLUSH_WITHIN_S):
                self.abort()
        elif self.exchange is not None:
            self.exchange.check(now)
        elif self._reads_since:
            if now - self._reads_since > READ_WITHIN_S:
                self.refuse(408, "The request did not arrive in time.")
        elif not self.is_busy and now - self.since > keepalive_s:
            self.close()


def connection_factory(
    site: Site, clock: Clock, outbox: Outbox, connections: set[Connection]
) -> Callable[[], Connection]:
    """Return what makes a connection for each client."""
    return lambda: Connection(site, clock, outbox, connections)
