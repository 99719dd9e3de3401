"""Looks at domains when their time has come. Runs beside the front door, so that it goes on without the hub."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import structlog

from appliance.core.clock import now
from appliance.domains import findings, store
from appliance.domains.asking import Asker
from appliance.domains.model import Domain
from appliance.domains.ownership import judge
from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.infra.waiting import set_within

log = structlog.get_logger("domains")

CHANNEL = "domains"
#: Names that are asked about at once.
AT_ONCE = 20
#: Without a word that something changed, it is looked anyway.
LONGEST_S = 60.0
#: A moment in which several claims come is one look.
SHORTEST_S = 0.05
AWAY_S = 2.0


async def nothing_to_prepare(_host: str) -> None:
    """Have no certificate to lay down."""


class Checker:
    """Asks whose names are.

    Args:
        database: Where the claims are; it may be away for a while.
        asker: Asks DNS.
        expected: Returns where names have to point; blocking, but short.
        prepare: Called with a host that is about to be served, so that a certificate for it is there first.
    """

    def __init__(
        self,
        database: Database,
        asker: Asker,
        *,
        expected: Callable[[], Collection[str]],
        prepare: Callable[[str], Awaitable[None]] = nothing_to_prepare,
    ) -> None:
        """Look at nothing yet."""
        self._database = database
        self._asker = asker
        self._expected = expected
        self._prepare = prepare
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._look_always())

    async def look(self) -> int:
        """Look at all that are due, and return how many that were."""
        count = 0
        while due := await self._database.run(store.lease, now(), limit=AT_ONCE):
            count += len(due)
            expected = await asyncio.to_thread(self._expected)
            await asyncio.gather(*(self._one(item, expected) for item in due))
        return count

    async def _one(self, domain: Domain, expected: Collection[str]) -> None:
        answers = await self._asker.ask(domain.host)
        finding = judge(domain, answers, expected)
        if finding.proof is not None and not domain.is_verified:
            # The gateway serves it as soon as the row says so; a visitor of that moment wants a certificate.
            await self._prepare(domain.host)
        found = await self._database.run(findings.write, domain.id, finding, now())
        if found is not None and found.is_verified != domain.is_verified:
            log.info("domain_verified", host=domain.host, server_id=domain.server_id)

    async def _listen(self) -> None:
        async for _ in self._database.listen(CHANNEL):
            self._wake.set()

    async def _look_always(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.look()
                pause_s = await self._pause_s()
            except DatabaseUnavailableError as error:
                log.warning("domains_not_read", error=error.detail)
                pause_s = AWAY_S
            await set_within(self._wake, pause_s)
            await asyncio.sleep(SHORTEST_S)

    async def _pause_s(self) -> float:
        due = await self._database.run(store.next_due)
        if due is None:
            return LONGEST_S
        return min(max((due - now()).total_seconds(), 0.0), LONGEST_S)
