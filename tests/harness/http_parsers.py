"""The gateway's reader of HTTP requests and aiohttp's two, fed the same bytes.

Ours in pieces of any size; theirs one by one, because they forget what they took when they refuse what came with it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import http_exceptions
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParserC, HttpRequestParserPy

from appliance.gateway.http.heads import Clock
from appliance.gateway.http.listener import Connection, KnownHeads
from appliance.gateway.http.outbox import Outbox
from appliance.gateway.http.requests import RequestHead

LIMIT = 1 << 24
BODY_LIMIT = 1 << 20


@dataclass(frozen=True)
class Message:
    """One request, as a reader understood it."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass
class Reading:
    """What a reader made of a stream."""

    messages: list[Message] = field(default_factory=list)
    #: Why the rest is refused; empty: it is not.
    refusal: str = ""


class _Transport:
    """A client that only listens."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def get_extra_info(self, _name: str) -> None:
        return None

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        pass

    resume_reading = pause_reading = abort = close


class _Site:
    """Notes every request and answers it at once."""

    is_kept = True
    body_limit = BODY_LIMIT

    def __init__(self) -> None:
        self.reading = Reading()
        self._head: RequestHead | None = None
        self._heads = KnownHeads()

    def plan(self, head: RequestHead, _connection: Connection) -> "_Plan":
        return _Plan(self.reading, head)

    def known(self, _connection: Connection) -> KnownHeads:
        return self._heads


class _Plan:
    is_kept = True
    body_limit = BODY_LIMIT

    def __init__(self, reading: Reading, head: RequestHead) -> None:
        self._reading = reading
        self._head = head

    def begin(self, connection: Connection, body: bytes | None) -> None:
        head = self._head
        if body is None:
            self._reading.refusal = "too large"
        else:
            query = f"?{head.query_string}" if head.query_string else ""
            message = Message(
                head.method, head.path + query, _pairs(head.headers.items()), body
            )
            self._reading.messages.append(message)
        connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", b"")


def tagged(pieces: Sequence[bytes]) -> tuple[Reading, list[bytes], int]:
    """Feed it what a proxy of ours sends; return also the id after each piece, and how many heads it had to learn."""
    site, transport = _Site(), _Transport()
    connection = Connection(site, Clock(), Outbox(), set())
    connection.connection_made(transport)  # type: ignore[arg-type] # as below
    connection.is_tagged = True
    ids = []
    for piece in pieces:
        connection.data_received(piece)
        ids.append(connection.request_id)
    return site.reading, ids, len(site.known(connection))


def ours(pieces: Sequence[bytes]) -> Reading:
    """Feed the gateway's listener, which answers each request before it reads the next."""
    site, transport = _Site(), _Transport()
    connection = Connection(site, Clock(), Outbox(), set())
    connection.connection_made(transport)  # type: ignore[arg-type] # all of a transport that is used
    for piece in pieces:
        connection.data_received(piece)
    last = transport.written.rpartition(b"HTTP/1.1 ")[2]
    if not last.startswith((b"200", b"100")) and last:
        site.reading.refusal = last.rpartition(b"\r\n\r\n")[2].decode().strip()
    elif b"Connection: close" in last:
        site.reading.refusal = site.reading.refusal or "closed"
    return site.reading


def c_parser(stream: bytes) -> Reading:
    """Feed aiohttp's parser in C."""
    return _aiohttp(HttpRequestParserC, stream)


def py_parser(stream: bytes) -> Reading:
    """Feed aiohttp's parser in Python."""
    return _aiohttp(HttpRequestParserPy, stream)


def _aiohttp(kind: Callable[..., Any], stream: bytes) -> Reading:
    loop = asyncio.new_event_loop()
    try:
        protocol = BaseProtocol(loop)
        protocol.transport = _Transport()  # type: ignore[assignment] # as above
        parser = kind(
            protocol,
            loop,
            LIMIT,
            max_line_size=LIMIT,
            max_field_size=LIMIT,
            max_headers=1 << 15,
            auto_decompress=False,
        )
        return _read(parser, stream)
    finally:
        loop.close()


def _read(parser: Any, stream: bytes) -> Reading:
    reading, begun = Reading(), []
    for place in range(len(stream)):
        try:
            messages, upgraded, _ = parser.feed_data(stream[place : place + 1])
        except (http_exceptions.HttpProcessingError, ValueError) as error:
            reading.refusal = type(error).__name__
            break
        begun += messages
        if upgraded:
            reading.refusal = "upgraded"
            break
    for raw, payload in begun:
        if payload.exception() is not None or not payload.is_eof():
            reading.refusal = reading.refusal or (
                "broken body" if payload.exception() is not None else ""
            )
            break
        headers = _pairs((str(key), value) for key, value in raw.headers.items())
        body = b"".join(getattr(payload, "_buffer", ()))
        reading.messages.append(Message(raw.method, raw.path, headers, body))
    return reading


def _pairs(headers: Any) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in headers)
