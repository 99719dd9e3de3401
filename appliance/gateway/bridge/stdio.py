"""One stdio server: attach to it, open it once, carry calls, and tell at once when it ends."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import structlog

from appliance.core.errors import DomainError
from appliance.gateway.bridge import frames
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.condition import Condition, Hider
from appliance.gateway.bridge.engine import Attachment, Container, Engine
from appliance.gateway.bridge.handshake import (
    SHARED,
    Announced,
    HandshakeFiles,
    shake_hands,
)
from appliance.gateway.bridge.output import ServerOutput
from appliance.gateway.bridge.traffic import OURSELVES, Traffic
from appliance.gateway.errors import (
    ConnectionLostError,
    InstanceEndedError,
    SilentServerError,
    StuckServerError,
)
from appliance.gateway.protocol import discovery, wire
from appliance.gateway.protocol.wire import Envelope

log = structlog.get_logger("gateway.stdio")


class StdioServer:
    """A container that speaks MCP on its stdin and stdout.

    Args:
        container_id: Full or short id.
        line_limit: Bytes a line may have.
        start_timeout_s: Seconds a call waits for the server to answer ``initialize``.
        owner: The session that has the server for itself; ``None``: all clients share it.
        changed: Called when the server says that one of its lists changed.
        hider: Returns what hides the server's secrets, or ``None``; blocking.
    """

    def __init__(  # noqa: PLR0913 - what it is made with
        self,
        container_id: str,
        engine: Engine,
        files: HandshakeFiles,
        *,
        line_limit: int,
        start_timeout_s: float,
        owner: Caller | None = None,
        changed: Callable[[], None] = lambda: None,
        hider: Hider = lambda: None,
    ) -> None:
        """Attach to nothing yet; the first call does."""
        self._changed = changed
        self.container_id = container_id
        self._engine = engine
        self._files = files
        self._line_limit = line_limit
        self._start_timeout_s = start_timeout_s
        self._attachment: Attachment | None = None
        self._opening: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._opened: dict[str, Any] | None = None
        self._failure: DomainError | None = None
        self._has_claim = False
        self._announced = (
            SHARED
            if owner is None
            else Announced(owner.capabilities, owner.client_info)
        )
        self.traffic = Traffic(owner, self._send_soon)
        self._output = ServerOutput(line_limit)
        self._condition = Condition(
            container_id, engine, files, self._output, hider=hider
        )

    async def opened(self) -> dict[str, Any]:
        """Return the server's ``initialize`` result, attaching and opening it first where need be.

        Raises:
            InstanceEndedError: The container does not run.
            InstanceGoneError: There is no such container.
            EngineAwayError: The engine does not answer.
            SilentServerError: It has not answered ``initialize`` yet; the wait goes on for later calls.
            HandshakeError: It refuses ``initialize``.
        """
        if self._opened is not None:
            return self._opened
        # A predecessor of this bridge may still have calls open there, for longer than a start may take.
        await self._claim()
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
        try:
            async with asyncio.timeout(self._start_timeout_s):
                await asyncio.shield(self._opening)
        except TimeoutError as error:
            words = await self._condition.last_words()
            raise SilentServerError(
                f"The server runs but has not answered initialize for {self._start_timeout_s:g} seconds.{words}",
                hint="Does it speak MCP on its standard output?",
            ) from error
        return self._still_open()

    def _still_open(self) -> dict[str, Any]:
        if self._opened is None:
            raise self._failure or ConnectionLostError(
                "The server ended while it was opened."
            )
        return self._opened

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        """Send ``request`` and return the call; ends at once with an error if the connection is gone."""
        call, line = self.traffic.begin(request, caller)
        try:
            await self._send(line)
        except (StuckServerError, asyncio.CancelledError) as error:
            # The server has never heard of it, so there is nothing to cancel there.
            self.traffic.abandon(call)
            if not isinstance(error, StuckServerError):
                raise
            call.finish(error=error)
        if self._attachment is None:
            call.finish(
                error=self._failure
                or ConnectionLostError("The connection to the server is gone.")
            )
        return call

    def abandon(self, call: Call) -> None:
        """Tell the server that nobody waits for ``call`` any more; nothing to do when it is over."""
        line = self.traffic.abandon(call)
        if line is not None and self._attachment is not None:
            self._attachment.send_soon(line)

    async def notify(self, notification: Envelope, caller: Caller) -> None:
        """Pass a client's notification on, cancellations under our id."""
        line = self.traffic.notified(notification, caller)
        if line is not None:
            await self._send(line)

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what the server says to nobody in particular."""
        return self.traffic.open_stream(caller)

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        self.traffic.close_stream(stream)

    def end_session(self, caller: Caller) -> None:
        """Close the streams and forget the subscriptions of a session that its client ended."""
        self._send_soon(self.traffic.end_session(caller))

    def adopt_stream(self, stream: Stream) -> None:
        """Take over a stream that was made before the server was there."""
        self.traffic.adopt_stream(stream)

    @property
    def asks(self) -> bool:
        """Whether the server has asked for something that only a client can answer."""
        return self.traffic.asks

    def describe(self) -> dict[str, Any]:
        """Return what is known of the server, for people and tests."""
        return {
            "container_id": self.container_id,
            "state": "open"
            if self._opened
            else "attached"
            if self._attachment
            else "detached",
            "initialize": self._opened,
            "calls_in_flight": self.traffic.in_flight,
            "streams": self.traffic.open_streams,
            "stray_messages": self.traffic.dropped,
            "asks": self.traffic.asks,
            "garbage_lines": self._output.garbage_lines,
            "garbage": list(map(self._condition.hide, self._output.garbage)),
            "stderr": list(map(self._condition.hide, self._output.stderr)),
            "failure": self._failure.reason if self._failure else None,
        }

    async def close(self) -> None:
        """Detach; the server keeps running."""
        for task in (self._opening, self._reading):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, DomainError):
                    await task
        self._hang_up()

    async def _open(self) -> None:
        try:
            await self._claim()
            await self._condition.know()
            container = await self._condition.running()
            known = await asyncio.to_thread(
                self._files.load, container.container_id, container.started_at
            )
            await self._attach(container)
            if known is None:
                known = await self._shake_hands(container)
                await self._send(self.traffic.renewals())
            else:
                # A predecessor may have died in the middle of a line; this ends it, and alone it is an empty line.
                await self._send(b"\n")
        except DomainError as error:
            self._failure = error
            self._detach()
            raise
        self._opened, self._failure = known, None
        log.info(
            "server_opened",
            container_id=self.container_id,
            server_info=known.get("serverInfo"),
        )

    async def _attach(self, container: Container) -> None:
        if self._attachment is not None:
            return
        attachment = await self._engine.attach(container.container_id)
        self._output.begin()
        now = await self._engine.inspect(container.container_id)
        if not now.is_running or now.started_at != container.started_at:
            attachment.close()
            raise InstanceEndedError(
                f"The server {now.ending()}.{await self._condition.last_words()}"
            )
        self._attachment = attachment
        self._reading = asyncio.create_task(self._read(attachment))

    async def _shake_hands(self, container: Container) -> dict[str, Any]:
        opened = await shake_hands(self._ask, self._announced)
        if not discovery.is_modern(opened):
            await self._send(
                wire.one_line(Envelope(method="notifications/initialized"))
            )
        await asyncio.to_thread(
            self._files.save, container.container_id, container.started_at, opened
        )
        return opened

    async def _ask(self, request: Envelope) -> Envelope:
        call = await self.begin(request, OURSELVES)
        while not call.is_over:
            await call.news()
        if call.answer is None:
            raise call.error or ConnectionLostError(
                "The connection to the server is gone."
            )
        return call.answer

    async def _send(self, line: bytes) -> None:
        attachment = self._attachment
        if attachment is not None:
            await attachment.send(line)

    def _send_soon(self, line: bytes) -> None:
        if line and self._attachment is not None:
            self._attachment.send_soon(line)

    async def _read(self, attachment: Attachment) -> None:
        try:
            while chunk := await attachment.read():
                for line in self._output.lines(chunk):
                    self._take(line)
        except frames.FrameError:
            log.warning("impossible_frame", container_id=self.container_id)
        await self._lost(attachment)

    def _take(self, line: bytes | frames.Overlong) -> None:
        if isinstance(line, frames.Overlong):
            if not self.traffic.overlong(line, self._line_limit):
                self._output.count_garbage(line)
            return
        try:
            for message in wire.decode_lines(line):
                self.traffic.receive(message)
                if str(message.method).endswith("/list_changed"):
                    self._changed()
        except wire.WireError:
            self._output.count_garbage(line)

    async def _lost(self, attachment: Attachment) -> None:
        """Tell everybody who waits why nothing will come, and attach again if the server still runs."""
        attachment.close()
        if self._attachment is not attachment:
            return
        self._detach()
        self._failure = await self._condition.why_lost()
        self.traffic.fail(ConnectionLostError(self._failure.reason))
        if isinstance(self._failure, ConnectionLostError) and self.traffic.open_streams:
            # Those who listen make no calls, and would not hear of anything again.
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(_seen)
        log.info(
            "server_lost", container_id=self.container_id, reason=self._failure.reason
        )

    def _detach(self) -> None:
        self._opened = None
        self._hang_up()

    async def _claim(self) -> None:
        claims, name = self._files.claims, self.container_id
        if self._has_claim:
            return
        await claims.take(name)
        if self._holds_claim():  # somebody else waited, too
            claims.release(name)
        self._has_claim = True

    def _holds_claim(self) -> bool:
        return self._has_claim

    def _hang_up(self) -> None:
        if self._attachment is not None:
            self._attachment.close()
            self._attachment = None
        if self._has_claim:
            self._has_claim = False
            self._files.claims.release(self.container_id)


def _seen(task: asyncio.Task[None]) -> None:
    """Keep a failure from being reported as never looked at: the next call meets it again."""
    if not task.cancelled():
        task.exception()
