"""Calls that wait for their client to come back with what their server asked.

A client without a session is not asked in mid-call: its call ends with the questions and with a state that it brings back.
Meanwhile the server's own call goes on, here. The state is a name that cannot be guessed; it is worth something only to the
principal that got it, for the same request at the same server, once, and for a while.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Raw

from appliance.gateway.bridge.calls import Ask, Call
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope

#: Calls that may wait, in all and of one principal; beyond it the oldest is given up.
LIMIT = 1_000
PRINCIPAL_LIMIT = 50
#: Seconds that a person may take to answer.
WITHIN_S = 600.0


@dataclass(frozen=True)
class Purpose:
    """What a state is good for."""

    principal: str
    #: The server's or bundle's place in the routing table.
    place: object
    method: str
    target: str


@dataclass(eq=False)
class Parked:
    """A call that may wait for its client."""

    call: Call
    peer: Peer
    purpose: Purpose
    #: Keeps the server open for the call.
    lease: contextlib.ExitStack
    #: What the client was not asked yet, or has not answered, by the key under which it does.
    asks: dict[str, Ask] = field(default_factory=dict)
    expiry: asyncio.TimerHandle | None = None

    def answer(self, responses: Mapping[str, Raw]) -> None:
        """Give the server what the client brings; what is none, or names nothing that was asked, is left alone."""
        for key, response in responses.items():
            if is_response(response) and (ask := self.asks.pop(key, None)):
                ask.reply(Envelope(result=response))

    def end(self) -> None:
        """Cancel the call unless it is over, and let go of its server."""
        for ask in self.asks.values():
            ask.refuse(wire.INVALID_REQUEST, "The client did not answer in time.")
        self.peer.abandon(self.call)
        self.lease.close()


def is_response(response: Raw) -> bool:
    """Whether a client's answer can be one."""
    return bytes(response)[:1] == b"{"


class Parking:
    """All calls that wait."""

    def __init__(self) -> None:
        """Have none."""
        self._parked: dict[str, Parked] = {}

    def park(self, parked: Parked) -> str:
        """Keep a call and return the state with which its client gets it back."""
        mine = [
            state
            for state, item in self._parked.items()
            if item.purpose.principal == parked.purpose.principal
        ]
        if len(mine) >= PRINCIPAL_LIMIT:
            self._give_up(mine[0])
        elif len(self._parked) >= LIMIT:
            self._give_up(next(iter(self._parked)))
        state = secrets.token_urlsafe(24)
        loop = asyncio.get_running_loop()
        parked.expiry = loop.call_later(WITHIN_S, self._give_up, state)
        self._parked[state] = parked
        return state

    def take(self, state: str, purpose: Purpose) -> Parked | None:
        """Return the call that waits under ``state`` for this very purpose; ``None``: there is none."""
        parked = self._parked.get(state)
        if parked is None or parked.purpose != purpose:
            return None
        del self._parked[state]
        if parked.expiry is not None:
            parked.expiry.cancel()
        return parked

    def close(self) -> None:
        """Give up every call."""
        for state in list(self._parked):
            self._give_up(state)

    def _give_up(self, state: str) -> None:
        parked = self._parked.pop(state, None)
        if parked is None:
            return
        if parked.expiry is not None:
            parked.expiry.cancel()
        parked.end()
