"""What a bundle's parts share: who the members are, what they list, and which call is at which of them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any

from msgspec import UNSET

from appliance.core.errors import DomainError
from appliance.gateway.bridge.bundles import errors
from appliance.gateway.bridge.bundles.items import TOOLS, Kind
from appliance.gateway.bridge.bundles.link import Link, Listing, Patience, ask
from appliance.gateway.bridge.bundles.memory import Memory
from appliance.gateway.bridge.bundles.merge import Listed
from appliance.gateway.bridge.bundles.names import Names
from appliance.gateway.bridge.bundles.quotas import Quotas
from appliance.gateway.bridge.calls import Call, Caller
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.bridge.peers.registry import Peers
from appliance.gateway.members import Member
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import LiveTable, Route
from appliance.gateway.screen import ToolRefusedError


class Switchboard:
    """Connects one bundle with its members.

    Args:
        route: The bundle's; later changes are read from ``table``.
        peers: Of the members.
        memory: What members listed last.
        quotas: How much each server may be asked, through all bundles.
        held_back: Told the name of a server of which a definition was held back that nobody has read yet.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it is made of
        self,
        route: Route,
        table: LiveTable,
        peers: Peers,
        memory: Memory,
        quotas: Quotas,
        patience: Patience,
        held_back: Callable[[str], None],
    ) -> None:
        """Reach no member yet."""
        self._held_back = held_back
        self._patience = patience
        self.route = route
        self._table = table
        self._peers = peers
        self._memory = memory
        self._quotas = quotas
        self._links: dict[int, Link] = {}
        self._work: dict[Call, asyncio.Task[None]] = {}
        self._forwarded: dict[Call, tuple[Peer, contextlib.ExitStack]] = {}

    @property
    def in_flight(self) -> int:
        """Calls that nobody has abandoned yet."""
        return len(self._work) + len(self._forwarded)

    def links(self) -> list[Link]:
        """Return the ways to the members that the bundle has now and may use, in its order."""
        table = self._table.current
        route = table.bundles.get(self.route.name) if table is not None else None
        members: tuple[Member, ...] = ()
        if route is not None and route.bundle_id == self.route.bundle_id:
            self.route, members = route, route.members
        for gone in self._links.keys() - {member.server_id for member in members}:
            self._links.pop(gone).close()
        found = []
        for member in members:
            link = self._links.get(member.server_id)
            if link is None:
                link = self._links[member.server_id] = Link(
                    member,
                    self._table,
                    self._peers,
                    self._patience,
                    held_back=self._held_back,
                )
            link.member = member
            if member.is_permitted:
                found.append(link)
        return found

    def names(self) -> Names:
        """Return how names are translated now."""
        return Names([link.member for link in self.links()], self.route.separator)

    def refusal(self, member: Member, tool: str) -> ToolRefusedError | None:
        """Return why the server's own clients, and so those of a bundle, do not get ``tool``; ``None``: they do."""
        link = self._links.get(member.server_id)
        return ToolRefusedError(tool) if link is None else link.refusal(tool)

    async def listed(self, kind: Kind, caller: Caller) -> list[Listed]:
        """Return what every member lists, in their order; of one that cannot be asked, what it listed last."""
        links = self.links()
        parts = await asyncio.gather(
            *(self._part(link, kind, caller) for link in links)
        )
        return [(link.member, part) for link, part in zip(links, parts, strict=True)]

    def local(
        self, request: Envelope, caller: Caller, work: Coroutine[Any, Any, Envelope]
    ) -> Call:
        """Return a call that ends with what ``work`` returns."""
        call = _new_call(request, caller)

        async def run() -> None:
            try:
                call.finish(answer=await work)
            except DomainError as error:
                call.finish(error=error)

        self._work[call] = asyncio.create_task(run())
        return call

    def over(
        self, request: Envelope, caller: Caller, answer: Envelope, server_id: int = 0
    ) -> Call:
        """Return a call that is answered already."""
        call = _new_call(request, caller)
        call.server_id = server_id
        call.finish(answer=answer)
        return call

    async def forward(self, request: Envelope, caller: Caller, member: Member) -> Call:
        """Return the call that ``member`` makes of ``request``: its own, so that all that belongs to it arrives there."""
        try:
            async with self._entered(member, caller) as (peer, lease):
                call = await peer.begin(request, caller)
                call.server_id = member.server_id
                self._forwarded[call] = (peer, lease.pop_all())
                return call
        except DomainError as error:
            answer = errors.member_error(member, error)
            return self.over(request, caller, answer, member.server_id)

    async def asked(
        self, member: Member, request: Envelope, caller: Caller
    ) -> Envelope:
        """Return what ``member`` answers to a request of the bundle's own, or why it does not."""
        try:
            async with self._entered(member, caller) as (peer, _):
                return await ask(peer, request, caller)
        except DomainError as error:
            return errors.member_error(member, error)

    def abandon(self, call: Call) -> None:
        """Cancel ``call`` where it is, unless it is over."""
        if (work := self._work.pop(call, None)) is not None:
            work.cancel()
        if (forwarded := self._forwarded.pop(call, None)) is not None:
            peer, lease = forwarded
            with lease:
                peer.abandon(call)

    def peers_with(self, caller: Caller, client_id: bytes) -> list[Peer]:
        """Return the members that have a call which ``caller`` knows as ``client_id``."""
        return [
            peer
            for call, (peer, _) in self._forwarded.items()
            if call.caller == caller and call.client_id == client_id
        ]

    def close(self) -> None:
        """Abandon every call; the members are others' too."""
        for call in [*self._work, *self._forwarded]:
            self.abandon(call)
        for link in self._links.values():
            link.close()

    @contextlib.asynccontextmanager
    async def _entered(
        self, member: Member, caller: Caller
    ) -> AsyncIterator[tuple[Peer, contextlib.ExitStack]]:
        """Yield ``member``, open and counted under its limits, and what lets go of it unless somebody takes that over.

        Raises:
            DomainError: It is none any more, is asked too much, or cannot be opened.
        """
        link = self._link(member)
        with contextlib.ExitStack() as lease:
            peer = lease.enter_context(link.leased(caller.principal))
            self._quotas.enter(link.route(), time.monotonic())
            lease.callback(self._quotas.leave, member.server_id)
            await link.open(peer)
            yield peer, lease

    def _link(self, member: Member) -> Link:
        """Return the way to ``member``.

        Raises:
            MemberRefusedError: It is none any more.
        """
        link = self._links.get(member.server_id)
        if link is None:
            raise errors.MemberRefusedError("it is not in this bundle any more.")
        return link

    async def _part(self, link: Link, kind: Kind, caller: Caller) -> Listing:
        server_id = link.member.server_id
        found = None
        with contextlib.suppress(DomainError):
            if link.is_up:
                found = await link.list(kind, caller)
                self._memory.keep(caller.principal, server_id, kind, found)
        if found is None:
            found = await self._memory.recall(
                caller.principal, server_id, kind, partial(link.shown, kind)
            )
        return [
            item for item in found if kind is not TOOLS or not link.refusal(item[0])
        ]


def _new_call(request: Envelope, caller: Caller) -> Call:
    method = "" if request.method is UNSET else request.method
    return Call(caller, wire.id_of(request), method, b"null", None)
