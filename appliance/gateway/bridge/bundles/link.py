"""A bundle's way to one of its members: is it there, what did it say of itself, what does it list."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from msgspec import UNSET, Raw

from appliance.core.errors import DomainError
from appliance.gateway.bridge.bundles.breaker import FIRST_S, Breaker
from appliance.gateway.bridge.bundles.errors import (
    MemberLiesError,
    MemberRefusedError,
    MemberSilentError,
)
from appliance.gateway.bridge.bundles.items import TOOLS, Item, Kind, clean
from appliance.gateway.bridge.calls import Caller
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.bridge.peers.registry import Peers
from appliance.gateway.errors import NotRunningError, TokenNotRenewedError
from appliance.gateway.members import Member
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import LiveTable, Route, for_principal
from appliance.gateway.screen import Screen, ToolRefusedError

log = structlog.get_logger("gateway.bundles")

#: What is taken of one member's list.
PAGES_LIMIT = 50
ENTRIES_LIMIT = 1_000

Listing = list[tuple[str, Item]]
#: Has no account at a server that asks who calls.
_NOBODY = "bundle"


@dataclass(frozen=True)
class Patience:
    """How long a bundle waits for one member, in seconds."""

    #: Of a client's first message.
    hello_s: float = 3.0
    #: Of a list, for each of opening the member and hearing all its pages.
    list_s: float = 5.0
    #: Of a call, for the member to be opened; for its answer, a call waits as everywhere.
    open_s: float = 30.0
    #: After a member's first failure.
    retry_s: float = FIRST_S


class Link:
    """Reaches one member.

    Args:
        member: As the bundle has it now; the bundle replaces it when it is changed.
        held_back: Told the name of a server of which a definition was held back that nobody has read yet.
    """

    def __init__(
        self,
        member: Member,
        table: LiveTable,
        peers: Peers,
        patience: Patience,
        *,
        held_back: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Ask nothing yet."""
        self._held_back = held_back
        #: Fingerprints of definitions that the hub was told of.
        self._told: frozenset[str] = frozenset()
        self._patience = patience
        self.member = member
        self._table = table
        self._peers = peers
        self._breaker = Breaker(patience.retry_s)
        self._hello: Mapping[str, Any] | None = None
        self._instance: int | None = None
        self._trying: asyncio.Task[None] | None = None

    def route(self) -> Route:
        """Return where the member runs.

        Raises:
            MemberRefusedError: The bundle may not use it any more.
            NotRunningError: It does not run; carries its reason.
        """
        member, table = self.member, self._table.current
        if not member.is_permitted:
            raise MemberRefusedError(
                "it does not belong to this bundle's owner any more."
            )
        route = table.routes.get(member.server) if table is not None else None
        if route is None or route.server_id != member.server_id:
            raise NotRunningError("there is no such server any more.")
        if route.instance_id is None or not (route.container_id or route.address):
            why = f": {route.status_reason}" if route.status_reason else "."
            raise NotRunningError(f"it is {route.status}{why}")
        if (
            route.instance_id != self._instance
        ):  # another process: what is known of the old one says nothing
            self._instance = route.instance_id
            self._breaker = Breaker(self._patience.retry_s)
        return route

    @contextlib.contextmanager
    def leased(self, principal: str) -> Iterator[Peer]:
        """Yield the member's peer, which stays open inside.

        Args:
            principal: For whom.

        Raises:
            DomainError: There is none.
        """
        route = for_principal(self.route(), principal)
        with self._peers.leased(route) as peer:
            yield peer

    async def open(
        self, peer: Peer, within_s: float | None = None
    ) -> Mapping[str, Any]:
        """Return what the member says of itself, opening it where need be.

        Raises:
            DomainError: It cannot be opened, or not in time.
        """
        within_s = self._patience.open_s if within_s is None else within_s
        try:
            async with asyncio.timeout(within_s):
                self._hello = await peer.opened()
        except TimeoutError as error:
            self._breaker.failed(time.monotonic())
            raise MemberSilentError(
                f"it has not answered for {within_s:g} seconds."
            ) from error
        except TokenNotRenewedError:  # of one account: others may well be served
            raise
        except DomainError:
            self._breaker.failed(time.monotonic())
            raise
        self._breaker.succeeded()
        return self._hello

    @property
    def is_new(self) -> bool:
        """Whether it was never tried."""
        return self._hello is None and self._breaker.is_closed

    @property
    def said(self) -> Mapping[str, Any] | None:
        """What the member said of itself when it was reached last; ``None``: it never was."""
        self._try_again()
        return self._hello

    async def hello(self) -> None:
        """Have the member say what it is. Only the first try is waited for, later ones happen behind clients' backs."""
        if self.is_new and self.instance is not None:
            await asyncio.shield(self._attempt())

    @property
    def instance(self) -> int | None:
        """Which process serves it now; ``None``: none, or none that the bundle may use."""
        try:
            return self.route().instance_id
        except DomainError:
            return None

    @property
    def is_open(self) -> bool:
        """Whether it was reached, and has not failed since."""
        return self._hello is not None and self._breaker.is_closed

    def offers(self, capability: str) -> bool:
        """Whether the member has said that it has ``capability``, or nothing yet."""
        return self._hello is None or capability in (
            self._hello.get("capabilities") or {}
        )

    @property
    def is_up(self) -> bool:
        """Whether the last try went well, or there was none; a member that is down is tried again, not waited for."""
        self._try_again()
        return self._breaker.is_closed

    async def list(self, kind: Kind, caller: Caller) -> Listing:
        """Return what the member lists for ``caller``, as far as it is usable.

        Raises:
            DomainError: It cannot be had.
        """
        with self.leased(caller.principal) as peer:
            opened = await self.open(peer, self._patience.list_s)
            if kind.capability not in (opened.get("capabilities") or {}):
                return []
            try:
                async with asyncio.timeout(self._patience.list_s):
                    found = await self._pages(peer, kind, caller)
            except TimeoutError as error:
                self._breaker.failed(time.monotonic())
                raise MemberSilentError(
                    f"it did not answer {kind.method} within {self._patience.list_s:g} seconds."
                ) from error
        return found

    @property
    def screen(self) -> Screen | None:
        """Which of the server's tools its clients get, also through a bundle; ``None``: all of them."""
        table = self._table.current
        route = table.routes.get(self.member.server) if table is not None else None
        return route.screen if route is not None else None

    def refusal(self, tool: str) -> ToolRefusedError | None:
        """Return why the server's clients do not get ``tool``; ``None``: they do."""
        screen = self.screen
        return screen.refusal(tool) if screen is not None else None

    def close(self) -> None:
        """Try no more."""
        if self._trying is not None:
            self._trying.cancel()

    async def _pages(self, peer: Peer, kind: Kind, caller: Caller) -> Listing:
        entries: list[Raw] = []
        params = b"{}"
        for _ in range(PAGES_LIMIT):
            answer = await ask(
                peer, Envelope(method=kind.method, params=Raw(params)), caller
            )
            page, cursor = _page(kind, answer)
            entries += page
            if not cursor or len(entries) >= ENTRIES_LIMIT:
                break
            params = wire.encode({"cursor": cursor})
        if len(entries) > ENTRIES_LIMIT:
            log.warning(
                "list_cut",
                server=self.member.server,
                method=kind.method,
                entries=len(entries),
            )
        return list(clean(kind, self.shown(kind, entries[:ENTRIES_LIMIT])))

    def shown(self, kind: Kind, entries: Sequence[Raw]) -> Sequence[Raw]:
        """Return what the server's clients get of its list."""
        screen = self.screen
        if screen is None or kind is not TOOLS:
            return entries
        found = screen.shown(entries)
        if not found.unknown <= self._told:
            self._told = found.unknown
            self._held_back(self.member.server)
        return found.tools

    def _attempt(self) -> "asyncio.Task[None]":
        if self._trying is None or self._trying.done():
            self._trying = asyncio.create_task(self._try())
        return self._trying

    def _try_again(self) -> None:
        if not self._breaker.is_closed and self._breaker.is_due(time.monotonic()):
            self._trying = self._attempt()

    async def _try(self) -> None:
        with contextlib.suppress(DomainError), self.leased(_NOBODY) as peer:
            await self.open(peer, self._patience.hello_s)


async def ask(peer: Peer, request: Envelope, caller: Caller) -> Envelope:
    """Return the answer to a request of the bundle's own; nobody is there whom the server could ask something.

    Raises:
        DomainError: None came.
    """
    request.id = Raw(wire.encode(f"bundle-{secrets.token_hex(8)}"))
    call = await peer.begin(request, caller)
    try:
        while not call.is_over:
            await call.news()
            call.take_notes()
            for asked in call.take_asks():
                asked.refuse(wire.METHOD_NOT_FOUND, "Nobody is there to answer this.")
        if call.answer is None:
            raise call.error or MemberLiesError("it did not answer.")
        return call.answer
    finally:
        peer.abandon(call)


def _page(kind: Kind, answer: Envelope) -> tuple[list[Raw], str]:
    """Return the entries on one page of a list, and where the next begins."""
    if answer.result is UNSET:
        raise MemberLiesError(f"it answered {kind.method} with an error.")
    try:
        fields = msgspec.json.decode(answer.result, type=dict[str, Raw])
        entries = msgspec.json.decode(
            fields.get(kind.key, Raw(b"null")), type=list[Raw]
        )
        cursor = msgspec.json.decode(fields.get("nextCursor", Raw(b'""')))
    except msgspec.DecodeError as error:
        raise MemberLiesError(
            f"it answered {kind.method} with something that is no list."
        ) from error
    return entries, cursor if isinstance(cursor, str) else ""
