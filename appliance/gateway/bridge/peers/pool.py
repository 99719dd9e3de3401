"""A server that opens with ``initialize``, over HTTP: one session for each client, so that nothing crosses between them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from appliance.core.errors import LimitedError
from appliance.gateway.bridge.belongings import Belongings
from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.peers.hello import Hello, hello_for
from appliance.gateway.bridge.peers.session import Session
from appliance.gateway.bridge.peers.wishes import METHODS
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

#: Sessions at one server, and those of one principal; beyond it the one that was idle longest is closed.
SESSIONS_LIMIT = 64
PRINCIPAL_LIMIT = 48
#: Sessions for calls at once of one principal's clients that have none of their own; further calls share.
SPARE_LIMIT = 16
#: An idle session is closed after so many seconds.
IDLE_S = 600.0
#: So is one that was opened because others had a call in flight.
SPARE_IDLE_S = 4.0
SWEEP_S = 4.0

#: A client's session; or a principal without one, what its clients can be asked for, and which of its sessions it is.
_Key = tuple[str, str, bytes, int]


@dataclass(eq=False)
class _Kept:
    session: Session
    last_used: float = field(default_factory=time.monotonic)


class SessionPeer:
    """The sessions of all callers at one server.

    Args:
        make: Makes a session that is to say hello so.
        opened: What the server said already when it was asked what it is.
        apart: Whether a session can have but one call at a time of clients that have none of their own, because what
            the server says in it does not tell which call it belongs to.
    """

    def __init__(
        self,
        make: Callable[[Hello], Session],
        opened: Mapping[str, Any],
        *,
        apart: bool = False,
    ) -> None:
        """Open no session yet."""
        self._apart = apart
        self._belongings = Belongings()
        #: Where calls and streams are, for as long as somebody holds them.
        self._places: WeakKeyDictionary[Call | Stream, _Kept] = WeakKeyDictionary()
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
        kept = self._place(request, caller)
        call = kept.session.begin(request, caller)
        self._places[call] = kept
        return call

    def abandon(self, call: Call) -> None:
        """Cancel ``call`` unless it is over."""
        if (kept := self._places.get(call)) is not None:
            kept.last_used = time.monotonic()
            kept.session.abandon(call)

    async def notify(self, notification: Envelope, caller: Caller) -> None:
        """Pass a client's notification on, if it has a session that it could matter to."""
        for key, kept in list(self._kept.items()):
            if key[:2] == (caller.principal, caller.session):
                await kept.session.notify(notification, caller)

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what the server says in the caller's session and that belongs to no call."""
        kept = self._at(_key(caller), caller)
        stream = kept.session.open_stream(caller)
        self._places[stream] = kept
        return stream

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        if (kept := self._places.get(stream)) is not None:
            kept.last_used = time.monotonic()
            kept.session.conversation.close_stream(stream)

    def end_session(self, caller: Caller) -> None:
        """End the session of a client that ended its own; what a principal's clients share goes on."""
        for key, kept in list(self._kept.items()):
            if key[:2] != (caller.principal, caller.session):
                continue
            if caller.session:
                self._close(key)
            else:
                kept.session.end(caller)

    def retire(self) -> None:
        """Nothing leads here any more: let those who listen connect anew, unless they may be asked for a call in flight."""
        for kept in self._kept.values():
            if not kept.session.conversation.has_calls:
                kept.session.conversation.close_streams()

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

    def _place(self, request: Envelope, caller: Caller) -> _Kept:
        """Return where a call goes."""
        if caller.session or not self._apart or request.method in METHODS:
            return self._at(_key(caller), caller)
        for number in range(SPARE_LIMIT):
            kept = self._kept.get(key := _key(caller, number))
            if kept is None and len(self._kept) >= SESSIONS_LIMIT:
                break
            if kept is None or not kept.session.conversation.has_calls:
                return self._at(key, caller)
        return self._at(_key(caller), caller)

    def _at(self, key: _Key, caller: Caller) -> _Kept:
        kept = self._kept.get(key)
        if kept is None:
            self._make_room(caller.principal)
            session = self._make(hello_for(caller))
            session.conversation.belongings = self._belongings
            kept = self._kept[key] = _Kept(session)
            if self._sweeper is None:
                self._sweep_later()
        kept.last_used = time.monotonic()
        return kept

    def _make_room(self, principal: str) -> None:
        """Close the session that was idle longest where there are as many as there may be.

        Raises:
            LimitedError: None is idle.
        """
        own = [key for key in self._kept if key[0] == principal]
        if len(own) < PRINCIPAL_LIMIT and len(self._kept) < SESSIONS_LIMIT:
            return
        among = own if len(own) >= PRINCIPAL_LIMIT else list(self._kept)
        idle = [key for key in among if not self._kept[key].session.is_busy]
        if not idle:
            raise LimitedError(
                f"{len(among)} sessions are in use at this server already.",
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
        now = time.monotonic()
        for key, kept in list(self._kept.items()):
            *_, number = key
            idle_s = SPARE_IDLE_S if number else IDLE_S
            if now - kept.last_used > idle_s and not kept.session.is_busy:
                self._close(key)
        if self._kept:
            self._sweep_later()


def _key(caller: Caller, number: int = 0) -> _Key:
    # A server asks its client only for what was announced when its session was opened.
    announced = b"" if caller.session else wire.encode(caller.capabilities)
    return caller.principal, caller.session, announced, number
