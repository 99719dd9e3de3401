"""A session at a server of HTTP+SSE, the transport of revision 2024-11-05.

The server says everything on one stream, and first of all where it takes requests.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from msgspec import UNSET

from appliance.core.errors import DomainError
from appliance.gateway.bridge.calls import Call
from appliance.gateway.bridge.peers.door import Door, is_stream, messages_in
from appliance.gateway.bridge.peers.events import EventReader
from appliance.gateway.bridge.peers.hello import Hello, opened_by
from appliance.gateway.bridge.peers.session import Session
from appliance.gateway.bridge.traffic import OURSELVES
from appliance.gateway.errors import ConnectionLostError, HandshakeError
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

_SUCCESS = range(200, 300)


class SseSession(Session):
    """One stream, and the address that it named."""

    def __init__(self, door: Door, hello: Hello, open_within_s: float) -> None:
        """Open nothing yet."""
        super().__init__(door, hello, open_within_s)
        self._reading: asyncio.Task[None] | None = None
        self._endpoint: asyncio.Future[str] | None = None
        self._over: dict[Call, asyncio.Future[None]] = {}

    @property
    def is_open(self) -> bool:
        """Whether the stream is open."""
        return self._reading is not None and not self._reading.done()

    async def _open(self) -> Mapping[str, Any]:
        self._endpoint = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(self._endpoint))
        await self._endpoint
        answer = Envelope(result=UNSET)
        for revision in self._hello.revisions:
            answer = await self._said_hello(revision)
            if answer.error is UNSET:
                break
        opened = opened_by(answer)
        await self._post(Envelope(method="notifications/initialized"))
        self._in_background(self._restore())
        return opened

    async def _said_hello(self, revision: str) -> Envelope:
        call, request = self.conversation.flight.begin(
            self._hello.request(b"0", revision), OURSELVES
        )
        await self._carry(call, request)
        if call.answer is None:
            raise call.error or HandshakeError("The server refuses to be opened.")
        return call.answer

    async def _carry(self, call: Call, request: Envelope) -> None:
        over = self._over[call] = asyncio.get_running_loop().create_future()
        try:
            await self._post(request)
            await over
        finally:
            del self._over[call]

    async def _post(self, message: Envelope) -> None:
        if self._endpoint is None or not self.is_open:
            raise ConnectionLostError("The server ended the stream of its answers.")
        async with await self._door.ask(
            "POST",
            [("Accept", "*/*"), ("Content-Type", http.JSON)],
            wire.encode(message),
            address=await self._endpoint,
        ) as response:
            self._door.check(response)
            if response.head.status not in _SUCCESS:
                raise self._door.refusal(response)

    async def _read(self, endpoint: asyncio.Future[str]) -> None:
        """Hear everything that the server says, until it stops."""
        error: DomainError = ConnectionLostError(
            "The server ended the stream of its answers; whether the call was done is not known."
        )
        try:
            async with await self._door.ask(
                "GET", [("Accept", http.EVENT_STREAM)]
            ) as response:
                if not is_stream(response):
                    raise self._door.refusal(response)
                reader = EventReader(self._door.limit)
                async for event in self._door.events(response, reader):
                    self._hear(event.kind, event.data, endpoint)
        except DomainError as failure:
            error = failure
        finally:
            if not endpoint.done():
                endpoint.set_exception(error)
            self.conversation.flight.fail(error)
            for over in self._over.values():
                if not over.done():
                    over.set_exception(error)
            self._in_background(self._open_for_listeners())

    def _hear(self, kind: str, data: bytes, endpoint: asyncio.Future[str]) -> None:
        if kind == "endpoint" and not endpoint.done():
            named = data.decode(errors="replace")
            endpoint.set_result(endpoint_address(self._door.route.address, named))
            return
        with contextlib.suppress(wire.WireError):
            for message in messages_in(data):
                ended = self.conversation.receive(message)
                if ended in self._over and not self._over[ended].done():
                    self._over[ended].set_result(None)

    async def _leave(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading


def endpoint_address(address: str, named: str) -> str:
    """Return where requests go that a stream at ``address`` names: always the server itself, whatever host it names.

    Raises:
        HandshakeError: It names no address at all.
    """
    try:
        there = urlsplit(urljoin(address, named))
    except ValueError as error:
        raise HandshakeError(
            f"The server takes requests at no address: {error}."
        ) from error
    here = urlsplit(address)
    return urlunsplit((here.scheme, here.netloc, there.path, there.query, ""))
