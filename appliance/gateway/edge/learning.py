"""Wait a moment for news that a request was faster than: of a new key, and of a server that has just begun to run."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from appliance.gateway.http.listener import Connection, Plan
from appliance.gateway.routes import Route, RoutingTable

_Found = TypeVar("_Found")
#: Seconds that a request waits for a table with its key.
WITHIN_S: Final = 1.0
#: Strangers can name any key. So many may wait at once, the table is not read more often for them than every so many seconds,
#: and a key that was not found is not waited for again for some time.
WAITING: Final = 64
PAUSE_S: Final = 2.0
_FORGET_S: Final = 60.0
_MISSING_KEPT: Final = 1024
#: Seconds between two readings of the table for servers that do not run yet, however many ask for them.
REREAD_PAUSE_S: Final = 0.5
#: From these a server comes to run by itself. Of all others a change is heard long before a call can be right.
_COMING: Final = frozenset({"queued", "cloning", "building", "pushing", "starting"})


class Renewable(Protocol):
    """A table that can be read anew."""

    async def renewed(self, *, within_s: float) -> None:
        """Wait until it was read by a reading that began after now."""
        ...


class Findable(Renewable, Protocol):
    """One in which can be waited for something."""

    def look_again(self) -> None:
        """Have it read anew."""
        ...

    async def find(
        self, look: Callable[[RoutingTable], _Found | None], *, within_s: float
    ) -> _Found | None:
        """Return what ``look`` finds, now or in a table that comes within ``within_s`` seconds."""
        ...


@dataclass(frozen=True)
class Wanted:
    """A key that the table does not have, and may have soon."""

    #: Different for every key, and no key itself.
    name: str
    is_in: Callable[[RoutingTable], bool]
    #: Whether a reading that begins now has it for certain, if it exists. A signing key is fetched from elsewhere first.
    is_stored: bool


def signing_key(kid: str) -> Wanted:
    """Return what is missing where an access token was signed with a key that is not known."""
    return Wanted(kid, lambda table: kid in table.trust.keys, is_stored=False)


def shown_key(hashed: bytes) -> Wanted:
    """Return what is missing where somebody shows a key of ours that is not known, by its hash."""
    return Wanted(
        f"key {hashed.hex()}", lambda table: table.knows(hashed), is_stored=True
    )


class Learner:
    """Has the routing table read again for keys that are not in it.

    Args:
        table: Of the routes and keys.
    """

    def __init__(self, table: Findable) -> None:
        """Have looked for nothing."""
        self._table = table
        self._missing: dict[str, float] = {}
        self._looked = float("-inf")
        self._waiting = 0

    def may_find(self, wanted: Wanted) -> bool:
        """Whether it is worth waiting for a key."""
        if self._waiting >= WAITING:
            return False
        missed = self._missing.get(wanted.name, float("-inf"))
        return time.monotonic() - missed >= _FORGET_S

    def plan(self, wanted: Wanted, again: Callable[[], Plan], body_limit: int) -> Plan:
        """Return a plan that looks for a key, and then does what is planned anew.

        Args:
            wanted: The key.
            again: Plans anew.
            body_limit: As for strangers: a request that is larger is answered without looking.
        """
        return _LearningPlan(
            lambda: self.look(wanted),
            lambda: self.give_up(wanted),
            again,
            body_limit,
        )

    async def look(self, wanted: Wanted) -> None:
        """Read the table again, and wait until the key is there, cannot be there, or time is over."""
        self._waiting += 1
        try:
            found = await self._find(wanted)
        finally:
            self._waiting -= 1
        if not found:
            self.give_up(wanted)

    async def _find(self, wanted: Wanted) -> bool:
        now = time.monotonic()
        within_s = WITHIN_S
        if now - self._looked >= PAUSE_S:
            self._looked = now
            if wanted.is_stored:
                await self._table.renewed(within_s=WITHIN_S)
                within_s = 0
            else:
                self._table.look_again()
        found = await self._table.find(
            lambda table: wanted.is_in(table) or None, within_s=within_s
        )
        return found is not None

    def give_up(self, wanted: Wanted) -> None:
        """Do not wait for this key again for some time."""
        if len(self._missing) >= _MISSING_KEPT:
            self._missing.clear()
        self._missing[wanted.name] = time.monotonic()


class Starting:
    """Has the routing table read once more before a call is refused because its server does not run yet.

    Whoever was told by the hub that a server runs may call it before the gateway has heard so. Only calls that were let in
    come here, for servers that exist: strangers and unknown names are refused before.

    Args:
        table: Of the routes and keys.
    """

    def __init__(self, table: Renewable) -> None:
        """Have read nothing."""
        self._table = table
        self._due = float("-inf")
        self._waiting = 0

    def may_run(self, route: Route) -> bool:
        """Whether it is worth reading again."""
        return route.status in _COMING and self._waiting < WAITING

    def plan(self, again: Callable[[], Plan], body_limit: int) -> Plan:
        """Return a plan that has the table read, and then does what is planned anew.

        Args:
            again: Plans anew.
            body_limit: Of the call.
        """
        return _LearningPlan(self.look, lambda: None, again, body_limit)

    async def look(self) -> None:
        """Read the table again; together with all who ask within the pause after the last reading."""
        now = time.monotonic()
        self._waiting += 1
        try:
            if now < self._due:
                await asyncio.sleep(self._due - now)
            self._due = time.monotonic() + REREAD_PAUSE_S
            await self._table.renewed(within_s=WITHIN_S)
        finally:
            self._waiting -= 1


class _LearningPlan:
    """One request that waits."""

    is_kept = False

    def __init__(
        self,
        look: Callable[[], Awaitable[None]],
        give_up: Callable[[], None],
        again: Callable[[], Plan],
        body_limit: int,
    ) -> None:
        self._look = look
        self._give_up = give_up
        self._again = again
        self.body_limit = body_limit

    def begin(self, connection: Connection, body: bytes | None) -> None:
        if body is None:
            self._give_up()
            self._again().begin(connection, body)
            return
        _Waiting(connection, self._go_on(connection, body))

    async def _go_on(self, connection: Connection, body: bytes | None) -> None:
        await self._look()
        self._again().begin(connection, body)


class _Waiting:
    """An exchange that has nothing to say yet."""

    def __init__(self, connection: Connection, work: Coroutine[Any, Any, None]) -> None:
        connection.exchange = self
        self._task = asyncio.get_running_loop().create_task(work)

    def client_lost(self) -> None:
        """Nobody waits any more."""
        self._task.cancel()

    def pause(self) -> None:
        """Nothing is sent yet."""

    def resume(self) -> None:
        """Nothing is sent yet."""

    def check(self, now: float) -> None:
        """Looking has an end of its own."""
