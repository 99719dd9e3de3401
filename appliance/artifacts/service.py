"""The ledger and the marketplace as the rest of the hub sees them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from appliance.accounts.access import BOX, Kind, Thing, actions, may, require, sight
from appliance.accounts.errors import NotAllowedError
from appliance.accounts.model import SYSTEM, Action, Principal
from appliance.artifacts import search, store
from appliance.artifacts.entries import Entries
from appliance.artifacts.errors import ArtifactNotFoundError
from appliance.artifacts.model import (
    ATTEST,
    Anchor,
    Artifact,
    CatalogEntry,
    CatalogQuery,
    ChainReport,
    ChainState,
    RunStatus,
    ServerFacts,
)
from appliance.artifacts.records import record_of
from appliance.builds.ports import FinishedRun
from appliance.core.chain import Place, Walk
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.jobs.queue import enqueue
from appliance.observability.events import publish_in_transaction

log = structlog.get_logger("artifacts.ledger")

#: Runs that one transaction of a check reads.
CHECK_ROWS = 500

#: Runs in a transaction; servers by their numbers, those that are gone left out.
Servers = Callable[[Collection[int]], Mapping[int, ServerFacts]]


@dataclass(frozen=True)
class CatalogPage:
    """A page of the marketplace."""

    items: list[CatalogEntry]
    #: Where the next page goes on; ``None``: this is the last.
    next: int | None


class LedgerService:
    """Writes what was built, tells of it to whoever may see it, and checks that nobody changed it.

    People see what was built for servers that they may see, or might have seen before these were deleted.

    Args:
        servers: What is known of servers.
        targets: Platforms that are wanted on this box.
        attests: Whether somebody makes evidence of runs that succeeded.
    """

    def __init__(
        self,
        database: Database,
        *,
        servers: Servers,
        targets: tuple[str, ...],
        attests: bool = False,
    ) -> None:
        """Keep the collaborators."""
        self._database = database
        self._servers = servers
        self._targets = targets
        self._attests = attests
        self._entries = Entries()

    # -- writing

    def record(self, run: FinishedRun) -> int:
        """Write the run's row inside the caller's transaction, once for each attempt at a build, and return its id."""
        facts = self._servers([run.server_id]).get(run.server_id)
        artifact, is_new = store.append(record_of(run, facts, self._targets))
        if not is_new:
            return artifact.id
        store.show(artifact, facts.org_id if facts else None)
        publish_in_transaction(
            "artifact.recorded",
            run.server_id,
            {"artifact_id": artifact.id, "status": artifact.run.status.value},
        )
        if self._attests and artifact.run.status is RunStatus.SUCCEEDED:
            enqueue(ATTEST, {"run_id": artifact.id}, lane=f"artifact:{artifact.id}")
        return artifact.id

    # -- reading

    async def search(
        self,
        principal: Principal,
        wanted: CatalogQuery,
        *,
        before: int | None = None,
        limit: int = 50,
    ) -> CatalogPage:
        """Return up to ``limit`` entries of the marketplace that the principal may see, the newest run first.

        Raises:
            InvalidError: ``wanted.tier`` begins with no class.
        """

        def read() -> CatalogPage:
            found = search.page(
                wanted,
                sight=sight(principal),
                before=before,
                limit=limit + 1,
                hosted=self._servers,
                entries=self._entries,
            )
            shown = found[:limit]
            return CatalogPage(shown, shown[-1].id if len(found) > limit else None)

        return await self._database.run(read)

    async def server_types(self, principal: Principal) -> list[str]:
        """Return the types of servers that the principal's marketplace shows, in order."""
        return await self._database.run(search.server_types, sight(principal))

    async def history(
        self,
        principal: Principal,
        *,
        server_id: int | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Artifact]:
        """Return up to ``limit`` runs that the principal may see, newest first; ``before`` is the cursor."""
        return await self._database.run(
            store.of_server, server_id, sight(principal), before, limit
        )

    async def get(self, principal: Principal, run_id: int) -> Artifact:
        """Return one run.

        Raises:
            ArtifactNotFoundError: There is none, or the principal may not know of it.
        """
        return await self.require(principal, Action.SEE, run_id)

    async def require(
        self, principal: Principal, action: Action, run_id: int
    ) -> Artifact:
        """Return one run with which the principal may do something.

        Raises:
            ArtifactNotFoundError: There is none, or the principal may not know of it.
            NotAllowedError: The principal may see it, not do this.
        """

        def read() -> Artifact:
            found = store.get(run_id)
            missing = ArtifactNotFoundError(f"There is no artifact {run_id}.")
            if found is None:
                raise missing
            require(principal, action, thing_of(found), missing)
            return found

        return await self._database.run(read)

    async def actions(
        self, principal: Principal, artifact: Artifact
    ) -> frozenset[Action]:
        """Return all that the principal may do with a run."""
        return actions(principal, await self._database.run(thing_of, artifact))

    async def is_hosted(self, artifact: Artifact) -> bool:
        """Return whether the server that the run was built for is still hosted."""
        server_id = artifact.run.server_id
        return server_id in await self._database.run(self._servers, [server_id])

    # -- the chain

    async def verify(
        self, principal: Principal, known: Anchor | None = None
    ) -> ChainReport:
        """Compare every run with its hash.

        Args:
            known: A place in the chain that somebody wrote down: without one, whoever rewrites all rows to the end and the
                end itself is not found out.

        Raises:
            NotAllowedError: The principal may not see all runs.
        """
        if not may(principal, Action.SEE, BOX):
            raise NotAllowedError(
                f"The role {principal.role.value} may not check the ledger.",
                hint="It holds everybody's builds; ask an administrator or a reader.",
            )
        end = await self._database.run(store.state)
        walk = Walk(
            "run",
            " or one of its platforms",
            known=Place(known.runs, known.head_hash) if known else None,
        )
        while links := await self._database.run(
            store.links, walk.last.seq, end.runs, CHECK_ROWS
        ):
            walk.over(links)
        walk.end(Place(end.runs, end.head_hash))
        report = ChainReport(end.runs, end.head_hash, tuple(walk.breaks), now())
        problem = report.breaks[0].message if report.breaks else ""
        if known is None:  # else what was written down may be what is wrong
            await self._database.run(store.note_check, report.checked_at, problem)
        # The log is kept elsewhere than the ledger, so it also tells which end there was when.
        tell = log.info if report.is_intact else log.error
        tell(
            "ledger.checked",
            runs=report.runs,
            head_hash=report.head_hash,
            problem=problem,
        )
        return report

    async def check(self) -> None:
        """Verify the whole chain; for the clock."""
        await self.verify(SYSTEM)

    async def chain_state(self) -> ChainState:
        """Return the end of the chain and what the last check found."""
        return await self._database.run(store.state)

    async def is_indexed(self) -> bool:
        """Return whether searches use an index; if not, Postgres lacks pg_trgm and they read the whole catalog."""
        return await self._database.run(search.is_indexed)


def thing_of(artifact: Artifact) -> Thing:
    """Return what a run is to whoever decides who may do what: as its server is now, or was at its end.

    Runs inside ``database.run``.
    """
    run = artifact.run
    owner_id, org_id = store.belongs_to(run.server_id, run.owner_id)
    return Thing(Kind.ARTIFACT, artifact.id, owner_id, org_id, run.server_id)
