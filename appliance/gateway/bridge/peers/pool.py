"""A server that opens with ``initialize``, over HTTP: one session for each client, so that nothing crosses between them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.core.errors import LimitedError
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.peers.hello import Hello, hello_for
from appliance.gateway.bridge.peers.session import Session
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

#: Sessions at one server; beyond it the one that was idle longest is closed.
SESSIONS_LIMIT = 64
#: An idle session is closed after so many seconds.
IDLE_S = 600.0
SWEEP_S = 30.0

#: A client's session, or a principal without one and what its clients can be asked for.
_Key = tuple[str, str, bytes]


@dataclass(eq=False)
class _Kept:
    session: Session
    last_used: float = field(default_factory=time.monotonic)


class SessionPeer:
    """The sessions of all callers at one server.

    Args:
        make: Makes a session that is to say hello so.
        opened: What the server said already when it was asked what it is.
    """

    def __init__(
        self, make: Callable[[Hello], Session], opened: Mapping[str, Any]
    ) -> None:
        """Open no session yet."""
        self._make = make
        self._opened = opened
        self._kept: dict[_Key, _Kept] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def opened(self) -> Mapping[str, Any]:
        """Return what the server said of itself."""
        return self._opened

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        """Send ``request`` in the caller's session and return the call at once.

        Raises:
            LimitedError: Too many sessions are in use.
        """
        return self._session(caller).begin(request, caller)

    def abandon(self, call: Call) -> None:
        """Cancel ``call`` unless it is over."""
        kept = self._kept.get(_key(call.caller))
        if kept is not None:
            kept.session.abandon(call)

    async def notify(self, notification: Envelope, caller: Caller) -> None:
        """Pass a client's notification on, if it has a session that it could matter to."""
        kept = self._kept.get(_key(caller))
        if kept is not None:
            await kept.session.notify(notification, caller)

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what the server says in the caller's session and that belongs to no call."""
        return self._session(caller).open_stream(caller)

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        kept = self._kept.get(_key(stream.caller))
        if kept is not None:
            kept.last_used = time.monotonic()
            kept.session.close_stream(stream)

    def end_session(self, caller: Caller) -> None:
        """End the session of a client that ended its own; what a principal's clients share goes on."""
        if caller.session:
            for key in [key for key in self._kept if key[:2] == _key(caller)[:2]]:
                self._close(key)

    def retire(self) -> None:
        """Nothing leads here any more: let those who listen connect anew."""
        for kept in self._kept.values():
            kept.session.close_streams()

    async def close(self) -> None:
        """End every session."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for key in list(self._kept):
            self._close(key)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def describe(self) -> Mapping[str, Any]:
        """Return what is known, for people and tests."""
        return {"initialize": self._opened, "sessions": len(self._kept)}

    def _session(self, caller: Caller) -> Session:
        key = _key(caller)
        kept = self._kept.get(key)
        if kept is None:
            self._make_room()
            kept = self._kept[key] = _Kept(self._make(hello_for(caller)))
            if self._sweeper is None:
                self._sweep_later()
        kept.last_used = time.monotonic()
        return kept.session

    def _make_room(self) -> None:
        if len(self._kept) < SESSIONS_LIMIT:
            return
        idle = [key for key, kept in self._kept.items() if not kept.session.is_busy]
        if not idle:
            raise LimitedError(
                f"{SESSIONS_LIMIT} clients use this server at once already.",
                retry_after_s=1,
            )
        self._close(min(idle, key=lambda key: self._kept[key].last_used))

    def _close(self, key: _Key) -> None:
        task = asyncio.create_task(self._kept.pop(key).session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _sweep_later(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        before = time.monotonic() - IDLE_S
        for key, kept in list(self._kept.items()):
            if kept.last_used < before and not kept.session.is_busy:
                self._close(key)
        if self._kept:
            self._sweep_later()


def _key(caller: Caller) -> _Key:
    # A server asks its client only for what was announced when its session was opened.
    announced = b"" if caller.session else wire.encode(caller.capabilities)
    return caller.principal, caller.session, announced
