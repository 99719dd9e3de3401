"""One session at a server that opens with ``initialize``, whatever carries it.

A session serves one client, or all clients of one principal that have none of their own; nobody else hears of it. It is
opened when it is first needed, and again when the server has forgotten it.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog
from msgspec import Raw

from appliance.core.errors import DomainError
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.peers import shared
from appliance.gateway.bridge.peers.conversation import Conversation
from appliance.gateway.bridge.peers.door import Door
from appliance.gateway.bridge.peers.flight import cancelled, fields_of
from appliance.gateway.bridge.peers.hello import Hello
from appliance.gateway.bridge.peers.wishes import Own
from appliance.gateway.bridge.traffic import OURSELVES
from appliance.gateway.errors import (
    ConnectionLostError,
    HandshakeError,
    SilentServerError,
)
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

log = structlog.get_logger("gateway.peers")

#: What failed is tried again after so many seconds, and after twice as many each further time.
RETRY_S = 1.0
LONGEST_RETRY_S = 30.0


class Session(ABC):
    """One session.

    Args:
        hello: What the server is told at ``initialize``.
        open_within_s: Seconds in which the server must have answered it.
    """

    def __init__(self, door: Door, hello: Hello, open_within_s: float) -> None:
        """Open nothing yet."""
        self._door = door
        self._hello = hello
        self._open_within_s = open_within_s
        self._opening: asyncio.Task[Mapping[str, Any]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._carrying: dict[Call, asyncio.Task[None]] = {}
        self.conversation = Conversation(
            lambda answer: self._in_background(self._post(answer))
        )
        #: Called when the server does not let itself be opened.
        self.refused: Callable[[], None] = lambda: None

    # -- what a transport knows

    @abstractmethod
    async def _open(self) -> Mapping[str, Any]:
        """Open the session and return the server's ``initialize`` result."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether the server, as far as is known, has the session."""

    @abstractmethod
    async def _carry(self, call: Call, request: Envelope) -> None:
        """Bring ``request`` to the server, and stay until ``call`` is over."""

    @abstractmethod
    async def _post(self, message: Envelope) -> None:
        """Bring a notification, or an answer to a request of the server's, to the server."""

    @abstractmethod
    async def _leave(self) -> None:
        """Tell the server that the session is over, and cut what is open."""

    # -- what callers use

    @property
    def is_busy(self) -> bool:
        """Whether somebody would miss it."""
        return self.conversation.has_calls or self.conversation.has_streams

    async def opened(self) -> Mapping[str, Any]:
        """Return the server's ``initialize`` result; opens the session first where need be, once for all who wait.

        Raises:
            DomainError: It cannot be opened.
        """
        if self._opening is None or (self._opening.done() and not self.is_open):
            self._opening = shared.begin(self._open_in_time())
        return await shared.outcome(self._opening)

    def begin(self, request: Envelope, caller: Caller) -> Call:
        """Send ``request`` and return the call at once."""
        call, onward = self.conversation.flight.begin(request, caller)
        if (refusal := self.conversation.refusal(request, caller)) is not None:
            self.conversation.end_of(call)
            call.finish(answer=refusal)
            return call
        task = asyncio.create_task(self._see_through(call, onward))
        self._carrying[call] = task
        task.add_done_callback(lambda _: self._carrying.pop(call, None))
        return call

    def abandon(self, call: Call) -> None:
        """Cancel ``call`` unless it is over."""
        if self.conversation.flight.end(call):
            params = {
                "requestId": Raw(call.wire_id),
                "reason": "The client went away.",
            }
            self._cancel(call, Raw(wire.encode(params)))

    async def notify(self, notification: Envelope, caller: Caller) -> None:
        """Pass a client's notification on; a cancellation under our id."""
        if notification.method == "notifications/initialized":
            return
        if notification.method == "notifications/cancelled":
            call = self.conversation.flight.named_by(notification.params, caller)
            if call is not None and self.conversation.flight.end(call):
                fields = fields_of(notification.params)
                fields["requestId"] = Raw(call.wire_id)
                self._cancel(call, Raw(wire.encode(fields)))
                call.finish(answer=cancelled())
            return
        await self.opened()
        await self._post(
            Envelope(method=notification.method, params=notification.params)
        )

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what belongs to no call; the session is opened for it."""
        stream = self.conversation.open_stream(caller)
        self._in_background(self._open_for_listeners())
        return stream

    def end(self, caller: Caller) -> None:
        """Forget the streams and wishes of one of several clients that share the session."""
        self.conversation.close_streams(caller)
        if self.is_open and (left := self.conversation.wishes.forget(caller)):
            self._in_background(self._ask_all(left))

    async def close(self) -> None:
        """End the session at the server, and everything that waits for it."""
        self.conversation.end(
            ConnectionLostError("The session at the server was ended.")
        )
        tasks = [*self._tasks, *self._carrying.values()]
        if self._opening is not None:
            tasks.append(self._opening)  # type: ignore[arg-type] # its result is nobody's business here
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(DomainError):
            await self._leave()

    # -- what transports use

    async def _open_for_listeners(self) -> None:
        """Open the session, and try for as long as somebody listens: they make no calls that would open it."""
        wait_s = RETRY_S
        while self.conversation.has_streams and not self.is_open:
            try:
                await self.opened()
            except DomainError as error:
                log.info("listeners_wait", code=error.code, reason=error.reason)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_RETRY_S)

    async def _restore(self) -> None:
        """Ask a new session for what the old one was asked for."""
        await self._ask_all(self.conversation.wishes.renewals())

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- inside

    async def _open_in_time(self) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(self._open_within_s):
                return await self._open()
        except HandshakeError as error:
            # Whoever is told of the refusal may close the session: those who wait hear first what the server said.
            self.conversation.flight.fail(error)
            self.refused()
            raise
        except TimeoutError as error:
            raise SilentServerError(
                f"The server runs but has not answered initialize for {self._open_within_s:g} seconds."
            ) from error

    async def _see_through(self, call: Call, request: Envelope) -> None:
        try:
            opened = await self.opened()
            if "logging" in opened["capabilities"]:
                await self._ask_all(self.conversation.wishes.before_call(call.caller))
            onward = self.conversation.wishes.onward(request, call.caller)
            if onward is None:
                call.finish(answer=Envelope(result=Raw(b"{}")))
            else:
                await self._carry(call, onward)
        except DomainError as error:
            call.finish(error=error)
        finally:
            self.conversation.end_of(call)
            # Nobody waits for ever, whatever went wrong here.
            call.finish(error=ConnectionLostError("The call was not seen through."))

    async def _ask_all(self, requests: list[Own]) -> None:
        for method, params in requests:
            await self._request(method, params)

    async def _request(self, method: str, params: Raw) -> None:
        """Send a request of our own and wait until it is over."""
        call, onward = self.conversation.flight.begin(
            Envelope(method=method, params=params), OURSELVES
        )
        try:
            await self._carry(call, onward)
        finally:
            self.conversation.flight.end(call)

    def _cancel(self, call: Call, params: Raw) -> None:
        task = self._carrying.get(call)
        if self.is_open:
            self._in_background(self._post(_cancellation(params)))
        if task is not None:
            task.cancel()


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except DomainError as error:
        log.info("message_not_delivered", code=error.code, reason=error.reason)


def _cancellation(params: Raw) -> Envelope:
    return Envelope(method="notifications/cancelled", params=params)
