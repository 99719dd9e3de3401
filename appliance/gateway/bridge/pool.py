"""A stdio server behind the bridge: one container for all, or one for each session.

What the server says of itself, and the hub's questions, are the business of the instance's own container in every mode. A
session's container is made at its first call, under a name that only this session has. It ends when its client ends the
session, when nobody used it for long, when its principal needs the room, and when the instance goes.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.clones import session_key
from appliance.gateway.bridge.handshake import HandshakeFiles
from appliance.gateway.bridge.lodging import Housing, Lodging
from appliance.gateway.bridge.sharing import (
    Sharing,
    can_answer,
    gets_own,
    opened_for,
    who_goes,
)
from appliance.gateway.bridge.stdio import StdioServer
from appliance.gateway.protocol.wire import Envelope

#: Sessions that are remembered to have begun in the shared container; beyond it the oldest is forgotten.
SETTLED_LIMIT = 10_000
LONGEST_SWEEP_S = 15.0


class StdioPool:
    """The containers of one stdio instance.

    Args:
        shared: The server in the instance's own container.
        housing: For the containers of sessions.
        sharing: Who gets one.
        files: Where it is remembered that a server asks its clients things.
    """

    def __init__(
        self,
        shared: StdioServer,
        housing: Housing,
        sharing: Sharing,
        files: HandshakeFiles,
    ) -> None:
        """Keep no session's container yet."""
        self._shared = shared
        self._housing = housing
        self._sharing = sharing
        self._files = files
        self._asks: bool | None = None
        self._lodgings: dict[str, Lodging] = {}
        self._settled: dict[str, None] = {}
        #: Where calls and streams are, for as long as somebody holds them.
        self._places: WeakKeyDictionary[Call | Stream, Lodging | StdioServer] = (
            WeakKeyDictionary()
        )
        self._door = asyncio.Lock()
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    async def opened(self) -> Mapping[str, Any]:
        """Return what the server says of itself; raises as ``StdioServer.opened``."""
        return await self._shared.opened()

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        """Send ``request`` where the caller belongs and return the call at once.

        Raises:
            DomainError: The caller's own container cannot be had.
        """
        await self._notice_asks()
        if not self._is_apart(caller):
            call = await self._shared.begin(request, caller)
            self._places[call] = self._shared
            return call
        lodging = self._lodging(caller)
        if not lodging.has_place:
            lodging = await self._take_place(caller)
        call = await lodging.begin(request, caller)
        self._places[call] = lodging
        return call

    def abandon(self, call: Call) -> None:
        """Cancel ``call`` unless it is over."""
        self._places.get(call, self._shared).abandon(call)

    async def notify(self, notification: Envelope, caller: Caller) -> None:
        """Pass a client's notification on to where its calls are."""
        if self._is_apart(caller):
            lodging = self._lodgings.get(session_key(caller))
            if lodging is not None:
                await lodging.notify(notification, caller)
        else:
            await self._shared.notify(notification, caller)

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what belongs to no call, from where the caller's calls are."""
        place = self._lodging(caller) if self._is_apart(caller) else self._shared
        stream = place.open_stream(caller)
        self._places[stream] = place
        return stream

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        place = self._places.pop(stream, self._shared)
        place.close_stream(stream)
        if isinstance(place, Lodging) and not place.has_place and not place.is_needed:
            self._lodgings.pop(place.key, None)

    def end_session(self, caller: Caller) -> None:
        """End a session that its client ended, and its container."""
        key = session_key(caller)
        self._settled.pop(key, None)
        self._shared.end_session(caller)
        if caller.session and key in self._lodgings:
            self._end(key)

    @property
    def is_needed(self) -> bool:
        """Whether sessions would lose something if this were closed."""
        return bool(self._housed())

    def retire(self) -> None:
        """Nothing leads here any more: end what nobody waits for, and let those who listen connect anew."""
        self._shared.traffic.close_streams()
        for key, lodging in list(self._lodgings.items()):
            if not lodging.is_busy:
                self._end(key)

    async def close(self) -> None:
        """Let go of the instance's container, which keeps running, and end those of sessions."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for key in list(self._lodgings):
            self._end(key)
        await asyncio.gather(*self._ending.values(), return_exceptions=True)
        await self._shared.close()

    def describe(self) -> Mapping[str, Any]:
        """Return what is known of the server, for people and tests."""
        sessions = [item.describe() for item in self._lodgings.values()]
        return {
            **self._shared.describe(),
            "session_mode": self._sharing.mode,
            "asks": bool(self._asks),
            "sessions": sessions,
            "sessions_ending": len(self._ending),
        }

    # -- who goes where

    async def _notice_asks(self) -> None:
        """Learn that the server asks its clients things, and remember it for the bridge's successors."""
        instance = self._shared.container_id
        if self._asks is None:
            self._asks = await asyncio.to_thread(self._files.asks, instance)
        if self._shared.asks and not self._asks:
            self._asks = True
            await asyncio.to_thread(self._files.note_asks, instance)

    def _is_apart(self, caller: Caller) -> bool:
        if not gets_own(self._sharing.mode, caller, server_asks=bool(self._asks)):
            self._settle(caller)
            return False
        return session_key(caller) not in self._settled

    def _settle(self, caller: Caller) -> None:
        """Let a session stay where it began: what the server remembers of it is there."""
        if caller.session and can_answer(caller):
            self._settled[session_key(caller)] = None
            if len(self._settled) > SETTLED_LIMIT:
                del self._settled[next(iter(self._settled))]

    def _lodging(self, caller: Caller) -> Lodging:
        key = session_key(caller)
        found = self._lodgings.get(key)
        if found is None:
            owner = opened_for(caller)
            found = self._lodgings[key] = Lodging(key, owner, self._housing)
            self._sweep_later()
        return found

    # -- room

    async def _take_place(self, caller: Caller) -> Lodging:
        """Return the caller's lodging with a place for the container that is about to be made.

        Raises:
            DomainError: There is no room.
        """
        async with self._door:
            # What just ends still uses memory; and a session that comes back has the name of what ended.
            while self._ending and (
                session_key(caller) in self._ending or self._is_full()
            ):
                tasks = self._ending.values()
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            lodging = self._lodging(caller)
            if not lodging.has_place:
                housed = [item.housed() for item in self._housed()]
                goes = who_goes(housed, caller.principal, self._sharing)
                if goes is not None:
                    self._end(goes)
                    await asyncio.wait([self._ending[goes]])
                lodging = self._lodging(caller)
                lodging.has_place = True
            return lodging

    def _is_full(self) -> bool:
        return len(self._housed()) + len(self._ending) >= self._sharing.per_server

    def _housed(self) -> list[Lodging]:
        return [item for item in self._lodgings.values() if item.has_place]

    def _end(self, key: str) -> None:
        task = asyncio.create_task(self._lodgings.pop(key).end())
        self._ending[key] = task
        task.add_done_callback(lambda _: self._ending.pop(key, None))

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            delay_s = min(self._sharing.idle_s / 4, LONGEST_SWEEP_S)
            self._sweeper = asyncio.get_running_loop().call_later(delay_s, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        for key, lodging in list(self._lodgings.items()):
            if lodging.idle_s() >= self._sharing.idle_s:
                self._end(key)
        if self._lodgings:
            self._sweep_later()
