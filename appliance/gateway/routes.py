"""The routing table: read from views, kept in memory, replaced as a whole when something changed."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import psycopg2
import psycopg2.extensions
import structlog

from appliance.core.upstreams import account_of
from appliance.gateway.members import Member, members_of
from appliance.gateway.names import Names, names_of, take_in
from appliance.gateway.screen import Screen, screen_of
from appliance.gateway.trust import Trust
from appliance.gateway.trust_views import read_trust
from appliance.infra.connections import DatabaseUnavailableError, connect, listen

log = structlog.get_logger("gateway.routes")

_Found = TypeVar("_Found")

#: A burst of changes (a status, an instance, an event) is read once.
DEBOUNCE_S = 0.02
RETRY_S = 0.5
_ROUTES = """
SELECT server_id, name, owner_id, endpoint_key_hash, status, status_reason,
       instance_id, container_id, transport, address, allowed_tools,
       deployment_id, session_mode, limits, trace_bodies, listed, card, held_tools, pinned_tools, org_id,
       signin
FROM gateway_routes
"""
_BESIDE = """
SELECT name, instance_id, deployment_id, container_id, transport, address, is_leaving
FROM gateway_beside
"""
_KEYS = """
SELECT key_hash, user_id, extract(epoch FROM expires_at)::float8, key_id, calls_per_second, concurrency, org_id,
       scope
FROM gateway_keys
"""
_BUNDLES = """
SELECT bundle_id, name, owner_id, endpoint_key_hash, separator, description, trace_bodies, members, org_id
FROM gateway_bundles
"""
_PEOPLE = "SELECT user_id, every_server, org_ids FROM gateway_people"
_DOMAINS = (
    "SELECT host, server_name, redirect_to, domain_id, is_active FROM gateway_domains"
)
_CHANNEL = "routes"
_DOMAINS_CHANNEL = "domains"
#: The transport of a route that is a bundle.
BUNDLE = "bundle"


@dataclass(frozen=True, slots=True)
class Route:
    """One hosted server, or one bundle, as far as the gateway is concerned."""

    #: 0: it is a bundle.
    server_id: int
    name: str
    owner_id: int
    status: str
    status_reason: str
    #: ``None``: nothing runs.
    instance_id: int | None = None
    #: Empty for a remote server.
    container_id: str = ""
    transport: str = ""
    address: str = ""
    #: ``None``: every tool.
    allowed_tools: frozenset[str] | None = None
    deployment_id: int | None = None
    #: ``shared``, ``per-session`` or ``auto``; means something for stdio alone.
    session_mode: str = "auto"
    #: ``calls_per_second``, ``concurrency``, ``body_bytes``, ``timeout_s``; what is missing is as the settings say.
    limits: dict[str, float] = field(default_factory=dict)
    #: Whether traces keep what was asked and answered.
    trace_bodies: bool = True
    #: Whether discovery shows it to those who hold no key.
    listed: bool = False
    #: The last probe's manifest without its tools; empty before there was one.
    card: dict[str, Any] = field(default_factory=dict)
    #: 0: it is a server.
    bundle_id: int = 0
    #: Between a member's prefix and the name of its tool.
    separator: str = ""
    #: Of a bundle, in their order.
    members: tuple[Member, ...] = ()
    #: Whether another instance has taken over, and only calls that began here go on.
    is_leaving: bool = False
    #: Tools that clients do not get, and why.
    held_tools: dict[str, str] = field(default_factory=dict)
    #: Tools to the fingerprints that were approved, where nothing else may pass; ``None``: anything may.
    pinned_tools: dict[str, str] | None = None
    #: Of the organisation that it belongs to; ``None``: it is ``owner_id``'s own.
    org_id: int | None = None
    #: Whose account at the remote server its calls use: ``each`` or ``shared``; empty: it asks nobody who they are.
    signin: str = ""
    #: The one that these calls use; empty: none was chosen.
    account: str = ""

    @property
    def screen(self) -> Screen | None:
        """Which tools clients get; ``None``: all of them."""
        return screen_of(
            self.name, self.allowed_tools, self.held_tools, self.pinned_tools
        )


@dataclass(frozen=True, slots=True)
class UserKey:
    """A key of a person, or one that acts for an organisation."""

    #: ``None``: it acts for ``org_id``.
    user_id: int | None
    #: Seconds since the epoch; ``None``: never.
    expires_at: float | None
    key_id: int = 0
    #: ``None``: as the settings say.
    calls_per_second: float | None = None
    concurrency: int | None = None
    #: ``None``: it is ``user_id``'s.
    org_id: int | None = None
    #: What it is narrowed to: ``actions`` and ``servers``, each a list or missing; ``None``: nothing.
    scope: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """What somebody may call besides their own."""

    every_server: bool = False
    #: Numbers of the organisations whose servers and bundles they may call.
    org_ids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All routes and keys at one moment."""

    routes: dict[str, Route]
    #: SHA-256 of an endpoint key to its server.
    endpoint_keys: dict[bytes, int]
    user_keys: dict[bytes, UserKey]
    loaded_at: float
    #: By name; servers and bundles may have the same.
    bundles: dict[str, Route] = field(default_factory=dict)
    #: SHA-256 of an endpoint key to its bundle.
    bundle_keys: dict[bytes, int] = field(default_factory=dict)
    #: By instance: those beside the routed ones. Only the hub asks them, and calls that began before they were left.
    beside: dict[int, Route] = field(default_factory=dict)
    #: By their numbers: those who may call at all.
    people: dict[int, Person] = field(default_factory=dict)
    #: By what access tokens are checked.
    trust: Trust = field(default_factory=Trust)
    #: By host: names that lead to one server each. All tables of a process share it, and it alone changes.
    domains: Names = field(default_factory=dict)

    def all_routes(self) -> Iterator[Route]:
        """Yield servers, then bundles, then what may become a server's next instance."""
        yield from self.routes.values()
        yield from self.bundles.values()
        yield from (item for item in self.beside.values() if not item.is_leaving)

    def knows(self, hashed: bytes) -> bool:
        """Whether this is the SHA-256 of a key, of whatever kind; it may have expired."""
        return any(
            hashed in keys
            for keys in (self.user_keys, self.endpoint_keys, self.bundle_keys)
        )

    def with_one(self, server: str) -> "RoutingTable":
        """Return the table of a place where no other server is known."""
        route = self.routes.get(server)
        return replace(self, routes={} if route is None else {server: route})

    def at_instance(self, name: str, instance_id: int) -> Route | None:
        """Return the way to one instance of the server called so; ``None``: it is not known."""
        route = self.routes.get(name)
        if route is None or route.instance_id == instance_id:
            return route
        beside = self.beside.get(instance_id)
        return beside if beside and beside.server_id == route.server_id else None


def for_principal(route: Route, principal: str) -> Route:
    """Return the way of one principal's calls: a server that asks who calls is called with one account alone."""
    if not route.signin:
        return route
    return replace(route, account=account_of(route.signin, principal))


def read_table(
    connection: psycopg2.extensions.connection, domains: Names | None = None
) -> RoutingTable:
    """Return what the views say. Blocking; all are read in one snapshot.

    Args:
        connection: To Postgres.
        domains: Those that are known; ``None``: they are read as well.
    """
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute(_ROUTES)
        rows = cursor.fetchall()
        cursor.execute(_BESIDE)
        beside = cursor.fetchall()
        cursor.execute(_KEYS)
        keys = cursor.fetchall()
        cursor.execute(_BUNDLES)
        bundles = cursor.fetchall()
        cursor.execute(_PEOPLE)
        people = cursor.fetchall()
        trust = read_trust(cursor)
        if domains is None:
            cursor.execute(_DOMAINS)
            domains = names_of(cursor.fetchall())
        cursor.execute("COMMIT")
    routes = {row[1]: _route(row) for row in rows}
    return RoutingTable(
        routes=routes,
        endpoint_keys={bytes(row[3]): row[0] for row in rows},
        user_keys={bytes(key[0]): UserKey(*key[1:]) for key in keys},
        loaded_at=time.time(),
        bundles={row[1]: _bundle(row) for row in bundles},
        bundle_keys={bytes(row[3]): row[0] for row in bundles},
        beside={row[1]: _beside(routes[row[0]], row) for row in beside},
        people={row[0]: Person(row[1], frozenset(row[2])) for row in people},
        trust=trust,
        domains=domains,
    )


def _beside(route: Route, row: tuple[Any, ...]) -> Route:
    _, instance_id, deployment_id, container_id, transport, address, is_leaving = row
    return replace(
        route,
        instance_id=instance_id,
        deployment_id=deployment_id,
        container_id=container_id,
        transport=transport,
        address=address,
        is_leaving=is_leaving,
    )


def _bundle(row: tuple[Any, ...]) -> Route:
    bundle_id, name, owner_id, _, separator, description, trace_bodies, *rest = row
    members, org_id = rest
    return Route(
        server_id=0,
        name=name,
        owner_id=owner_id,
        status="running",
        status_reason="",
        # What identifies an instance; another bundle of the same name is another one.
        instance_id=bundle_id,
        transport=BUNDLE,
        trace_bodies=trace_bodies,
        card={"instructions": description} if description else {},
        bundle_id=bundle_id,
        separator=separator,
        members=members_of(members),
        org_id=org_id,
    )


def _route(row: tuple[Any, ...]) -> Route:
    server_id, name, owner_id, _, status, reason, *place = row
    instance_id, container_id, transport, address, tools, *rest = place
    deployment_id, session_mode, limits, trace_bodies, listed, card, *review = rest
    held, pinned, org_id, signin = review
    return Route(
        server_id=server_id,
        name=name,
        owner_id=owner_id,
        status=status,
        status_reason=reason,
        instance_id=instance_id,
        container_id=container_id or "",
        transport=transport or "",
        address=address or "",
        allowed_tools=frozenset(tools) if isinstance(tools, list) else None,
        deployment_id=deployment_id,
        session_mode=session_mode,
        limits=limits,
        trace_bodies=trace_bodies,
        listed=listed,
        card=card or {},
        held_tools=held or {},
        pinned_tools=pinned,
        org_id=org_id,
        signin=signin or "",
    )


class LiveTable:
    """The table as it is now; goes on with what it knows while Postgres is away.

    Args:
        arguments: libpq keywords.
        known: What another worker knew last.
        changed: Called with every new table.
        renamed: Called with every host that leads somewhere else from now on; ``None``: domains do not matter here.
    """

    def __init__(
        self,
        arguments: dict[str, str],
        *,
        known: RoutingTable | None = None,
        changed: Callable[[RoutingTable], None] = lambda _: None,
        renamed: Callable[[str], None] | None = None,
    ) -> None:
        """Start with what is known."""
        self._arguments = arguments
        self._changed = changed
        self._renamed = renamed
        #: Whether every change of a domain was heard since they were read.
        self._knows_domains = False
        #: How often it was begun to listen.
        self._joined = 0
        #: What was heard while they were read, and may not be in what was read.
        self._heard: list[str] = []
        self._loaded = asyncio.Event()
        self._stale = asyncio.Event()
        #: Set when the next reading is over, whichever way.
        self._read = asyncio.Event()
        self.current = known

    async def known(self, *, within_s: float) -> None:
        """Wait until there is a table, or ``within_s`` seconds have passed."""
        if self.current is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._loaded.wait()

    async def find(
        self, look: Callable[[RoutingTable], _Found | None], *, within_s: float
    ) -> _Found | None:
        """Return what ``look`` finds, in this table or in one that comes within ``within_s`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while True:
                    if (
                        self.current is not None
                        and (found := look(self.current)) is not None
                    ):
                        return found
                    self._loaded.clear()
                    await self._loaded.wait()
        return None

    async def follow(self) -> None:
        """Load the table and load it again after every change, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._refresh())

    def look_again(self) -> None:
        """Load the table anew, though nobody said that it changed."""
        self._stale.set()

    async def renewed(self, *, within_s: float) -> None:
        """Load the table anew, and wait until that was tried; at most ``within_s`` seconds."""
        read = self._read
        self._stale.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await read.wait()

    async def _watch(self) -> None:
        channels = (
            (_CHANNEL,) if self._renamed is None else (_CHANNEL, _DOMAINS_CHANNEL)
        )
        async for channel, payload in listen(self._arguments, *channels):
            if channel == _DOMAINS_CHANNEL:
                self._take_in(payload)
                continue
            if not channel:
                self._joined += 1
                self._knows_domains = False
            self._stale.set()

    def _take_in(self, payload: str) -> None:
        """Have a domain count at once: all that there is to know of it was told."""
        if not self._knows_domains:
            self._heard.append(payload)
        if self.current is not None and self._renamed is not None:
            self._renamed(take_in(self.current.domains, payload))

    async def _refresh(self) -> None:
        while True:
            await self._stale.wait()
            await asyncio.sleep(DEBOUNCE_S)
            self._stale.clear()
            # Whoever asks from now on may want what this reading no longer sees.
            read, self._read = self._read, asyncio.Event()
            try:
                self.current = await self._table()
            except (DatabaseUnavailableError, psycopg2.Error) as error:
                log.warning(
                    "routes_not_loaded", error=str(error).strip().splitlines()[0]
                )
                self._stale.set()
                await asyncio.sleep(RETRY_S)
            else:
                self._loaded.set()
                self._changed(self.current)
            finally:
                read.set()

    async def _table(self) -> RoutingTable:
        """Return what the views say now; domains are read only where changes of them may have been missed."""
        if self._knows_domains and self.current is not None:
            return await asyncio.to_thread(self._load, self.current.domains)
        joined = self._joined
        # Whatever was heard until now was committed before it is read.
        self._heard.clear()
        table = await asyncio.to_thread(self._load, None)
        for payload in self._heard:
            take_in(table.domains, payload)
        self._knows_domains = joined == self._joined
        return table

    def _load(self, domains: Names | None) -> RoutingTable:
        if self._renamed is None:
            domains = {}
        with closing(connect(self._arguments)) as connection:
            return read_table(connection, domains)
