"""What people ask of the policy about servers: why, what if, and what was decided."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from appliance.accounts.access import BOX, may, require_known, sight
from appliance.accounts.model import Action, Principal
from appliance.artifacts import wellknown
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.core.tiers import is_pattern
from appliance.infra.database import Database
from appliance.policy import document_store
from appliance.policy import store as policy_store
from appliance.policy.decide import decide
from appliance.policy.document import Policy, parse
from appliance.policy.errors import NoDecisionError
from appliance.policy.gathering import Ask
from appliance.policy.model import (
    Decision,
    ExecutorFact,
    Hold,
    Purpose,
    RequestFact,
    StoredDecision,
    Verdict,
)
from appliance.policy.records import facts_from_json
from appliance.policy.service import read_document
from appliance.servers import deployment_store, store, vm_store
from appliance.servers.access import visible_server
from appliance.servers.gate import (
    Gate,
    Ruling,
    ask_about,
    look,
    origin_of,
    revision_of,
)
from appliance.servers.model import Deployment, DeploymentState, Server
from appliance.servers.vm_store import VmInstance

#: Servers that one transaction of a dry run looks at.
DRY_RUN_ROWS = 100
#: What a server that nobody hosts yet is made of.
CATALOG = "catalog"


@dataclass(frozen=True)
class Question:
    """What would happen if."""

    #: Number or name; ``None``: one that is not hosted yet, of ``server_type``.
    server: int | str | None = None
    server_type: str = ""
    #: Number within the server; ``None``: what is on its way, else what is live, else what a deployment of today would be.
    deployment: int | None = None
    #: What is to be otherwise; empty or ``None``: as it is.
    tier: str = ""
    digest: str = ""
    isolation: str = ""
    use_gpu: bool | None = None
    backend: str = ""
    #: By which policy; both ``None``: the active one.
    version: int | None = None
    document: Any = None


@dataclass(frozen=True)
class DryRun:
    """What another policy would change for one server."""

    server_id: int
    server_name: str
    deployment: int
    before: Decision
    after: Decision

    @property
    def differs(self) -> bool:
        """Whether anything but the notes' order changes."""
        return self.before != self.after


class ServerPolicies:
    """Answers for a principal; who may not know of a server gets ``ServerNotFoundError``."""

    def __init__(self, database: Database, gate: Gate) -> None:
        """Keep the two."""
        self._database = database
        self._gate = gate

    async def explain(self, principal: Principal, question: Question) -> Ruling:
        """Decide as the gate would, with what is to be otherwise, and store nothing.

        Raises:
            InvalidError: A field of the question, or of its document, is wrong.
            NoDeploymentError: There is none of this number.
            NoDocumentError: There is no such version.
        """
        _check(question)
        written = question.document
        given = None if written is None else parse(read_document(written))
        ask = await self._ask(principal, question)

        def decided() -> Ruling:
            policy = given
            if policy is None and question.version is not None:
                policy = document_store.policy_of(question.version or None)
            return look(_otherwise(ask, question), policy)

        return await self._database.run(decided)

    async def _ask(self, principal: Principal, question: Question) -> Ask:
        if question.server is None:
            executors = await self._gate.executors()
            return replace(_unhosted(question.server_type), executors=executors)

        def find() -> tuple[Server, Deployment | None]:
            server = visible_server(principal, question.server or 0)
            if question.deployment is not None:
                return server, deployment_store.numbered(server.id, question.deployment)
            return server, store.deployment_in(
                server.id, DeploymentState.PENDING
            ) or store.deployment_in(server.id, DeploymentState.LIVE)

        server, deployment = await self._database.run(find)
        if deployment is not None:
            return await self._gate.ask(server, deployment, Purpose.EXPLAIN)
        executors = await self._gate.executors()
        return Ask(_of_today(server), Purpose.EXPLAIN, executors=executors)

    async def dry_run(
        self, principal: Principal, document: Any, version: int | None = None
    ) -> list[DryRun]:
        """Return what another policy would change, server by server, as if each were launched now.

        Raises:
            NotAllowedError: They are no administrator.
            InvalidError: Names each field of the document that is wrong.
        """
        require_known(principal, Action.ADMINISTER, BOX)
        executors = await self._gate.executors()
        policy = parse(read_document(document)) if document is not None else None
        ids = await self._database.run(store.all_ids)
        found: list[DryRun] = []
        for start in range(0, len(ids), DRY_RUN_ROWS):
            some = ids[start : start + DRY_RUN_ROWS]

            def compare(some: Sequence[int] = some) -> list[DryRun]:
                after = policy or document_store.policy_of(version)
                return _compare(some, after, executors)

            found += await self._database.run(compare)
        return [item for item in found if item.differs]

    # -- what was decided

    async def decisions(
        self,
        principal: Principal,
        *,
        server: int | str | None = None,
        verdict: Verdict | None = None,
        digest: str = "",
        before: int | None = None,
        limit: int = 50,
    ) -> list[StoredDecision]:
        """Return decisions that the principal may see, newest first; ``before`` (a number) is the cursor."""

        def read() -> list[StoredDecision]:
            servers: list[int] | None = None
            if server is not None:
                servers = [visible_server(principal, server).id]
            elif not may(principal, Action.SEE, BOX):
                servers = store.visible_ids(sight(principal))
            return policy_store.page(
                servers=servers,
                verdict=verdict,
                digest=digest,
                before=before,
                limit=limit,
            )

        return await self._database.run(read)

    async def decision(
        self, principal: Principal, decision_id: int
    ) -> tuple[StoredDecision, bool]:
        """Return one decision, and whether its stored facts make it again.

        Raises:
            NoDecisionError: There is none, or they may not know of its server.
        """

        def read() -> tuple[StoredDecision, bool]:
            found = policy_store.get(decision_id)
            is_shown = found is not None and (
                may(principal, Action.SEE, BOX)
                or found.server_id in store.visible_ids(sight(principal))
            )
            if found is None or not is_shown:
                raise NoDecisionError(f"There is no decision {decision_id}.")
            return found, is_reproduced(found)

        return await self._database.run(read)

    async def holds(self, principal: Principal, server: int | str) -> list[Hold]:
        """Return what is held of a server, and what to do about it."""

        def read() -> list[Hold]:
            found = visible_server(principal, server)
            return list(policy_store.holds_of([found.id]).get(found.id, ()))

        return await self._database.run(read)

    async def instances(
        self, principal: Principal, server: int | str
    ) -> list[VmInstance]:
        """Return what a server's newest instances were kept apart by, and what became of them."""
        return await self._database.run(
            lambda: vm_store.of_server(visible_server(principal, server).id)
        )


async def prune_decisions(database: Database, keep_days: int) -> None:
    """Remove decisions and instances' records that are older than the audit trail; for the clock.

    Args:
        database: Where they are.
        keep_days: 0: for ever.
    """
    if keep_days == 0:
        return
    before = now() - timedelta(days=keep_days)
    await database.run(policy_store.prune, before)
    await database.run(vm_store.prune, before)


def is_reproduced(stored: StoredDecision) -> bool:
    """Tell whether the stored facts and document make the same decision again. Runs inside ``database.run``."""
    facts = facts_from_json(stored.facts)
    policy = document_store.policy_of(stored.document_version)
    return decide(facts, policy) == stored.decision


def _check(question: Question) -> None:
    if question.server is None and not question.server_type:
        raise InvalidError.field(
            "server", "name a server, or give server_type for one that is not hosted"
        )
    is_tier = is_pattern(question.tier) and "*" not in question.tier
    if question.tier and not is_tier:
        raise InvalidError.field("tier", "give a tier, such as gold:npm")


def _unhosted(server_type: str) -> Ask:
    """Return the question about a server that nobody hosts: of the catalog, where that has one of this name."""
    known = wellknown.find(server_type.lower())
    request = RequestFact(
        server_id=0,
        server_name=server_type,
        server_type=server_type,
        source_kind=CATALOG,
        source=known.source if known else "",
    )
    image = known.image if known else ""
    return Ask(request, Purpose.EXPLAIN, catalog_image=image)


def _of_today(server: Server) -> RequestFact:
    """Return what a deployment of today would be. Pure."""
    return RequestFact(
        server_id=server.id,
        server_name=server.name,
        server_type=server.server_type,
        source_kind=server.source.kind,
        source=origin_of(server.source),
        owner_id=server.owner_id,
        org_id=server.org_id,
        revision=revision_of(server.source),
        isolation=server.config.isolation.tier.value,
        use_gpu=server.config.isolation.use_gpu,
    )


def _otherwise(ask: Ask, question: Question) -> Ask:
    """Return the question with what is to be otherwise. Pure."""
    request = ask.request
    use_gpu = request.use_gpu if question.use_gpu is None else question.use_gpu
    request = replace(
        request,
        isolation=question.isolation or request.isolation,
        use_gpu=use_gpu,
        backend=question.backend or request.backend,
        image=(request.image or "") if question.digest else request.image,
    )
    return replace(
        ask, request=request, tier=question.tier.lower(), digest=question.digest
    )


def _compare(
    ids: Sequence[int], after: Policy, executors: tuple[ExecutorFact, ...]
) -> list[DryRun]:
    before = document_store.active().policy
    pending = store.deployments_in(ids, DeploymentState.PENDING)
    live = store.deployments_in(ids, DeploymentState.LIVE)
    found = []
    for number in ids:
        server = store.find_by_id(number)
        deployment = pending.get(number) or live.get(number)
        if server is None or deployment is None:
            continue
        ask = ask_about(server, deployment, Purpose.EXPLAIN)
        known = policy_store.digest_of(deployment.id) or deployment.wanted_digest
        ask = replace(ask, executors=executors, image_id=known, earlier=())
        found.append(
            DryRun(
                number,
                server.name,
                deployment.number,
                look(ask, before).decision,
                look(ask, after).decision,
            )
        )
    return found
