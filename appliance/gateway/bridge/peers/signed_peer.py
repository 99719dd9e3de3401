"""A remote server that wants to know who calls, for one account of those that use it.

Its clients may come before their person has an account there: they are let in, and told where to connect one when they ask
for something. From then on their calls go through.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from appliance.gateway.bridge.calls import Call, Caller, Stream
from appliance.gateway.bridge.peers.http_peer import HttpPeer
from appliance.gateway.errors import SigninNeededError
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import Route
from appliance.gateway.signins import HUB

#: Of a server that nobody could ask yet. What it does not have, it says itself once it is asked.
_PERHAPS = {"tools": {"listChanged": True}, "prompts": {}, "resources": {}}


class SignedPeer:
    """One server, called with one account.

    Args:
        route: With the account.
        inner: Speaks to the server.
    """

    def __init__(self, route: Route, inner: HttpPeer) -> None:
        """Ask nothing yet."""
        self._route = route
        self._inner = inner
        #: Of clients that came before their person had an account.
        self._waiting: set[Stream] = set()

    async def opened(self) -> Mapping[str, Any]:
        """Return what the server says of itself, or that it needs a sign-in.

        Raises:
            DomainError: It cannot be had; the hub is told of the missing sign-in, too.
        """
        try:
            return await self._inner.opened()
        except SigninNeededError as error:
            if self._route.account == HUB:
                raise
            return stand_in(self._route.name, error)

    async def begin(self, request: Envelope, caller: Caller) -> Call:
        """Send ``request`` and return the call at once; where a sign-in is missing, its end says so."""
        try:
            call = await self._inner.begin(request, caller)
            self._tell_waiting()
        except SigninNeededError as error:
            method = "" if request.method is UNSET else request.method
            call = Call(caller, wire.id_of(request), method, b"null", None)
            call.finish(error=error)
        return call

    def abandon(self, call: Call) -> None:
        """Cancel ``call`` unless it is over."""
        self._inner.abandon(call)

    async def notify(self, notification: Envelope, caller: Caller) -> None:
        """Pass a client's notification on; without an account there is nobody whom it could matter to."""
        try:
            await self._inner.notify(notification, caller)
        except SigninNeededError:
            return

    def open_stream(self, caller: Caller) -> Stream:
        """Return a stream of what the server says that belongs to no call; without an account it is silent for now."""
        if self._inner.is_known:
            return self._inner.open_stream(caller)
        stream = Stream(caller)
        self._waiting.add(stream)
        return stream

    def close_stream(self, stream: Stream) -> None:
        """Forget ``stream``."""
        self._waiting.discard(stream)
        self._inner.close_stream(stream)

    def end_session(self, caller: Caller) -> None:
        """Forget what belongs to a session that its client ended."""
        self._inner.end_session(caller)

    @property
    def is_needed(self) -> bool:
        """Whether clients would lose something if this were closed."""
        return self._inner.is_needed

    def retire(self) -> None:
        """Nothing leads here any more: let those who listen connect anew."""
        self._end_waiting()
        self._inner.retire()

    async def close(self) -> None:
        """Let go of the server."""
        self._end_waiting()
        await self._inner.close()

    def describe(self) -> Mapping[str, Any]:
        """Return what is known, for people and tests."""
        return self._inner.describe()

    def _tell_waiting(self) -> None:
        """Have clients that were told of no lists read them now, and listen to the server itself."""
        for stream in self._waiting:
            for kind in ("tools", "prompts", "resources"):
                said = Envelope(method=f"notifications/{kind}/list_changed")
                stream.put(wire.encode(said))
        self._end_waiting()

    def _end_waiting(self) -> None:
        for stream in self._waiting:
            stream.close()
        self._waiting.clear()


def stand_in(name: str, error: SigninNeededError) -> Mapping[str, Any]:
    """Return what is said in place of a server that nobody could ask."""
    return {
        "protocolVersion": wire.LEGACY_REVISIONS[0],
        "capabilities": _PERHAPS,
        "serverInfo": {"name": name, "version": "0"},
        "instructions": error.detail,
    }
