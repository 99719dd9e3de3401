"""A session at a server of streamable HTTP, revisions 2025-03-26 to 2025-11-25."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from msgspec import UNSET

from appliance.core.errors import DomainError
from appliance.gateway.bridge.calls import Call
from appliance.gateway.bridge.peers.door import Door, is_stream, messages_in
from appliance.gateway.bridge.peers.events import EventReader
from appliance.gateway.bridge.peers.flight import code_of
from appliance.gateway.bridge.peers.hello import Hello, opened_by
from appliance.gateway.bridge.peers.session import LONGEST_RETRY_S, RETRY_S, Session
from appliance.gateway.errors import ConnectionLostError, HandshakeError
from appliance.gateway.http import messages as http
from appliance.gateway.http.upstream import UpstreamAnswer
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

#: An answer's stream is taken up again so many times in a row without a new event.
RESUMES = 5
LEAVE_WITHIN_S = 2.0


@dataclass(frozen=True)
class _Opened:
    """What the server gave us."""

    #: Empty: it keeps no sessions.
    session_id: str
    revision: str

    def headers(self, accept: str) -> list[tuple[str, str]]:
        headers = [("Accept", accept), (http.VERSION_HEADER, self.revision)]
        if self.session_id:
            headers.append((http.SESSION_HEADER, self.session_id))
        return headers


class HttpSession(Session):
    """One session; re-opened when the server has forgotten it.

    Args:
        listens: Whether to hear what belongs to no call.
    """

    def __init__(
        self, door: Door, hello: Hello, open_within_s: float, *, listens: bool = True
    ) -> None:
        """Open nothing yet."""
        super().__init__(door, hello, open_within_s)
        self._listens = listens
        self._state: _Opened | None = None
        self._listening: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the server, as far as is known, has the session."""
        return self._state is not None

    @property
    def session_id(self) -> str:
        """The server's own id; empty: it keeps no sessions."""
        return self._state.session_id if self._state else ""

    async def _open(self) -> Mapping[str, Any]:
        answer, session_id = await self._say_hello()
        opened = opened_by(answer)
        self._state = _Opened(session_id, str(opened["protocolVersion"]))
        await self._post(Envelope(method="notifications/initialized"))
        # Not here: a request waits until the session is open.
        self._in_background(self._restore())
        if self._listening is not None:
            self._listening.cancel()
        if self._listens:
            self._listening = asyncio.create_task(self._listen(self._state))
        return opened

    async def _say_hello(self) -> tuple[Envelope, str]:
        """Return the server's answer to ``initialize``, and the id that it gave the session."""
        answer = Envelope(result=UNSET)
        for revision in self._hello.revisions:
            request = self._hello.request(self.conversation.flight.new_id(), revision)
            headers = [("Accept", _BOTH), ("Content-Type", http.JSON)]
            async with await self._door.ask(
                "POST", headers, wire.encode(request)
            ) as response:
                self._door.check(response)
                answer = await self._answer_to(request, response)
                session_id = response.head.get(http.SESSION_HEADER.lower()) or ""
            if answer.error is UNSET:
                return answer, session_id
            if code_of(answer) in _OF_ANOTHER_ERA:
                break
        return answer, ""

    async def _answer_to(self, request: Envelope, response: UpstreamAnswer) -> Envelope:
        said = b""
        if is_stream(response):
            reader = EventReader(self._door.limit)
            async for event in self._door.events(response, reader):
                for message in _readable(event.data):
                    if wire.id_of(message) == wire.id_of(request):
                        return message
        else:
            said = await self._door.body(response)
            for message in _readable(said):
                if message.method is UNSET:
                    return message
        raise HandshakeError(
            f"The server answered initialize with {response.head.status} and no result{_quoted(said)}."
        )

    async def _carry(self, call: Call, request: Envelope) -> None:
        """Send a request; once more in a new session if the server has forgotten the old one, and so has not run it.

        Some servers answer 400 where 404 is due, and name the session.
        """
        body = wire.encode(request)
        for is_last in (False, True):
            await self.opened()
            if (state := self._state) is None:
                continue
            async with await self._send(state, body) as response:
                self._door.check(response)
                if is_stream(response):
                    await self._read_events(call, state, response)
                    return
                said = await self._door.body(response)
                if is_last or not self._has_forgotten(state, response, said):
                    self._read_body(call, response, said)
                    return
        raise ConnectionLostError("The server forgets every session that it opens.")

    async def _send(self, state: _Opened, body: bytes) -> UpstreamAnswer:
        headers = [*state.headers(_BOTH), ("Content-Type", http.JSON)]
        return await self._door.ask("POST", headers, body)

    def _has_forgotten(
        self, state: _Opened, response: UpstreamAnswer, said: bytes
    ) -> bool:
        """Whether the server says that it has no such session; it is given up then."""
        status = response.head.status
        if not state.session_id or not (
            status == HTTPStatus.NOT_FOUND
            or (status == HTTPStatus.BAD_REQUEST and b"session" in said.lower())
        ):
            return False
        if self._state is state:
            self._state = None
        return True

    def _read_body(self, call: Call, response: UpstreamAnswer, said: bytes) -> None:
        for message in _readable(said):
            if code_of(message) == wire.UNSUPPORTED_VERSION:
                self.refused()
            if message.method is UNSET and response.head.status >= _ERRORS:
                call.finish(answer=message)  # some answer errors under no id
            self.conversation.receive(message, call)
        if not call.is_over:
            raise self._door.refusal(response)

    async def _read_events(
        self, call: Call, state: _Opened, response: UpstreamAnswer
    ) -> None:
        """Read an answer's stream to its end, and take it up again where it broke off if the server numbers its events."""
        reader = EventReader(self._door.limit)
        await self._read_stream(call, response, reader)
        resumes = 0
        while not call.is_over and reader.last_id and resumes < RESUMES:
            before = reader.last_id
            await asyncio.sleep(min((reader.retry_ms or 1000) / 1000, LONGEST_RETRY_S))
            await self._resume(call, state, reader)
            resumes = 0 if reader.last_id != before else resumes + 1
        if not call.is_over:
            raise ConnectionLostError("The server ended the stream without an answer.")

    async def _resume(self, call: Call, state: _Opened, reader: EventReader) -> None:
        """Take an answer's stream up again where it ended."""
        headers = [
            *state.headers(http.EVENT_STREAM),
            ("Last-Event-ID", reader.last_id),
        ]
        async with await self._door.ask("GET", headers) as response:
            if not is_stream(response):
                raise self._door.refusal(response)
            await self._read_stream(call, response, reader)

    async def _read_stream(
        self, call: Call, response: UpstreamAnswer, reader: EventReader
    ) -> None:
        reader.begin()
        try:
            async for event in self._door.events(response, reader):
                for message in _readable(event.data):
                    self.conversation.receive(message, call)
                if call.is_over:
                    return
        except ConnectionLostError:
            if not reader.last_id:
                raise

    async def _post(self, message: Envelope) -> None:
        state = self._state
        if state is None:
            return
        async with await self._send(state, wire.encode(message)) as response:
            self._has_forgotten(state, response, await self._door.body(response))

    async def _listen(self, state: _Opened) -> None:
        """Hear what belongs to no call, for as long as the session lasts."""
        wait_s = RETRY_S
        reader = EventReader(self._door.limit)
        while self._state is state:
            with contextlib.suppress(DomainError):
                headers = state.headers(http.EVENT_STREAM)
                if reader.last_id:
                    headers.append(("Last-Event-ID", reader.last_id))
                async with await self._door.ask("GET", headers) as response:
                    if not is_stream(response):
                        said = await self._door.body(response)
                        if self._has_forgotten(state, response, said):
                            break
                        return  # it offers none
                    reader.begin()
                    async for event in self._door.events(response, reader):
                        wait_s = RETRY_S
                        for message in _readable(event.data):
                            self.conversation.receive(message)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_RETRY_S)
        self._in_background(self._open_for_listeners())

    async def _leave(self) -> None:
        state, self._state = self._state, None
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
        if state is None or not state.session_id:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_WITHIN_S):
                async with await self._door.ask("DELETE", state.headers(http.JSON)):
                    pass


_QUOTED_BYTES = 200
_BOTH = f"{http.JSON}, {http.EVENT_STREAM}"
_ERRORS = 400
_OF_ANOTHER_ERA = {wire.UNSUPPORTED_VERSION, wire.METHOD_NOT_FOUND}


def _quoted(said: bytes) -> str:
    """Return the beginning of what a server said instead, in one line; empty if it said nothing."""
    words = " ".join(said[:_QUOTED_BYTES].decode(errors="replace").split())
    shown = "".join(letter if letter.isprintable() else "?" for letter in words)
    return f": {shown}" if shown else ""


def _readable(body: bytes) -> list[Envelope]:
    """Return the messages in ``body``; what is none is passed over."""
    try:
        return messages_in(body)
    except wire.WireError:
        return []
