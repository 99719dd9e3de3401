"""What is asked of the policy, and how its answers look in JSON."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field, model_validator

from appliance.policy.model import (
    Decision,
    Document,
    Hold,
    Purpose,
    StoredDecision,
    Verdict,
)
from appliance.policy.records import facts_as_json
from appliance.policy.texts import write_text
from appliance.servers.gate import Ruling
from appliance.servers.policies import DryRun, Question
from appliance.servers.vm_store import VmInstance
from appliance.web.api.answer import Answer
from appliance.web.api.marketplace import PlaceQuery
from appliance.web.parsing import Input

#: Characters of a document; what is longer is refused before it is read.
MAX_DOCUMENT = 64 * 1024


class DocumentFields(Input):
    """A document, in one of its two forms."""

    document: dict[str, Any] | None = Field(
        None,
        description="`{version: 1, rules: [{kind, tiers, …}]}`; docs/policy.md lists the kinds.",
    )
    text: str = Field(
        "", max_length=MAX_DOCUMENT, description="The same in YAML or JSON, as a text."
    )

    @property
    def written(self) -> Any:
        """What was given; ``None``: neither."""
        return self.document if self.document is not None else self.text or None


class DocumentBody(DocumentFields):
    """A new version of the policy."""

    note: str = Field(
        "", max_length=500, description="Why, for whoever reads the list."
    )
    activate: bool = Field(default=False, description="Whether it counts from now on.")
    expected: int | None = Field(
        None,
        ge=0,
        description="With `activate`: the version that you believe is active, 0 for none; 409 if it is another.",
    )

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.written is None:
            raise ValueError("give document or text")
        return self


class ActivateBody(Input):
    """Which version was seen."""

    expected: int | None = Field(
        None,
        ge=0,
        description="The version that you believe is active, 0 for none; 409 if it is another.",
    )


class DryRunBody(DocumentFields):
    """A policy that might come; neither document nor version: none at all."""

    version: int | None = Field(None, ge=1, description="A version that is stored.")


class ExplainBody(DocumentFields):
    """What would happen if."""

    server: str | int | None = Field(None, description="Number or name.")
    server_type: str = Field(
        "", max_length=64, description="Instead: a server that is not hosted yet."
    )
    deployment: int | None = Field(
        None,
        ge=1,
        description="Number within the server; absent: what is on its way, else what is live.",
    )
    tier: str = Field("", max_length=80, description="Instead of its own.")
    digest: str = Field(
        "", pattern=r"^(sha256:[0-9a-f]{64})?$", description="Instead of its own."
    )
    isolation: str = Field("", pattern="^(standard|sandboxed|vm)?$")
    use_gpu: bool | None = None
    backend: str = Field("", max_length=64, description="By which it is to be run.")
    policy_version: int | None = Field(
        None, ge=0, description="By this version; 0: by none. Absent: the active one."
    )

    def question(self) -> Question:
        """Return what is asked."""
        return Question(
            server=self.server,
            server_type=self.server_type,
            deployment=self.deployment,
            tier=self.tier,
            digest=self.digest,
            isolation=self.isolation,
            use_gpu=self.use_gpu,
            backend=self.backend,
            version=self.policy_version,
            document=self.written,
        )


class DiffQuery(Input):
    """Which two versions."""

    before: int | None = Field(
        None, ge=0, alias="from", description="0: no policy. Absent: the active one."
    )
    after: int | None = Field(
        None, ge=0, alias="to", description="0: no policy. Absent: the newest."
    )


class DecisionsQuery(PlaceQuery):
    """Which decisions."""

    server: str = Field("", max_length=64, description="Number or name.")
    verdict: Verdict | None = None
    digest: str = Field("", pattern=r"^(sha256:[0-9a-f]{64})?$")


class DocumentAnswer(Answer):
    """One version of the policy."""

    version: int
    is_active: bool
    note: str
    created_by: str
    created_at: datetime
    activated_by: str
    activated_at: datetime | None
    document: dict[str, Any]
    text: str = Field(description="The same as YAML.")

    @classmethod
    def of(cls, item: Document) -> Self:
        """Return ``item`` as it is answered."""
        return cls(
            version=item.version,
            is_active=item.is_active,
            note=item.note,
            created_by=item.created_by,
            created_at=item.created_at,
            activated_by=item.activated_by,
            activated_at=item.activated_at,
            document=item.body,
            text=write_text(item.body),
        )


class KindAnswer(Answer):
    """A kind of rule."""

    kind: str
    meaning: str
    fields: list[str]


class PolicyAnswer(Answer):
    """What counts now."""

    active: DocumentAnswer | None = Field(
        description="Null: there is no policy, and everything launches."
    )
    kinds: list[KindAnswer] = Field(description="Kinds of rule that there are.")


class DocumentPage(Answer):
    """Versions, newest first."""

    items: list[DocumentAnswer]
    next_cursor: str | None


class DiffAnswer(Answer):
    """How two versions differ."""

    before: int
    after: int
    diff: str = Field(description="Unified, of the two as YAML; empty: no difference.")


class DecisionAnswer(Answer):
    """What was decided, and why."""

    verdict: Verdict
    reason: str
    notes: list[str]
    actions: list[str] = Field(description="What to do next, a sentence each.")
    backend: str
    candidate_backend: str
    executor_name: str
    image: str
    build_required: bool
    capability_requirements: list[str]
    capabilities_satisfied: bool
    manifest_digest: str | None
    artifact_run_id: int | None
    tier: str
    evaluation_required: bool
    governance_required: bool
    ends_running: bool
    reuses: int | None = Field(
        description="Number of the deployment whose image is taken instead of a build."
    )

    @classmethod
    def of(cls, item: Decision) -> Self:
        """Return ``item`` as it is answered."""
        return cls.model_validate(item, from_attributes=True)


class StoredDecisionAnswer(DecisionAnswer):
    """A decision as it was made."""

    id: int
    server_id: int
    deployment_id: int | None
    purpose: Purpose
    decided_at: datetime
    document_version: int | None

    @classmethod
    def of_stored(cls, item: StoredDecision) -> Self:
        """Return ``item`` as it is answered."""
        return cls(
            **DecisionAnswer.of(item.decision).model_dump(),
            id=item.id,
            server_id=item.server_id,
            deployment_id=item.deployment_id,
            purpose=item.purpose,
            decided_at=item.decided_at,
            document_version=item.document_version,
        )


class WholeDecisionAnswer(StoredDecisionAnswer):
    """A decision with all that it was made of."""

    facts: dict[str, Any]
    is_reproduced: bool = Field(
        description="Whether the stored facts and document make the same decision again."
    )


class DecisionPage(Answer):
    """Decisions, newest first."""

    items: list[StoredDecisionAnswer]
    next_cursor: str | None


class ExplainAnswer(DecisionAnswer):
    """What would happen, and what was looked at."""

    facts: dict[str, Any]

    @classmethod
    def of_ruling(cls, item: Ruling) -> Self:
        """Return ``item`` as it is answered."""
        return cls(
            **DecisionAnswer.of(item.decision).model_dump(),
            facts=facts_as_json(item.facts),
        )


class DryRunItem(Answer):
    """What would change for one server."""

    server_id: int
    server: str
    deployment: int
    before: DecisionAnswer
    after: DecisionAnswer

    @classmethod
    def of(cls, item: DryRun) -> Self:
        """Return ``item`` as it is answered."""
        return cls(
            server_id=item.server_id,
            server=item.server_name,
            deployment=item.deployment,
            before=DecisionAnswer.of(item.before),
            after=DecisionAnswer.of(item.after),
        )


class DryRunAnswer(Answer):
    """What would change, server by server."""

    items: list[DryRunItem]


class HoldAnswer(Answer):
    """A deployment that may not run for now."""

    deployment_id: int
    verdict: Verdict
    reason: str
    notes: list[str]
    actions: list[str] = Field(description="What lifts it, the next step first.")
    decision_id: int
    since: datetime

    @classmethod
    def of(cls, item: Hold) -> Self:
        """Return ``item`` as it is answered."""
        return cls.model_validate(item, from_attributes=True)


class VmEventAnswer(Answer):
    """Something that became of an instance."""

    id: int
    at: datetime
    event: str
    detail: str


class VmInstanceAnswer(Answer):
    """One instance, as it was kept apart."""

    id: int
    deployment_id: int
    decision_id: int | None
    purpose: str
    executor: str
    name: str
    container_id: str
    isolation_tier: str = Field(
        description="`standard`, `sandboxed`, `vm`, or `unknown` where the executor does not say."
    )
    runtime: str = Field(description="As the executor calls it: `runc`, `runsc`, …")
    image_id: str
    attestation_status: str = Field(
        description="`unsupported` where nothing measures what instances run in, as under container engines."
    )
    attestation_detail: str
    started_at: datetime
    ended_at: datetime | None
    events: list[VmEventAnswer]

    @classmethod
    def of(cls, item: VmInstance) -> Self:
        """Return ``item`` as it is answered."""
        return cls.model_validate(item, from_attributes=True)


class VmAnswer(Answer):
    """What a server's newest instances were kept apart by."""

    items: list[VmInstanceAnswer]
