"""One session's own server: its container is made at the first call, made again when it died, and ended with the session."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from appliance.core.errors import DomainError
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.containers import SessionContainers
from appliance.gateway.bridge.sharing import Housed
from appliance.gateway.bridge.stdio import StdioServer
from appliance.gateway.errors import (
    InstanceEndedError,
    InstanceGoneError,
    SessionEndedError,
)
from appliance.gateway.protocol.wire import Envelope

#: Makes the server in a container, for one client.
MakeServer = Callable[[str, Caller], StdioServer]


@dataclass(frozen=True)
class Housing:
    """What sessions' containers are made with."""

    #: The instance's container; theirs are made like it.
    instance: str
    containers: SessionContainers
    make: MakeServer


class Lodging:
    """A session, and its container if it has one.

    Args:
        caller: Whose session it is; the server is opened in their name.
    """

    def __init__(self, key: str, caller: Caller, housing: Housing) -> None:
        """Have no container yet."""
        self.key = key
        self.caller = caller
        self._housing = housing
        self._server: StdioServer | None = None
        self._starting: asyncio.Task[StdioServer] | None = None
        self._streams: set[Stream] = set()
        self._waiting = 0
        self._last_used = time.monotonic()
        #: Whether a place among the server's containers is taken.
        self.has_place = False

    @property
    def is_busy(self) -> bool:
        """Whether calls are in flight, or wait for the container to start."""
        server = self._server
        return bool(self._waiting or (server and server.traffic.in_flight))

    @property
    def is_needed(self) -> bool:
        """Whether somebody calls or listens, or did a moment ago."""
        return bool(self.is_busy or self._streams)

    def housed(self) -> Housed:
        """Return what is to be known for making room."""
        return Housed(self.key, self.caller.principal, self.is_busy, self._last_used)

    def idle_s(self) -> float:
        """Return for how many seconds nobody has called or listened."""
        if self.is_needed:
            self._last_used = time.monotonic()
        return time.monotonic() - self._last_used

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        """Send ``request`` to the session's own server, which is started first where need be.

        Raises:
            DomainError: It cannot be had.
        """
        self._waiting += 1
        try:
            server = await self._running()
            return await server.begin(request, caller)
        finally:
            self._waiting -= 1
            self._last_used = time.monotonic()

    def abandon(self, call: Call) -> None:
        """Cancel ``call`` unless it is over."""
        self._last_used = time.monotonic()
        if self._server is not None:
            self._server.abandon(call)

    async def notify(self, notification: Envelope, caller: Caller) -> None:
        """Pass a notification on; where nothing runs yet, nobody has to know."""
        if self._server is not None:
            await self._server.notify(notification, caller)

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what the session's server says; it alone starts none."""
        stream = Stream(caller)
        self._streams.add(stream)
        if self._server is not None:
            self._server.adopt_stream(stream)
        return stream

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        self._last_used = time.monotonic()
        self._streams.discard(stream)
        if self._server is not None:
            self._server.close_stream(stream)

    async def end(self) -> None:
        """Tell everybody who waits, close the server's stdin, and see that its container goes."""
        for stream in self._streams:
            stream.close()
        if self._starting is not None:
            with contextlib.suppress(DomainError):
                await self._starting
        await self._let_go(SessionEndedError("The session was ended."))

    def describe(self) -> dict[str, Any]:
        """Return what is known, for people and tests."""
        described = self._server.describe() if self._server else {"state": "none"}
        return {"key": self.key, "principal": self.caller.principal, **described}

    async def _running(self) -> StdioServer:
        if self._server is not None:
            try:
                await self._server.opened()
            except (InstanceEndedError, InstanceGoneError) as error:
                await self._let_go(error)
            else:
                return self._server
        if self._starting is None or self._starting.done():
            # Whoever asked first may hang up; the others wait on.
            self._starting = asyncio.create_task(self._start())
        starting = self._starting
        try:
            server = await asyncio.shield(starting)
        except asyncio.CancelledError:
            if self._waiting == 1:
                self._starting = None
                starting.cancel()
            raise
        await server.opened()
        return server

    async def _start(self) -> StdioServer:
        housing = self._housing
        container_id = await housing.containers.start(housing.instance, self.key)
        self._server = server = housing.make(container_id, self.caller)
        for stream in self._streams:
            server.adopt_stream(stream)
        return server

    async def _let_go(self, why: DomainError) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.traffic.fail(why)
            # To hang up is to close its stdin.
            await server.close()
            await self._housing.containers.end(server.container_id)
