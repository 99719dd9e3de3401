"""Whose calls a shared server may still speak of, though nobody waits for them.

A client that goes away, or cancels, does not stop a server: it may go on for a while, and log, and ask. And a server that has
answered may log a moment later what it did. On pipes that several share, such words must not be taken for another's.
"""

import time
from collections.abc import Callable

from appliance.gateway.bridge.calls import Call

#: Seconds after its answer in which a server may still log about a call.
LOGS_FOR_S = 10.0
#: Seconds in which a server may go on with a call that was given up; most answer it nevertheless, which ends the doubt.
GOES_ON_FOR_S = 600.0
#: Calls that were given up and are remembered; beyond it the oldest is forgotten.
LIMIT = 1000


class Afterthoughts:
    """Remembers the principals of calls that are over."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Know of none."""
        self._now = now
        self._answered: dict[str, float] = {}
        self._given_up: dict[bytes, tuple[str, float]] = {}

    def answered(self, principal: str) -> None:
        """A call of ``principal`` was answered."""
        # Moved to the end, so that the oldest are at the beginning.
        self._answered.pop(principal, None)
        self._answered[principal] = self._now()
        if len(self._answered) > LIMIT:
            del self._answered[next(iter(self._answered))]

    def given_up(self, call: Call) -> None:
        """Nobody waits for ``call`` any more, but the server has not answered it."""
        self._given_up[call.wire_id] = call.caller.principal, self._now()
        if len(self._given_up) > LIMIT:
            del self._given_up[next(iter(self._given_up))]

    def answered_late(self, wire_id: bytes) -> None:
        """The server has answered a call that nobody waited for."""
        found = self._given_up.pop(wire_id, None)
        if found is not None:
            self.answered(found[0])

    def who_is_worked_for(self) -> set[str]:
        """Return the principals for whose calls the server may still be at work."""
        since = self._now() - GOES_ON_FOR_S
        return {name for name, at in self._given_up.values() if at > since}

    def who_is_spoken_of(self) -> set[str]:
        """Return the principals of whom the server may still log something."""
        since = self._now() - LOGS_FOR_S
        recent = {name for name, at in self._answered.items() if at > since}
        return recent | self.who_is_worked_for()
