"""Wait a moment for news that a request was faster than: of a new key, and of a server that has just begun to run."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

from appliance.gateway.http.listener import Connection, Plan
from appliance.gateway.routes import LiveTable, Route

#: Seconds that a request waits for a table with its key.
WITHIN_S: Final = 1.0
#: Strangers can name any key. So many may wait at once, the table is not read more often for them than every so many seconds,
#: and a key that was not found is not waited for again for some time.
WAITING: Final = 64
_PAUSE_S: Final = 2.0
_FORGET_S: Final = 60.0
_MISSING_KEPT: Final = 1024
#: Seconds between two readings of the table for servers that do not run yet, however many ask for them.
REREAD_PAUSE_S: Final = 0.5
#: From these a server comes to run by itself. Of all others a change is heard long before a call can be right.
_COMING: Final = frozenset({"queued", "cloning", "building", "pushing", "starting"})


class Learner:
    """Has the routing table read again for keys that are not in it.

    Args:
        table: Of the routes and keys.
    """

    def __init__(self, table: LiveTable) -> None:
        """Have looked for nothing."""
        self._table = table
        self._missing: dict[str, float] = {}
        self._looked = float("-inf")
        self._waiting = 0

    def may_find(self, kid: str) -> bool:
        """Whether it is worth waiting for a key."""
        if not kid or self._waiting >= WAITING:
            return False
        missed = self._missing.get(kid, float("-inf"))
        return time.monotonic() - missed >= _FORGET_S

    def plan(self, kid: str, again: Callable[[], Plan], body_limit: int) -> Plan:
        """Return a plan that looks for a key, and then does what is planned anew.

        Args:
            kid: The key's id.
            again: Plans anew.
            body_limit: As for strangers: a request that is larger is answered without looking.
        """
        return _LearningPlan(
            lambda: self.look(kid), lambda: self.give_up(kid), again, body_limit
        )

    async def look(self, kid: str) -> None:
        """Read the table again, and wait until the key is there or time is over."""
        now = time.monotonic()
        if now - self._looked >= _PAUSE_S:
            self._looked = now
            self._table.look_again()
        self._waiting += 1
        try:
            found = await self._table.find(
                lambda table: table.trust.keys.get(kid), within_s=WITHIN_S
            )
        finally:
            self._waiting -= 1
        if found is None:
            self.give_up(kid)

    def give_up(self, kid: str) -> None:
        """Do not wait for this key again for some time."""
        if len(self._missing) >= _MISSING_KEPT:
            self._missing.clear()
        self._missing[kid] = time.monotonic()


class Renewable(Protocol):
    """A table that can be read anew."""

    async def renewed(self, *, within_s: float) -> None:
        """Wait until it was read by a reading that began after now."""
        ...


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
