"""Sessions that a server has forgotten, opened again for their clients.

Workers forward the calls of such sessions themselves. When the server does not know a session any more, they ask here for
another one; all that ask for the same dead session get the same answer, in whatever order they ask.
"""

import asyncio

from appliance.gateway.bridge.peers import shared
from appliance.gateway.bridge.peers.door import Door
from appliance.gateway.bridge.peers.hello import Hello
from appliance.gateway.bridge.peers.http_session import HttpSession
from appliance.gateway.errors import UnknownSessionError

#: Dead sessions whose successors are remembered; beyond it the oldest is forgotten, and its clients open anew.
REMEMBERED = 10_000


class Revivals:
    """The successors of one server's dead sessions.

    Args:
        open_within_s: Seconds in which the server must have answered ``initialize``.
    """

    def __init__(self, door: Door, open_within_s: float) -> None:
        """Remember none yet."""
        self._door = door
        self._open_within_s = open_within_s
        self._successors: dict[tuple[str, str], asyncio.Task[str]] = {}
        self._ended: dict[tuple[str, str], None] = {}

    def end(self, principal: str, session_id: str) -> None:
        """The client itself ends the session: nothing takes its place."""
        self._ended[principal, session_id] = None
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]

    async def successor(self, principal: str, session_id: str, hello: Hello) -> str:
        """Return the server's id of the session that takes the place of ``session_id``; empty: it keeps none any more.

        Raises:
            UnknownSessionError: The client has ended it.
            DomainError: The server cannot be opened.
        """
        key = principal, session_id
        if key in self._ended:
            raise UnknownSessionError("Session not found; initialize again.")
        task = self._successors.get(key)
        if task is None or (task.done() and shared.has_failed(task)):
            task = self._successors[key] = shared.begin(self._open(hello))
            if len(self._successors) > REMEMBERED:
                del self._successors[next(iter(self._successors))]
        return await shared.outcome(task)

    async def close(self) -> None:
        """Stop what is being opened; the sessions are their clients'."""
        for task in self._successors.values():
            task.cancel()
        await asyncio.gather(*self._successors.values(), return_exceptions=True)

    async def _open(self, hello: Hello) -> str:
        # The client's own stream is the one that listens; many servers allow but one.
        session = HttpSession(self._door, hello, self._open_within_s, listens=False)
        await session.opened()
        return session.session_id
