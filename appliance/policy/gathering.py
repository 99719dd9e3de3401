"""Gathers all that a decision is made of. Runs inside ``database.run``, in a transaction of one moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.artifacts import store as artifact_store
from appliance.artifacts.identity import digest_of_run
from appliance.artifacts.model import Artifact, RunStatus
from appliance.core import tiers
from appliance.core.digests import address_digest
from appliance.evaluations import store as certification_store
from appliance.evaluations.certifications import standing_of
from appliance.evaluations.model import Standing
from appliance.evidence import store as evidence_store
from appliance.infra.questions import Question
from appliance.infra.questions import ask as together
from appliance.policy import document_store
from appliance.policy import store as policy_store
from appliance.policy.document import Policy
from appliance.policy.document_store import Active
from appliance.policy.model import (
    ArtifactFact,
    CertificationFact,
    ExecutorFact,
    PolicyFacts,
    PromotionFact,
    Purpose,
    RequestFact,
    ReusableFact,
)
from appliance.policy.placement import REMOTE
from appliance.policy.rules.base import Rule
from appliance.promotions import store as promotion_store
from appliance.promotions.model import PromotionFact as Promoted
from appliance.promotions.model import PromotionStatus

#: Of a digest's promotions that are over or on their way so many are told of; every active one counts.
MAX_PROMOTIONS = 20


@dataclass(frozen=True)
class Earlier:
    """A deployment of the same server and the same pinned source, whose image is still on the box."""

    deployment_id: int
    number: int
    image: str
    revision: str


@dataclass(frozen=True)
class Ask:
    """What is to be decided, as far as the rooms above know it."""

    request: RequestFact
    purpose: Purpose
    #: The deployment whose build made the image; ``None``: nothing was built.
    built_for: int | None = None
    #: The engine's id of the image, asked for where the ledger does not know it; empty: not known.
    image_id: str = ""
    executors: tuple[ExecutorFact, ...] = ()
    earlier: tuple[Earlier, ...] = ()
    catalog_image: str = ""
    is_running: bool = False
    #: Whether the ledger is taken to know what was built; where it does not, more has to be asked first.
    is_in_ledger: bool = False
    #: Instead of what the ledger says: somebody asks what would be if.
    tier: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Opening:
    """What every decision begins with: the document that counts, the hold, and what made the image."""

    active: Active
    #: ``None``: the deployment is not held.
    standing: policy_store.Standing | None
    #: ``None``: the ledger knows of none.
    artifact: Artifact | None


def opening(ask: Ask) -> Opening:
    """Return what a decision begins with, in one trip."""
    request = ask.request
    (marked,), standing, made = together(
        document_store.question_marked(),
        policy_store.question_standing(request.deployment_id),
        artifact_store.question_made_for(request.server_id, ask.built_for),
    )
    return Opening(
        marked.active(),
        standing[0] if standing else None,
        made[0].artifact() if made else None,
    )


def gather(ask: Ask, policy: Policy, begun: Opening) -> PolicyFacts:
    """Return the facts, of which only those are read that a rule asks for.

    Args:
        ask: What is asked.
        policy: By which it will be decided.
        begun: What was read of it before, in the same transaction.
    """
    request, at = ask.request, begun.active.at
    artifact = _with_digest(ask) if ask.digest else begun.artifact
    digest = ask.digest or _digest(ask, artifact)
    tier = ask.tier or _tier(request, artifact)
    reusable = _reusable(ask) if request.image is None else None
    rules = policy.for_tier(tier)
    known = _known(
        request, digest, tier, rules, run_id=artifact.id if artifact else None
    )
    return PolicyFacts(
        at=at,
        purpose=ask.purpose,
        request=request,
        tier=tier,
        digest=digest,
        artifact=_artifact_fact(artifact, known.evidence) if artifact else None,
        certifications=_certifications(rules, digest, known.certifications, at),
        promotions=_own(request, known.promotions),
        executors=ask.executors,
        reusable=reusable,
        catalog_image=ask.catalog_image,
        is_running=ask.is_running,
    )


def _with_digest(ask: Ask) -> Artifact | None:
    found = artifact_store.with_digest(ask.digest, limit=100)
    own = [item for item in found if item.run.server_id == ask.request.server_id]
    return next(iter(own), None)


def _digest(ask: Ask, artifact: Artifact | None) -> str | None:
    if ask.request.source_kind == REMOTE:
        return address_digest(ask.request.source)
    if artifact:
        return digest_of_run(artifact.run)
    return ask.image_id or None


def _tier(request: RequestFact, artifact: Artifact | None) -> str:
    if artifact:
        return artifact.rating.tier.lower()
    return tiers.tier_of(tiers.UNRATED, request.server_type)


@dataclass(frozen=True)
class _Known:
    """What is known of a digest and its run, as far as a rule asks for it."""

    certifications: Sequence[certification_store.Known] = ()
    promotions: Sequence[Promoted] = ()
    evidence: Sequence[evidence_store.Made] = ()


def _known(
    request: RequestFact,
    digest: str | None,
    tier: str,
    rules: Sequence[Rule],
    *,
    run_id: int | None,
) -> _Known:
    """Return what rules ask for, in one trip; in none where they ask for nothing."""
    wanted: dict[str, Question[Any]] = {}
    names = _requirements(rules)
    if digest is not None and names:
        wanted["certifications"] = certification_store.question_known(
            digest, tier, names, owner_id=request.owner_id, org_id=request.org_id
        )
    if digest is not None and any(item.wants_promotions for item in rules):
        wanted["promotions"] = promotion_store.question_for_digest(digest, tier)
    if run_id is not None and any(item.wants_evidence for item in rules):
        wanted["evidence"] = evidence_store.question_kinds_of(run_id)
    if not wanted:
        return _Known()
    return _Known(**dict(zip(wanted, together(*wanted.values()), strict=True)))


def _requirements(rules: Sequence[Rule]) -> tuple[str, ...]:
    wanted = (name for rule in rules for name in rule.wanted_certifications())
    return tuple(dict.fromkeys(wanted))


def _artifact_fact(
    artifact: Artifact, evidence: Sequence[evidence_store.Made]
) -> ArtifactFact:
    run = artifact.run
    return ArtifactFact(
        run_id=artifact.id,
        status=run.status.value,
        digest=digest_of_run(run),
        manifest_digest=run.manifest_digest,
        image=run.local_image,
        tier=artifact.rating.tier.lower(),
        health=artifact.rating.health.status,
        issues=tuple(item.code for item in artifact.rating.health.issues),
        platforms=tuple(item.platform for item in run.platforms),
        source_revision=run.source_revision,
        evidence=tuple(item.kind for item in evidence),
    )


def _certifications(
    rules: Sequence[Rule],
    digest: str | None,
    known: Sequence[certification_store.Known],
    at: datetime,
) -> tuple[CertificationFact, ...]:
    if digest is None:
        return ()
    found = {item.policy_requirement: item for item in known}
    return tuple(
        _certification(name, found.get(name), at) for name in _requirements(rules)
    )


def _certification(
    name: str, known: certification_store.Known | None, at: datetime
) -> CertificationFact:
    if known is None:
        return CertificationFact(name, Standing.MISSING.value)
    worth = standing_of(known.finding(), at).value
    return CertificationFact(name, worth, known.id, known.valid_until)


def _own(request: RequestFact, known: Sequence[Promoted]) -> tuple[PromotionFact, ...]:
    """Return promotions as a decision sees them: by whether they belong to whom the server belongs to."""
    owner = (None if request.org_id else request.owner_id, request.org_id)
    return tuple(
        PromotionFact(
            id=item.id,
            track=item.track,
            stage=item.stage,
            status=item.status.value,
            is_own=owner == (None if item.org_id else item.owner_id, item.org_id),
        )
        for place, item in enumerate(known)
        if place < MAX_PROMOTIONS or item.status is PromotionStatus.ACTIVE
    )


def _reusable(ask: Ask) -> ReusableFact | None:
    """Return the newest earlier image of the same revision whose digest is promoted."""
    for item in ask.earlier:
        artifact = artifact_store.made_for(ask.request.server_id, item.deployment_id)
        if artifact is None or artifact.run.status is not RunStatus.SUCCEEDED:
            continue
        digest = digest_of_run(artifact.run)
        if digest is None:
            continue
        known = promotion_store.for_digest(digest, artifact.rating.tier)
        promotions = _own(ask.request, known)
        active = [one for one in promotions if one.status == "active"]
        if active:
            return ReusableFact(
                deployment_id=item.deployment_id,
                number=item.number,
                run_id=artifact.id,
                digest=digest,
                image=item.image,
                revision=item.revision,
                promotion_id=active[0].id,
            )
    return None
