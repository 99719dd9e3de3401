"""What people ask about calls, and what the clock does with old ones."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import timedelta

from appliance.accounts.model import Principal
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.invocations import days, partitions, store
from appliance.invocations.errors import InvocationNotFoundError
from appliance.invocations.model import (
    Cursor,
    Filter,
    FullInvocation,
    Invocation,
    Page,
    Summary,
)

#: Runs in a transaction; returns the server's number or raises what who may not see the server is told.
Visible = Callable[[Principal, int | str], int]
#: Runs in a transaction; numbers to names, those that are not known left out.
Names = Callable[[Collection[int]], Mapping[int, str]]

_OWN_WORDS = {"server": "endpoint key", "hub": "the hub"}


class InvocationService:
    """Tells of the calls of a server to whoever may see that server.

    Args:
        visible: Finds the server that somebody may see.
        people: Names people.
        bundles: Names bundles.
        keep_days: How long calls are kept.
    """

    def __init__(
        self,
        database: Database,
        *,
        visible: Visible,
        people: Names,
        bundles: Names,
        keep_days: int,
    ) -> None:
        """Keep the collaborators."""
        self._database = database
        self._visible = visible
        self._names = {"user": people, "bundle": bundles}
        self._keep_days = keep_days

    async def page(
        self,
        principal: Principal,
        server: int | str,
        wanted: Filter,
        *,
        after: Cursor | None = None,
        limit: int = 50,
    ) -> Page:
        """Return up to ``limit`` calls that match, newest first.

        It may be fewer, even none, with a place to go on from: one page looks at a bounded number of calls.
        """

        def read() -> Page:
            found = store.page(self._visible(principal, server), wanted, after, limit)
            return replace(found, items=self._named(found.items))

        return await self._database.run(read)

    async def get(
        self, principal: Principal, server: int | str, invocation_id: int
    ) -> FullInvocation:
        """Return one call with what is kept of its bodies.

        Raises:
            InvocationNotFoundError: The server had no such call, or it is too old to be kept.
        """

        def read() -> FullInvocation:
            found = store.find(self._visible(principal, server), invocation_id)
            if found is None:
                raise InvocationNotFoundError(
                    f"There is no invocation {invocation_id} of this server.",
                    hint=f"Invocations are kept for {self._keep_days} days.",
                )
            return replace(found, call=self._named([found.call])[0])

        return await self._database.run(read)

    async def summary(
        self, principal: Principal, server: int | str, *, window: timedelta
    ) -> Summary:
        """Return what the calls of the last ``window`` were like."""
        until = now()
        since = until - window

        def read() -> Summary:
            total, kinds = store.figures(self._visible(principal, server), since, until)
            sample = total.calls if total.calls >= store.SAMPLE_ROWS else None
            return Summary(since, until, total, kinds, sample)

        return await self._database.run(read)

    async def keep(self) -> None:
        """Make the partitions of the days to come and drop those that are too old; for the clock."""
        today = now().date()
        for day in days.wanted(today):
            await self._database.run(partitions.make, day)
        names = await self._database.run(partitions.names)
        for name in days.expired(names, today, self._keep_days):
            await self._database.run(partitions.drop, name)
        before = now() - timedelta(days=self._keep_days)
        await self._database.run(partitions.prune_default, before)

    def _named(self, calls: list[Invocation]) -> list[Invocation]:
        """Return ``calls`` with their callers' names."""
        known: dict[str, str] = {}
        for kind, names in self._names.items():
            numbers = {_number(call.principal, kind) for call in calls} - {None}
            found = names([number for number in numbers if number is not None])
            known |= {f"{kind}:{number}": name for number, name in found.items()}
        return [
            replace(call, caller=known.get(call.principal) or _caller(call.principal))
            for call in calls
        ]


def _number(principal: str, kind: str) -> int | None:
    found, _, number = principal.partition(":")
    return int(number) if found == kind and number.isdigit() else None


def _caller(principal: str) -> str:
    kind, _, number = principal.partition(":")
    return _OWN_WORDS.get(kind) or f"{kind} {number}".strip()
