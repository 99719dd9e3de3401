"""A server behind HTTP, whichever era and transport it turns out to speak."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.peers import shared
from appliance.gateway.bridge.peers.detection import HTTP, LEGACY, SSE, Finding, detect
from appliance.gateway.bridge.peers.door import Door
from appliance.gateway.bridge.peers.hello import Hello
from appliance.gateway.bridge.peers.http_modern import HttpLine
from appliance.gateway.bridge.peers.http_session import HttpSession
from appliance.gateway.bridge.peers.modern import ModernPeer
from appliance.gateway.bridge.peers.pool import SessionPeer
from appliance.gateway.bridge.peers.revival import Revivals
from appliance.gateway.bridge.peers.session import Session
from appliance.gateway.bridge.peers.sse_session import SseSession
from appliance.gateway.protocol.wire import Envelope

log = structlog.get_logger("gateway.peers")


class HttpPeer:
    """One server; asked once how it speaks, and again when it contradicts what was found.

    Args:
        open_within_s: Seconds in which it must have answered when it is opened.
    """

    def __init__(self, door: Door, open_within_s: float) -> None:
        """Ask nothing yet."""
        self._door = door
        self._open_within_s = open_within_s
        self._found: Finding | None = None
        self._inner: SessionPeer | ModernPeer | None = None
        self._asking: asyncio.Task[SessionPeer | ModernPeer] | None = None
        self._revivals = Revivals(door, open_within_s)
        self._former: set[asyncio.Task[None]] = set()

    async def opened(self) -> Mapping[str, Any]:
        """Return what the server says of itself.

        Raises:
            DomainError: It does not answer, or nothing that is understood here.
        """
        return await (await self._peer()).opened()

    async def finding(self) -> Finding:
        """Return how the server speaks.

        Raises:
            DomainError: As ``opened``.
        """
        await self._peer()
        assert self._found is not None  # noqa: S101 - one line above
        return self._found

    def end(self, principal: str, session_id: str) -> None:
        """The client itself ends a session that workers carry: nothing takes its place."""
        self._revivals.end(principal, session_id)

    async def successor(self, principal: str, session_id: str, hello: Hello) -> str:
        """Return the id of the session that takes the place of one that the server has forgotten.

        Raises:
            DomainError: The server cannot be opened.
        """
        return await self._revivals.successor(principal, session_id, hello)

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        """Send ``request`` and return the call at once."""
        return await (await self._peer()).begin(request, caller)

    def abandon(self, call: Call) -> None:
        """Cancel ``call`` unless it is over."""
        if self._inner is not None:
            self._inner.abandon(call)

    async def notify(self, notification: Envelope, caller: Caller) -> None:
        """Pass a client's notification on."""
        await (await self._peer()).notify(notification, caller)

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what the server says that belongs to no call; it must have been opened before."""
        if self._inner is None:
            stream = Stream(caller)
            stream.close()
            return stream
        return self._inner.open_stream(caller)

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        if self._inner is not None:
            self._inner.close_stream(stream)

    def end_session(self, caller: Caller) -> None:
        """Forget what belongs to a session that its client ended."""
        if self._inner is not None:
            self._inner.end_session(caller)

    @property
    def is_known(self) -> bool:
        """Whether the server was asked how it speaks, and has said so."""
        return self._inner is not None

    @property
    def is_needed(self) -> bool:
        """Whether clients would lose something if this were closed: a session that is idle for long is opened again."""
        return False

    def retire(self) -> None:
        """Nothing leads here any more: let those who listen connect anew."""
        if self._inner is not None:
            self._inner.retire()

    async def close(self) -> None:
        """Let go of the server."""
        await self._revivals.close()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        if self._inner is not None:
            await self._inner.close()
        await asyncio.gather(*self._former, return_exceptions=True)

    def describe(self) -> Mapping[str, Any]:
        """Return what is known, for people and tests."""
        found = self._found
        known = {"transport": found.transport, "eras": found.eras} if found else {}
        return {**known, **(self._inner.describe() if self._inner else {})}

    async def _peer(self) -> SessionPeer | ModernPeer:
        """Return what speaks to the server, which is asked first where need be, once for all who wait."""
        if self._inner is not None:
            return self._inner
        if self._asking is None or self._asking.done():
            self._asking = shared.begin(self._ask())
        return await shared.outcome(self._asking)

    async def _ask(self) -> SessionPeer | ModernPeer:
        found = await detect(self._door, self._open_within_s)
        self._found, self._inner = found, self._make(found)
        log.info(
            "server_detected",
            server=self._door.route.name,
            transport=found.transport,
            eras=found.eras,
        )
        return self._inner

    def _make(self, found: Finding) -> SessionPeer | ModernPeer:
        if LEGACY not in found.eras:
            return ModernPeer(HttpLine(found.door), found.opened, self._contradicted)
        kind = SseSession if found.transport == SSE else HttpSession

        def session(hello: Hello) -> Session:
            made = kind(found.door, hello, self._open_within_s)
            made.refused = self._contradicted
            return made

        return SessionPeer(session, found.opened, apart=found.transport == SSE)

    def _contradicted(self) -> None:
        """Forget what was found: the server does not speak so any more."""
        inner, self._inner, self._found = self._inner, None, None
        if inner is not None:
            task = asyncio.create_task(inner.close())
            self._former.add(task)
            task.add_done_callback(self._former.discard)


def direct_eras(found: Finding) -> list[str]:
    """Return the eras in which a worker may forward bytes to the server without translation."""
    return list(found.eras) if found.transport == HTTP else []
