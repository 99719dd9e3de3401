"""The gate that every launch passes: what is asked of the policy, and what its answer means for a server."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.artifacts import store as artifact_store
from appliance.infra.database import Database
from appliance.policy import store as policy_store
from appliance.policy.decide import decide
from appliance.policy.document import Policy
from appliance.policy.gathering import Ask, Earlier, gather, opening
from appliance.policy.model import (
    Decision,
    ExecutorFact,
    PolicyFacts,
    Purpose,
    RequestFact,
    Verdict,
)
from appliance.policy.placement import REMOTE
from appliance.runtimes.ports import Executor
from appliance.servers import deployment_store
from appliance.servers.model import Deployment, Server, Status
from appliance.servers.versions import built_for
from appliance.sources.model import (
    ArchiveSource,
    GitSource,
    ImageSource,
    PackageSource,
    RemoteSource,
    Source,
)

#: What executors say of themselves is asked again after so many seconds; they look themselves when they start something.
DESCRIBED_FOR_S = 30.0
#: Of so many earlier deployments it is looked whether their image can be taken again.
MAX_EARLIER = 5
_COMMIT = re.compile(r"[0-9a-f]{40}")
_STATUS = {
    Verdict.HOLD_EVALUATION: Status.PENDING_EVALUATION,
    Verdict.HOLD_GOVERNANCE: Status.PENDING_GOVERNANCE,
}


@dataclass(frozen=True)
class Ruling:
    """A decision as it was stored."""

    #: 0: it was not.
    decision_id: int
    decision: Decision
    facts: PolicyFacts

    @property
    def launches(self) -> bool:
        """Whether an instance may start now."""
        return self.decision.verdict is Verdict.LAUNCH

    @property
    def is_refused(self) -> bool:
        """Whether waiting does not help."""
        return self.decision.verdict is Verdict.REFUSE

    @property
    def status(self) -> Status:
        """What a server of which nothing runs is by this."""
        return _STATUS.get(self.decision.verdict, Status.ERROR)

    @property
    def told(self) -> str:
        """Why, and the next step."""
        return " ".join([self.decision.reason, *self.decision.actions[:1]]).strip()


class Gate:
    """Asks the policy, with facts of one moment, and has the answer stored.

    Args:
        database: Where facts and decisions are.
        executors: What may run servers, the one preferred first.
    """

    def __init__(self, database: Database, executors: Sequence[Executor]) -> None:
        """Keep the two."""
        self._database = database
        self._executors = tuple(executors)
        self._described: tuple[ExecutorFact, ...] = ()
        self._described_at = float("-inf")

    async def rule(
        self, server: Server, deployment: Deployment, purpose: Purpose
    ) -> Ruling:
        """Decide, now, and store the decision; what is decided holds for the very next thing that is done.

        Raises:
            EngineUnavailableError: The engine does not answer.
        """
        if deployment.image is not None and deployment.made_of is None:
            # Most launches: what was built for this very deployment is in the ledger, so that one transaction does.
            ask = replace(_plain(server, deployment, purpose), is_in_ledger=True)
            ask = await self._with_executors(ask, deployment)
            ruling = await self._database.run_as_one_moment(_rule, ask)
            if ruling is not None:
                return ruling
        ask = await self.ask(server, deployment, purpose)
        ruling = await self._database.run_as_one_moment(_rule, ask)
        assert ruling is not None  # noqa: S101 - only where the ledger was to know it
        return ruling

    async def ask(
        self, server: Server, deployment: Deployment, purpose: Purpose
    ) -> Ask:
        """Return what the policy is asked about a deployment."""
        ask, is_known = await self._database.run(_prepare, server, deployment, purpose)
        ask = await self._with_executors(ask, deployment)
        if ask.earlier:
            there = [item for item in ask.earlier if await self._image_id(item.image)]
            ask = replace(ask, earlier=tuple(there))
        if deployment.image and not is_known:
            ask = replace(ask, image_id=await self._image_id(deployment.image))
        return ask

    async def _with_executors(self, ask: Ask, deployment: Deployment) -> Ask:
        if isinstance(deployment.source, RemoteSource):
            return ask
        return replace(ask, executors=await self.executors())

    async def executors(self) -> tuple[ExecutorFact, ...]:
        """Return what executors say of themselves.

        Raises:
            EngineUnavailableError: The engine does not answer.
        """
        if time.monotonic() - self._described_at > DESCRIBED_FOR_S:
            found = [await item.describe() for item in self._executors]
            self._described = tuple(
                ExecutorFact(
                    item.name,
                    tuple(sorted(item.capabilities)),
                    tuple(sorted(item.isolation_tiers)),
                )
                for item in found
            )
            self._described_at = time.monotonic()
        return self._described

    async def _image_id(self, image: str) -> str:
        for executor in self._executors:
            if found := await executor.image_id(image):
                return found
        return ""


def _rule(ask: Ask) -> Ruling | None:
    """Decide and store, as of one moment; ``None``: the ledger does not know the image after all."""
    begun = opening(ask)
    now = begun.active
    facts = gather(ask, now.policy, begun)
    if ask.is_in_ledger and ask.request.source_kind != REMOTE and not facts.artifact:
        return None
    decision = decide(facts, now.policy)
    number = policy_store.keep(facts, decision, now.version, begun.standing)
    return Ruling(number, decision, facts)


def look(ask: Ask, policy: Policy | None = None) -> Ruling:
    """Decide as ``Gate.rule`` does, and store nothing. Runs inside ``database.run``.

    Args:
        ask: What is asked.
        policy: By which it is decided; ``None``: by the active one.
    """
    if policy is None:
        policy_store.as_one_moment()
    begun = opening(ask)
    chosen = begun.active.policy if policy is None else policy
    facts = gather(ask, chosen, begun)
    return Ruling(0, decide(facts, chosen), facts)


def ask_about(server: Server, deployment: Deployment, purpose: Purpose) -> Ask:
    """Return what the policy is asked about a deployment, without what only the engine knows."""
    ask = _plain(server, deployment, purpose)
    builds = deployment.image is None
    if deployment.made_of is not None and not builds:
        ask = replace(ask, built_for=built_for(deployment))
    if builds and revision_of(deployment.source):
        ask = replace(ask, earlier=_earlier(deployment))
    return ask


def _plain(server: Server, deployment: Deployment, purpose: Purpose) -> Ask:
    """Return what is asked as far as the deployment's own row tells. Pure."""
    builds = deployment.image is None
    is_remote = isinstance(deployment.source, RemoteSource)
    return Ask(
        request=request_of(server, deployment),
        purpose=purpose,
        built_for=None if builds or is_remote else deployment.id,
        is_running=purpose is Purpose.KEEP,
    )


def _prepare(
    server: Server, deployment: Deployment, purpose: Purpose
) -> tuple[Ask, bool]:
    """Return what the policy is asked, and whether the ledger knows what made the image."""
    ask = ask_about(server, deployment, purpose)
    if ask.built_for is None:
        return ask, ask.request.source_kind == REMOTE
    return ask, artifact_store.made_for(server.id, ask.built_for) is not None


def request_of(server: Server, deployment: Deployment) -> RequestFact:
    """Return what is to run, as its owner configured it. Pure."""
    isolation = deployment.config.isolation
    return RequestFact(
        server_id=server.id,
        server_name=server.name,
        server_type=server.server_type,
        source_kind=deployment.source.kind,
        source=origin_of(deployment.source),
        owner_id=server.owner_id,
        org_id=server.org_id,
        revision=revision_of(deployment.source),
        deployment_id=deployment.id,
        image=deployment.image,
        isolation=isolation.tier.value,
        use_gpu=isolation.use_gpu,
    )


def origin_of(source: Source) -> str:
    """Return where something comes from, without which revision of it. Pure.

    >>> origin_of(ImageSource("ghcr.io/a/b:1"))
    'ghcr.io/a/b:1'
    """
    match source:
        case PackageSource():
            return f"{source.ecosystem.value}:{source.name}"
        case GitSource():
            return source.url
        case ArchiveSource():
            return source.filename
        case ImageSource():
            return source.reference
        case RemoteSource():
            return source.url


def revision_of(source: Source) -> str:
    """Return the revision, where the source alone says which it is; empty: only a look there tells. Pure."""
    match source:
        case PackageSource():
            return source.version or ""
        case GitSource():
            branch = source.branch or ""
            return branch if _COMMIT.fullmatch(branch) else ""
        case ArchiveSource():
            return source.digest
        case ImageSource():
            return source.reference.partition("@")[2]
        case RemoteSource():
            return ""


def _earlier(deployment: Deployment) -> tuple[Earlier, ...]:
    """Return what was made of the same source in the same way, newest first."""
    return tuple(
        Earlier(
            deployment_id=built_for(item),
            number=item.number,
            image=item.image or "",
            revision=revision_of(item.source),
        )
        for item in deployment_store.made_alike(deployment, MAX_EARLIER)
    )
