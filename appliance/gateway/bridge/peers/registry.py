"""One peer for each running instance, made when it is first asked for and closed when nobody needs it any more."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import structlog

from appliance.gateway.bridge.peer import Peer, Retires
from appliance.gateway.errors import NotRunningError
from appliance.gateway.routes import BUNDLE, Route

log = structlog.get_logger("gateway.peers")

#: Makes the peer of one route.
Factory = Callable[[Route], Peer]
#: What identifies an instance: a route that is deployed again leads to another one.
Place = tuple[str, str, int, int | None, str, str]

#: A peer that nobody used for so long is closed; the next call makes another.
CLOSE_AFTER_S = 600.0


@dataclass(eq=False)
class _Kept:
    peer: Peer
    users: int = 0
    last_used: float = field(default_factory=time.monotonic)


class Peers:
    """The peers of all instances.

    Args:
        factories: What makes a peer, by a route's transport.
    """

    def __init__(self, factories: Mapping[str, Factory]) -> None:
        """Know no peer yet."""
        self._factories = factories
        #: One for each account, where the server asks who calls.
        self._kept: dict[tuple[Place, str], _Kept] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def is_empty(self) -> bool:
        """Whether every server was let go of."""
        return not (self._kept or self._closing)

    def let_go(self) -> None:
        """Close what nobody uses; called again and again, it comes to the rest as its calls end."""
        for key, kept in list(self._kept.items()):
            if isinstance(kept.peer, Retires):
                kept.peer.retire()
            if not kept.users:
                self._close(key, kept)

    def of(self, route: Route) -> Peer:
        """Return the peer of what runs at ``route``.

        Raises:
            NotRunningError: Nothing runs there, or nothing here speaks its transport.
        """
        return self._find(route).peer

    @contextlib.contextmanager
    def leased(self, route: Route) -> Iterator[Peer]:
        """Yield the peer of ``route``, which stays open inside, whatever happens to the route.

        Raises:
            NotRunningError: As ``of``.
        """
        kept = self._find(route)
        kept.users += 1
        try:
            yield kept.peer
        finally:
            kept.users -= 1
            kept.last_used = time.monotonic()

    def users_of(self, instance_id: int) -> int:
        """Return how many calls and streams hold on to the peer of a server's instance."""
        return sum(
            kept.users
            for ((transport, *_, number, _, _), _), kept in self._kept.items()
            if number == instance_id and transport != BUNDLE
        )

    def keep_to(self, routes: Iterable[Route]) -> None:
        """Close the peers that nobody uses and that ``routes`` do not lead to, or that were idle for long."""
        routed = {(place(route), bool(route.signin)) for route in routes}
        before = time.monotonic() - CLOSE_AFTER_S
        for key, kept in list(self._kept.items()):
            is_routed = (key[0], bool(key[1])) in routed
            if not is_routed and isinstance(kept.peer, Retires):
                kept.peer.retire()
            if kept.users or (is_routed and _is_needed(kept, before)):
                continue
            self._close(key, kept)

    async def close(self) -> None:
        """Let go of every server."""
        kept, self._kept = list(self._kept.values()), {}
        for item in kept:
            await item.peer.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _find(self, route: Route) -> _Kept:
        key = (place(route), route.account)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = _Kept(self._make(route))
        kept.last_used = time.monotonic()
        return kept

    def _make(self, route: Route) -> Peer:
        factory = self._factories.get(route.transport)
        if factory is None:
            raise NotRunningError(
                f"{route.name} speaks {route.transport or 'nothing yet'}, which the bridge does not."
            )
        return factory(route)

    def _close(self, key: tuple[Place, str], kept: _Kept) -> None:
        del self._kept[key]
        task = asyncio.create_task(kept.peer.close())
        self._closing.add(task)
        task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("peer_not_closed", error=str(error))


def place(route: Route) -> Place:
    """Return what identifies the instance that ``route`` leads to."""
    return (
        route.transport,
        route.name,
        route.server_id,
        route.instance_id,
        route.container_id,
        route.address,
    )


def _is_needed(kept: _Kept, before: float) -> bool:
    """Tell whether a peer was used since ``before``, or keeps what its clients would miss."""
    keeps = isinstance(kept.peer, Retires) and kept.peer.is_needed
    return keeps or kept.last_used >= before
