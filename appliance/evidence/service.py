"""Evidence as the rest of the hub sees it: made by a job, read and asked for again by people."""

from collections.abc import Awaitable
from dataclasses import dataclass

import structlog

from appliance.accounts.model import Action, Principal
from appliance.artifacts.model import ATTEST
from appliance.artifacts.service import LedgerService
from appliance.core.errors import DomainError
from appliance.evidence import facts, store
from appliance.evidence.attaching import Attacher
from appliance.evidence.cyclonedx import locks_of
from appliance.evidence.dsse import predicate_of
from appliance.evidence.errors import (
    AmbiguousEvidenceError,
    NoEvidenceError,
    NothingToAttestError,
    OtherRegistryError,
)
from appliance.evidence.keys import SigningKeys
from appliance.evidence.making import MADE_BY, Maker
from appliance.evidence.model import (
    Document,
    EvidenceView,
    Kind,
    Lock,
    NewDocument,
    PublicKey,
    Referrer,
    Run,
    State,
)
from appliance.infra.database import Database
from appliance.jobs.queue import enqueue
from appliance.observability import audit

log = structlog.get_logger("evidence")


@dataclass(frozen=True)
class Bundle:
    """A document with its bytes."""

    document: Document
    content: bytes


def lane_of(run_id: int) -> str:
    """Return the lane in which everything about one run's evidence happens, one thing after another."""
    return f"artifact:{run_id}"


class EvidenceService:
    """Makes, keeps and gives out evidence.

    Args:
        ledger: Knows who may know of a run.
        attacher: ``None``: this box has no registry.
        builder: Name of the builder that this box uses.
    """

    def __init__(
        self,
        database: Database,
        *,
        ledger: LedgerService,
        keys: SigningKeys,
        maker: Maker,
        attacher: Attacher | None,
        builder: str,
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._ledger = ledger
        self._keys = keys
        self._maker = maker
        self._attacher = attacher
        self._builder = builder

    # -- making

    async def attest(self, run_id: int) -> State | None:
        """Bring a run's evidence about: make what is missing, then put it beside the image; ``None``: it made no image.

        Done again it makes nothing twice. What could be made is kept although something else failed.

        Raises:
            DomainError: Something is missing; the run's state says what.
        """
        try:
            run = await self._database.run(facts.load, run_id, builder=self._builder)
        except NothingToAttestError:
            return None
        referrers: tuple[Referrer, ...] = ()
        try:
            await self._make(run)
            referrers = await self._attach(run)
        except DomainError as error:
            await self._say(run, State.FAILED, error=error.reason)
            raise
        state = State.LOCAL if run.published is None else State.ATTACHED
        await self._say(run, state, referrers=referrers)
        return state

    async def _make(self, run: Run) -> None:
        """Make and store what is not there yet.

        Raises:
            DomainError: The first thing that went wrong, after all the others were tried.
        """
        known = await self._database.run(store.documents, run.id)
        billed = {item.platform for item in known if item.kind is Kind.SBOM}
        problems = [
            problem
            for image in run.images
            if image.platform not in billed
            and (problem := await self._store(run, self._maker.bill(run, image)))
        ]
        if all(item.kind is not Kind.PROVENANCE for item in known):
            locks = await self._database.run(_locks, run.id)
            problem = await self._store(run, self._maker.provenance(run, locks))
            problems += [problem] if problem else []
        if problems:
            raise problems[0]

    async def _store(
        self, run: Run, making: Awaitable[NewDocument]
    ) -> DomainError | None:
        """Keep what is made; return what went wrong."""
        try:
            made = await making
        except DomainError as error:
            return error
        await self._database.run(store.add_document, run.id, made)
        return None

    async def _attach(self, run: Run) -> tuple[Referrer, ...]:
        if run.published is None:
            return ()
        if self._attacher is None:
            raise OtherRegistryError(
                f"The image is in {run.published.repository}, and this box has no registry now.",
                hint="Set REGISTRY to where the image is, and try again.",
            )
        found = await self._database.run(_bundles, run.id)
        return await self._attacher.attach(run.published, found)

    async def _say(
        self,
        run: Run,
        state: State,
        *,
        error: str = "",
        referrers: tuple[Referrer, ...] = (),
    ) -> None:
        await self._database.run(
            store.set_state,
            run.id,
            run.server_id,
            state,
            error=error,
            referrers=referrers,
        )
        tell = log.warning if state is State.FAILED else log.info
        tell("evidence.state", run_id=run.id, state=state.value, error=error)

    # -- reading

    async def view(self, principal: Principal, run_id: int) -> EvidenceView:
        """Return the evidence of a run.

        Raises:
            ArtifactNotFoundError: There is no such run, or the principal may not know of it.
        """
        await self._ledger.get(principal, run_id)
        return await self._database.run(store.view, run_id)

    async def bundle(
        self, principal: Principal, run_id: int, kind: Kind, platform: str = ""
    ) -> Bundle:
        """Return one document, byte for byte.

        Args:
            platform: Needed where there is one for each of several platforms.

        Raises:
            ArtifactNotFoundError: There is no such run, or the principal may not know of it.
            NoEvidenceError: There is no such document of it.
            AmbiguousEvidenceError: There are several, and no platform was named.
        """
        await self._ledger.get(principal, run_id)
        found = await self._database.run(store.documents, run_id)
        document = _chosen(found, run_id, kind, platform)
        return Bundle(document, await self._database.run(store.bundle, document.id))

    async def keys(self) -> list[PublicKey]:
        """Return every key whose signatures are good, the one that signs first."""
        return await self._keys.all()

    # -- asking

    async def retry(self, principal: Principal, run_id: int) -> EvidenceView:
        """Ask for a run's evidence once more.

        Raises:
            ArtifactNotFoundError: There is no such run, or the principal may not know of it.
            NotAllowedError: The principal may see it and not change it.
        """
        artifact = await self._ledger.require(principal, Action.DEPLOY, run_id)

        def write() -> EvidenceView:
            facts.load(run_id, builder=self._builder)
            enqueue(ATTEST, {"run_id": run_id}, lane=lane_of(run_id))
            store.set_state(run_id, artifact.run.server_id, State.PENDING)
            audit.record(
                principal,
                "evidence.retry",
                object_type="artifact",
                object_id=run_id,
                object_name=artifact.run.server_name,
            )
            return store.view(run_id)

        return await self._database.run(write)

    async def rotate_key(self, principal: Principal) -> PublicKey:
        """Let a new key sign from now on.

        Raises:
            NotAllowedError: The principal is no administrator.
        """
        return await self._keys.rotate(principal)


def _locks(run_id: int) -> list[Lock]:
    """Return the lock files that the run's bills tell of, which outlive a restart between the bills and the provenance."""
    return [
        lock
        for document, content in _bundles(run_id)
        if document.kind is Kind.SBOM and document.made_by == MADE_BY
        for lock in locks_of(predicate_of(content))
    ]


def _bundles(run_id: int) -> list[tuple[Document, bytes]]:
    return [(item, store.bundle(item.id)) for item in store.documents(run_id)]


def _chosen(
    documents: tuple[Document, ...], run_id: int, kind: Kind, platform: str
) -> Document:
    found = [item for item in documents if item.kind is kind]
    if platform:
        found = [item for item in found if item.platform in {platform, ""}]
    if not found:
        where = f" for {platform}" if platform else ""
        raise NoEvidenceError(
            f"There is no {kind.value} of artifact {run_id}{where}.",
            hint="GET /api/artifacts/:id/evidence says what there is, and why something is missing.",
        )
    if len(found) > 1:
        names = ", ".join(item.platform for item in found)
        raise AmbiguousEvidenceError(
            f"There is one for each platform: {names}.",
            fields={"platform": f"give one of {names}"},
        )
    return found[0]
