"""Where a server that speaks HTTP takes requests, and its answers as messages."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
from multidict import CIMultiDict

from appliance.core.errors import DomainError, UnavailableError
from appliance.gateway.bridge.peers.events import Event, EventReader
from appliance.gateway.errors import (
    ConnectionLostError,
    NotRunningError,
    OverlongAnswerError,
    not_for_clients,
)
from appliance.gateway.http import messages as http
from appliance.gateway.http.client import NotConnectedError
from appliance.gateway.http.upstream import UpstreamAnswer, Upstreams
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import Route

#: The gateway has no credentials for servers, and is not sent elsewhere.
_NOT_FOR_US = {401, 403, 407, *range(300, 400)}


class Door:
    """One server's address.

    Args:
        limit: Bytes that one message may have.
    """

    def __init__(self, upstreams: Upstreams, route: Route, limit: int) -> None:
        """Ask nothing yet."""
        self._upstreams = upstreams
        self.route = route
        self.limit = limit

    def at(self, path: str) -> "Door":
        """Return another door of the same server."""
        address = urlsplit(self.route.address)._replace(path=path, query="").geturl()
        route = replace(self.route, address=address)
        return Door(self._upstreams, route, self.limit)

    async def ask(
        self,
        method: str,
        headers: Iterable[tuple[str, str]],
        body: bytes = b"",
        *,
        address: str | None = None,
    ) -> UpstreamAnswer:
        """Send a request, to another ``address`` of the same server if one is given; its answer may still be arriving.

        Raises:
            NotRunningError: Nothing was sent.
            ConnectionLostError: The connection broke.
            UnavailableError: The address may not be called.
        """
        route = self.route if address is None else replace(self.route, address=address)
        try:
            return await self._upstreams.request(
                route, method, CIMultiDict(headers), body
            )
        except OSError as error:
            raise self._failure(error) from error

    async def body(self, answer: UpstreamAnswer) -> bytes:
        """Return a whole body.

        Raises:
            OverlongAnswerError: It is longer than a message may be.
            ConnectionLostError: It broke off.
        """
        parts, size = [], 0
        async for piece in self._pieces(answer):
            size += len(piece)
            if size > self.limit:
                raise OverlongAnswerError(
                    f"The server's answer is longer than {self.limit} bytes."
                )
            parts.append(piece)
        return b"".join(parts)

    async def events(
        self, answer: UpstreamAnswer, reader: EventReader
    ) -> AsyncIterator[Event]:
        """Yield the events of a stream as they come.

        Raises:
            OverlongAnswerError: One is longer than a message may be.
            ConnectionLostError: The stream broke off.
        """
        async for piece in self._pieces(answer):
            for event in reader.feed(piece):
                yield event

    def refusal(self, answer: UpstreamAnswer) -> DomainError:
        """Return what to tell a client of an answer that is no message."""
        return not_for_clients(
            self.route.name,
            answer.head.status,
            is_remote=not self.route.container_id,
            challenge=answer.head.get("www-authenticate") or "",
        )

    def check(self, answer: UpstreamAnswer) -> None:
        """Raise ``ConnectionLostError`` if the answer asks for credentials or leads elsewhere."""
        if answer.head.status in _NOT_FOR_US:
            raise self.refusal(answer)

    async def _pieces(self, answer: UpstreamAnswer) -> AsyncIterator[bytes]:
        try:
            async for piece in answer.pieces():
                yield piece
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> DomainError:
        if isinstance(error, NotConnectedError):
            return NotRunningError(
                f"{self.route.name} runs, but does not accept connections: {error}."
            )
        if isinstance(error, PermissionError):
            return UnavailableError(f"The server's address may not be called: {error}.")
        return ConnectionLostError(
            "The connection to the server broke; whether the call was done is not known."
        )


def is_stream(answer: UpstreamAnswer) -> bool:
    """Whether ``answer`` is a stream of events."""
    head = answer.head
    return head.status == HTTPStatus.OK and head.content_type == http.EVENT_STREAM


def messages_in(body: bytes) -> list[Envelope]:
    """Return the messages in a JSON body; a server of 2025-03-26 may send several at once.

    Raises:
        WireError: There is something else in it.
    """
    if body.lstrip()[:1] != b"[":
        return [wire.decode_line(body)]
    try:
        parts = msgspec.json.decode(body, type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise wire.WireError(wire.PARSE_ERROR, str(error)) from error
    return [wire.decode_line(bytes(part)) for part in parts]
