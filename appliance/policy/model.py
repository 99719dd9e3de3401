"""What decides whether something may run, and what was decided.

``PolicyFacts`` is all that a decision is made of. It is stored with the decision, so that anybody can make it again.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

#: The job that looks again at deployments that are held, or that must not go on: ``{"digest": …}``, ``{"server_id": …}``
#: or ``{"all": true}``. Enqueued by whatever may lift a hold or end a permission, inside its own transaction.
REVIEW = "policy.review"


class Verdict(StrEnum):
    """What is decided."""

    LAUNCH = "launch"
    #: There is no image yet; it may be made.
    BUILD = "build"
    #: A certification is missing.
    HOLD_EVALUATION = "hold-evaluation"
    #: A promotion is missing.
    HOLD_GOVERNANCE = "hold-governance"
    #: It cannot or must not run as it is; waiting does not help.
    REFUSE = "refuse"

    @property
    def is_hold(self) -> bool:
        """Whether it waits for somebody's evidence or approval."""
        return self in {Verdict.HOLD_EVALUATION, Verdict.HOLD_GOVERNANCE}


class Purpose(StrEnum):
    """What an instance, or an answer, is for."""

    #: Clients are sent there.
    SERVE = "serve"
    #: An instance of a held deployment, to be evaluated; no client is sent there.
    CANDIDATE = "candidate"
    #: An image is to be made.
    BUILD = "build"
    #: Something runs already: may it go on?
    KEEP = "keep"
    #: Somebody asks what would happen; never stored.
    EXPLAIN = "explain"


@dataclass(frozen=True)
class RequestFact:
    """What is to run, as its owner configured it."""

    server_id: int
    server_name: str
    server_type: str
    #: ``package``, ``git``, ``archive``, ``image`` or ``remote``.
    source_kind: str
    #: Repository, package, image or address.
    source: str
    #: Whose it is: promotions and certifications of others count for nothing.
    owner_id: int = 0
    org_id: int | None = None
    #: Version, digest or address, where the source alone says which revision it is; empty: it does not.
    revision: str = ""
    deployment_id: int | None = None
    #: The image that was made for it; ``None``: there is none yet. Empty: it needs none.
    image: str | None = None
    isolation: str = "standard"
    use_gpu: bool = False
    #: By which it is to be run; empty: the box's first.
    backend: str = ""


@dataclass(frozen=True)
class ArtifactFact:
    """The run of the ledger that made the image."""

    run_id: int
    status: str
    #: By which it is certified and promoted; ``None``: it came to no image.
    digest: str | None
    manifest_digest: str | None
    #: The tag on this box.
    image: str
    tier: str
    #: ``healthy``, ``degraded`` or ``unhealthy``.
    health: str
    #: Codes of what is wrong with it.
    issues: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    source_revision: str = ""
    #: Kinds of signed documents that there are: ``sbom``, ``provenance``.
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class CertificationFact:
    """What is known of one requirement for the digest and the tier."""

    requirement: str
    #: ``active``, ``pending``, ``failed``, ``expired``, ``not-yet`` or ``missing``, at the moment of the facts.
    standing: str
    id: int | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True)
class PromotionFact:
    """One promotion of the digest."""

    id: int
    track: str
    stage: str
    #: ``scheduled``, ``in_progress``, ``approved``, ``active``, ``superseded`` or ``rolled_back``, as promotions have it.
    status: str
    #: Whether the track belongs to whom the server belongs to; others' count only where a rule names them.
    is_own: bool = True


@dataclass(frozen=True)
class ExecutorFact:
    """What an executor says of itself."""

    name: str
    capabilities: tuple[str, ...] = ()
    isolation_tiers: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReusableFact:
    """An image of the same server and revision whose digest is promoted."""

    deployment_id: int
    number: int
    run_id: int
    digest: str
    image: str
    revision: str
    #: Of the promotion that is active.
    promotion_id: int = 0


@dataclass(frozen=True)
class PolicyFacts:
    """All that decides; equal facts and an equal document make an equal decision."""

    #: Of Postgres, inside the transaction that read the rest.
    at: datetime
    purpose: Purpose
    request: RequestFact
    tier: str
    #: ``None``: there is nothing to certify yet.
    digest: str | None
    artifact: ArtifactFact | None = None
    certifications: tuple[CertificationFact, ...] = ()
    promotions: tuple[PromotionFact, ...] = ()
    #: In the order in which they are preferred.
    executors: tuple[ExecutorFact, ...] = ()
    reusable: ReusableFact | None = None
    #: The image that servers of this type have where nothing was built; empty: none.
    catalog_image: str = ""
    #: Whether it runs already.
    is_running: bool = False


@dataclass(frozen=True)
class Decision:
    """What was decided, and why."""

    verdict: Verdict
    #: Everything that was looked at, in a form that programs match: ``evaluation:missing:gold:npm:smoke``.
    notes: tuple[str, ...]
    #: What the reader can do next, a sentence each; empty where nothing is held or refused.
    actions: tuple[str, ...]
    #: Why, in words for people; empty for one that launches.
    reason: str
    #: By what it is run, and by what it was to be run.
    backend: str
    candidate_backend: str
    executor_name: str
    image: str
    build_required: bool
    capability_requirements: tuple[str, ...]
    capabilities_satisfied: bool
    manifest_digest: str | None
    artifact_run_id: int | None
    tier: str
    evaluation_required: bool = False
    governance_required: bool = False
    #: Whether what runs already must end.
    ends_running: bool = False
    #: Number of the deployment whose image is taken instead of a build.
    reuses: int | None = None


@dataclass(frozen=True)
class StoredDecision:
    """A decision as it was made."""

    id: int
    server_id: int
    deployment_id: int | None
    purpose: Purpose
    decided_at: datetime
    #: Of the document; ``None``: none was active.
    document_version: int | None
    decision: Decision
    facts: dict[str, Any]


@dataclass(frozen=True)
class Document:
    """One version of the policy."""

    version: int
    body: dict[str, Any]
    is_active: bool
    created_by: str
    created_at: datetime
    note: str = ""
    activated_at: datetime | None = None
    activated_by: str = ""


@dataclass(frozen=True)
class Hold:
    """A deployment that may not run for now."""

    deployment_id: int
    server_id: int
    verdict: Verdict
    reason: str
    actions: tuple[str, ...]
    notes: tuple[str, ...]
    decision_id: int
    since: datetime
    #: Whether an instance that runs has to end.
    ends_running: bool = False
