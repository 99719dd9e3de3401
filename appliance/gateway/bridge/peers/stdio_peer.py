"""A stdio server, whichever era it turns out to speak.

Nearly all are opened with ``initialize``, and nothing comes between them and the bridge. One that knows only the stateless
revision says so when it is opened; then its messages are translated, on the same pipes.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.bridge.peers.modern import ModernPeer
from appliance.gateway.bridge.pool import StdioPool
from appliance.gateway.protocol import discovery
from appliance.gateway.protocol.wire import Envelope


class StdioPeer:
    """One stdio instance."""

    def __init__(self, pool: StdioPool) -> None:
        """Ask nothing yet."""
        self._pool = pool
        self._modern: ModernPeer | None = None

    async def opened(self) -> Mapping[str, Any]:
        """Return what the server says of itself; raises as ``StdioServer.opened``."""
        opened = await self._pool.opened()
        if discovery.is_modern(opened) and self._modern is None:
            self._modern = ModernPeer(_Pipes(self._pool), opened)
        return opened

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        """Send ``request`` and return the call at once."""
        return await self._peer.begin(request, caller)

    def abandon(self, call: Call) -> None:
        """Cancel ``call`` unless it is over."""
        self._peer.abandon(call)

    async def notify(self, notification: Envelope, caller: Caller) -> None:
        """Pass a client's notification on."""
        await self._peer.notify(notification, caller)

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what the server says that belongs to no call."""
        return self._peer.open_stream(caller)

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        self._peer.close_stream(stream)

    def end_session(self, caller: Caller) -> None:
        """Forget what belongs to a session that its client ended."""
        self._peer.end_session(caller)

    @property
    def is_needed(self) -> bool:
        """Whether sessions would lose something if this were closed."""
        return self._pool.is_needed

    def retire(self) -> None:
        """Nothing leads here any more: let those who listen connect anew."""
        if self._modern is not None:
            self._modern.retire()
        self._pool.retire()

    async def close(self) -> None:
        """Let go of the server; it keeps running."""
        if self._modern is not None:
            await self._modern.close()
        await self._pool.close()

    def describe(self) -> Mapping[str, Any]:
        """Return what is known of the server, for people and tests."""
        return self._pool.describe()

    @property
    def _peer(self) -> Peer:
        return self._modern or self._pool


class _Pipes:
    """Carries what is worded for the stateless revision already."""

    def __init__(self, pool: StdioPool) -> None:
        self._pool = pool

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        # The level of log messages is in the request; there is no other way to set it.
        return await self._pool.begin(request, replace(caller, log_level=""))

    def abandon(self, call: Call) -> None:
        self._pool.abandon(call)

    async def close(self) -> None:
        """Leave the pipes to whom they belong."""
