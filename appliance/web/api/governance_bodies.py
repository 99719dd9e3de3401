"""What callers say about governance, and how it looks, in JSON."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field

from appliance.governance.model import (
    NewWorkflow,
    Notify,
    Outcome,
    Run,
    RunLine,
    Status,
    Step,
    StepRun,
)
from appliance.governance.runs import RunView, StepView
from appliance.governance.steps import KINDS
from appliance.governance.steps.base import StepKind
from appliance.governance.workflows import WorkflowView
from appliance.web.api.answer import Answer
from appliance.web.api.org_bodies import OF_ORG, OWNER
from appliance.web.parsing import Input
from appliance.web.requests import named

TIER = "Pattern of tiers: `gold:npm`, `gold:*`, `*:npm` or `*`."
VERSION = "The version that was looked at; when it is another by now, nothing is changed (409). Absent: whatever there is."
DIGEST = "`sha256:` and 64 hex digits."
ORG_NAME = "Name of the organisation that it belongs to; empty: it is a person's."
CURSOR = "`cursor` for the next page; null on the last."


class StepBody(Input):
    """One step of a workflow."""

    name: str = Field(description="For people.")
    kind: str = Field(description=f"One of {', '.join(f'`{kind}`' for kind in KINDS)}.")
    config: dict[str, Any] = Field(
        {}, description="Settings of the kind; `GET /api/governance/step-kinds`."
    )
    timeout_s: int | None = Field(
        None, description="Seconds after which the step has failed; null: never."
    )


class NotifyBody(Input):
    """Who hears of what happens to a workflow's runs."""

    emails: list[str] = Field([], description="E-mail addresses; needs SMTP_HOST.")
    webhooks: list[str] = Field([], description="Addresses that are called, signed.")


class WorkflowBody(Input):
    """A workflow as it shall be."""

    name: str = Field(description="Lower-case DNS label.")
    description: str = Field("", description="For people.")
    tier: str = Field("*", description=TIER)
    expires_after_s: int | None = Field(
        None, description="Seconds after which a run ends as expired; null: never."
    )
    notify: NotifyBody = Field(NotifyBody(emails=[], webhooks=[]))
    steps: list[StepBody] = Field(
        [], description="In their order. None: runs are completed by hand."
    )

    def new_workflow(self, org: str | None = None) -> NewWorkflow:
        """Return what is asked for; the service checks its values."""
        return NewWorkflow(
            name=self.name,
            description=self.description,
            tier=self.tier,
            expires_after_s=self.expires_after_s,
            notify=Notify(tuple(self.notify.emails), tuple(self.notify.webhooks)),
            steps=tuple(
                Step(step.name, step.kind, step.config, step.timeout_s)
                for step in self.steps
            ),
            org=named(org) if org else None,
        )


class NewWorkflowBody(WorkflowBody):
    """A workflow to make."""

    org: str | None = Field(None, description=OF_ORG)


class WorkflowChangeBody(WorkflowBody):
    """All of a workflow; runs that go on keep their steps."""

    version: int | None = Field(None, description=VERSION)


class TargetBody(Input):
    """Which artifact is meant."""

    manifest_digest: str = Field("", description=f"{DIGEST} Empty: the artifact's.")
    artifact_run_id: int | None = Field(
        None,
        ge=1,
        lt=2**63,
        description="Of the ledger; absent: its newest run with the digest.",
    )
    tier: str = Field("", description="Empty: as the ledger rates the artifact.")


class NewRunBody(TargetBody):
    """What a run is to decide about."""

    title: str = Field("", max_length=200, description="What is decided, in words.")
    begins: bool = Field(
        default=True, description="Whether it starts at once; else it is `pending`."
    )


class StatusBody(Input):
    """A run's status by hand."""

    status: Literal["in_progress", "completed", "failed", "rejected", "cancelled"]
    note: str = Field("", max_length=2000, description="Kept in the run's log.")
    version: int | None = Field(None, description=VERSION)


class DecisionBody(Input):
    """What somebody says about an approval."""

    comment: str = Field("", max_length=2000)
    version: int | None = Field(None, description=VERSION)


class CallbackBody(Input):
    """What a program says about a step that waits for it."""

    outcome: Outcome
    summary: str = Field("", max_length=2000)


class WorkflowQuery(Input):
    """Which workflows."""

    cursor: str = Field("", max_length=100, description="`next_cursor` of the page before.")  # fmt: skip
    limit: int = Field(50, ge=1, le=200, description="Workflows a page.")


class RunQuery(Input):
    """Which runs."""

    status: Status | None = Field(None, description="Only runs in this status.")
    workflow: str = Field("", max_length=100, description="Only this workflow's.")
    digest: str = Field("", max_length=100, description="Only about this digest.")
    cursor: int | None = Field(
        None, ge=0, lt=2**63, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Runs a page.")


class StepAnswer(Answer):
    """One step of a workflow."""

    name: str
    kind: str
    config: dict[str, Any]
    timeout_s: int | None
    waits_for: str = Field(description="In one sentence.")

    @classmethod
    def of(cls, step: Step) -> Self:
        """Return ``step`` as it is answered."""
        return cls(
            name=step.name,
            kind=step.kind,
            config=dict(step.config),
            timeout_s=step.timeout_s,
            waits_for=KINDS[step.kind].describe(step.config),
        )


class NotifyAnswer(Answer):
    """Who hears of runs."""

    emails: list[str]
    webhooks: list[str]


class WorkflowAnswer(Answer):
    """A named order of steps."""

    id: int
    name: str
    description: str
    tier: str
    expires_after_s: int | None
    notify: NotifyAnswer
    steps: list[StepAnswer]
    version: int = Field(description="Grows with every change.")
    org: str = Field(description=ORG_NAME)
    owner_id: int = Field(description=OWNER)
    open_runs: int
    created_by: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, view: WorkflowView) -> Self:
        """Return ``view`` as it is answered."""
        item = view.workflow
        return cls(
            id=item.id,
            name=item.name,
            description=item.description,
            tier=item.tier,
            expires_after_s=item.expires_after_s,
            notify=NotifyAnswer.model_validate(item.notify, from_attributes=True),
            steps=[StepAnswer.of(step) for step in item.steps],
            version=item.version,
            org=view.org,
            owner_id=item.owner_id,
            open_runs=view.open_runs,
            created_by=item.created_by,
            created_at=item.created_at,
            updated_at=item.updated_at,
        )


class CreatedWorkflow(Answer):
    """A workflow that was just made."""

    workflow: WorkflowAnswer
    webhook_secret: str = Field(
        description="What outgoing calls are signed with; shown this once."
    )


class WebhookSecretAnswer(Answer):
    """A secret, this once."""

    webhook_secret: str


class WorkflowPage(Answer):
    """Some workflows, by name."""

    items: list[WorkflowAnswer]
    next_cursor: str | None = Field(description=CURSOR)


class ApprovalAnswer(Answer):
    """What one person decided."""

    person: str
    verdict: str
    groups: list[str]
    comment: str
    at: datetime


class GroupAnswer(Answer):
    """How many of a group approved."""

    name: str
    approved: int
    needed: int


class StepRunAnswer(Answer):
    """One step of a run."""

    id: int
    position: int
    name: str
    kind: str
    config: dict[str, Any]
    status: Status
    waits_for: str = Field(description="In one sentence.")
    summary: str = Field(description="What came of it.")
    evidence: Any = Field(description="What shows it; null: nothing more.")
    approvals: list[ApprovalAnswer]
    approved: int = Field(description="How many approved; each counts once.")
    needed: int = Field(description="How many have to; 0: nobody.")
    groups: list[GroupAnswer]
    started_at: datetime | None
    ended_at: datetime | None
    due_at: datetime | None

    @classmethod
    def of(cls, view: StepView) -> Self:
        """Return ``view`` as it is answered."""
        step, far = view.step, view.standing
        same = {
            name: getattr(step, name)
            for name in StepRun.__dataclass_fields__
            if name not in {"approvals", "progress", "timeout_s", "config"}
        }
        return cls(
            **same,
            config=dict(step.config),
            waits_for=view.waits_for,
            approvals=[
                ApprovalAnswer.model_validate(item, from_attributes=True)
                for item in step.approvals
            ],
            approved=far.approved if far else 0,
            needed=far.needed if far else 0,
            groups=[
                GroupAnswer.model_validate(item, from_attributes=True)
                for item in (far.groups if far else ())
            ],
        )


class RunSummary(Answer):
    """One time that a workflow was run."""

    id: int
    workflow_id: int | None = Field(description="Null: the workflow is gone.")
    workflow: str
    workflow_version: int = Field(description="Of the workflow, as it was copied.")
    title: str
    tier: str
    manifest_digest: str
    artifact_run_id: int | None
    status: Status
    reason: str = Field(description="Why it ended; empty while it goes on.")
    current_step: int | None = Field(description="Position of the step in progress.")
    version: int = Field(description="Grows with every change.")
    started_by: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    expires_at: datetime | None

    @classmethod
    def values(cls, run: Run) -> dict[str, Any]:
        """Return the fields of ``run``."""
        same = {
            name: getattr(run, name)
            for name in RunSummary.model_fields
            if name not in {"workflow", "manifest_digest", "current_step"}
        }
        return same | {
            "workflow": run.workflow_name,
            "manifest_digest": run.digest,
            "current_step": run.current.position if run.current else None,
        }

    @classmethod
    def of(cls, run: Run) -> Self:
        """Return ``run`` as it is answered."""
        return cls(**cls.values(run))


class LineAnswer(Answer):
    """One line of a run's log."""

    id: int
    at: datetime
    position: int | None = Field(description="Of the step; null: of the run itself.")
    actor: str
    kind: str
    note: str


class RunAnswer(RunSummary):
    """A run with its steps and its log."""

    steps: list[StepRunAnswer]
    log: list[LineAnswer] = Field(description="Oldest first.")
    may_decide: bool = Field(
        description="Whether the caller may approve or reject the step in progress."
    )
    obstacle: str = Field(
        description="What keeps the caller from it; empty: nothing, or no step waits for people."
    )

    @classmethod
    def of_view(cls, view: RunView) -> Self:
        """Return ``view`` as it is answered."""
        return cls(
            **cls.values(view.run),
            steps=[StepRunAnswer.of(item) for item in view.steps],
            log=[_line(item) for item in view.log],
            may_decide=view.may_decide,
            obstacle=view.obstacle,
        )


def _line(line: RunLine) -> LineAnswer:
    return LineAnswer.model_validate(line, from_attributes=True)


class RunPage(Answer):
    """Some runs, newest first."""

    items: list[RunSummary]
    next_cursor: int | None = Field(description=CURSOR)


class InboxAnswer(Answer):
    """Runs that wait for the caller's decision, oldest first."""

    items: list[RunAnswer]
    count: int


class StepSettingAnswer(Answer):
    """One setting of a kind of step."""

    name: str
    label: str
    control: str
    help: str
    default: str


class StepKindAnswer(Answer):
    """One kind of step."""

    kind: str
    label: str
    help: str
    is_automatic: bool = Field(description="Whether it ends by itself, without people.")
    settings: list[StepSettingAnswer]

    @classmethod
    def of(cls, kind: StepKind) -> Self:
        """Return ``kind`` as it is answered."""
        return cls(
            kind=kind.name,
            label=kind.label,
            help=kind.help,
            is_automatic=kind.is_automatic,
            settings=[
                StepSettingAnswer.model_validate(item, from_attributes=True)
                for item in kind.settings
            ],
        )


class StepKindList(Answer):
    """Kinds of steps."""

    items: list[StepKindAnswer]
