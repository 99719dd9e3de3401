"""What governance is made of: workflows of ordered steps, and runs of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from appliance.accounts.access import Kind, Thing

#: Works at one automatic step: ``{"step_run_id": 5}``.
STEP = "governance.step"
#: Somebody else's word about a step: ``{"step_run_id", "outcome": "passed" | "failed", "summary", "evidence_ref"}``.
STEP_ENDED = "governance.step_ended"
#: Tells people and programs of a run: ``{"run_id", "what", "position"}``.
NOTIFY = "governance.notify"
#: A promotion follows its run: ``{"run_id": 3}``; by name, because promotions know governance and not the other way.
SYNCHRONISE = "promotions.synchronise"
#: Deployments that may have been held are looked at again.
REVIEW = "policy.review"
#: The live event that a run changed.
CHANGED = "governance.run"


class Status(StrEnum):
    """Where a run, or one of its steps, is."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def is_ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self not in {Status.PENDING, Status.IN_PROGRESS}


class Outcome(StrEnum):
    """What an automatic step came to."""

    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True)
class Notify:
    """Who hears of what happens to a workflow's runs."""

    emails: tuple[str, ...] = ()
    webhooks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One step of a workflow."""

    name: str
    #: Names a file of ``steps/``.
    kind: str
    config: Mapping[str, Any] = field(default_factory=dict)
    #: Seconds after which it has failed; ``None``: it may take as long as the run.
    timeout_s: int | None = None


@dataclass(frozen=True)
class NewWorkflow:
    """What somebody asks for."""

    name: str
    steps: tuple[Step, ...]
    description: str = ""
    #: Pattern of the tiers that it is for.
    tier: str = "*"
    expires_after_s: int | None = None
    notify: Notify = Notify()
    #: Number or name of the organisation that it is made for; ``None``: whoever makes it.
    org: int | str | None = None


@dataclass(frozen=True)
class Workflow:
    """A named order of steps."""

    id: int
    name: str
    description: str
    tier: str
    owner_id: int
    org_id: int | None
    #: Grows with every change.
    version: int
    expires_after_s: int | None
    notify: Notify
    steps: tuple[Step, ...]
    created_by: str
    created_at: datetime
    updated_at: datetime

    @property
    def thing(self) -> Thing:
        """What it is to whoever decides who may do what."""
        return Thing(Kind.WORKFLOW, self.id, self.owner_id, self.org_id)


class Verdict(StrEnum):
    """What somebody decided."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True)
class Approval:
    """What one person decided about a step."""

    user_id: int
    person: str
    verdict: Verdict
    #: Names of the groups that they decided for.
    groups: tuple[str, ...]
    comment: str
    at: datetime


@dataclass(frozen=True)
class StepRun:
    """One step of a run: a copy of the workflow's, and what came of it."""

    id: int
    #: From 1.
    position: int
    name: str
    kind: str
    config: Mapping[str, Any]
    timeout_s: int | None
    status: Status = Status.PENDING
    summary: str = ""
    evidence: Any = None
    #: What an automatic step remembers between two looks.
    progress: Mapping[str, Any] = field(default_factory=dict)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    due_at: datetime | None = None
    #: In the order in which they came.
    approvals: tuple[Approval, ...] = ()


@dataclass(frozen=True)
class Run:
    """One time that a workflow was run, for one digest in one tier."""

    id: int
    #: ``None``: the workflow is gone.
    workflow_id: int | None
    workflow_name: str
    workflow_version: int
    owner_id: int
    org_id: int | None
    tier: str
    digest: str
    artifact_run_id: int | None
    #: What it decides, in words.
    title: str
    status: Status
    reason: str
    version: int
    notify: Notify
    started_by_id: int | None
    started_by: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    expires_at: datetime | None
    steps: tuple[StepRun, ...]

    @property
    def thing(self) -> Thing:
        """What it is to whoever decides who may do what: it belongs to whom its workflow belongs to."""
        return Thing(Kind.WORKFLOW, self.id, self.owner_id, self.org_id)

    @property
    def current(self) -> StepRun | None:
        """The step that is in progress."""
        return next(
            (item for item in self.steps if item.status is Status.IN_PROGRESS), None
        )


@dataclass(frozen=True)
class RunLine:
    """One line of a run's log."""

    id: int
    #: Of the step; ``None``: of the run itself.
    position: int | None
    at: datetime
    actor: str
    kind: str
    note: str


@dataclass(frozen=True)
class Target:
    """What is decided about."""

    digest: str
    tier: str
    artifact_run_id: int | None = None
    #: Whose version it is; ``None``: not known.
    server_id: int | None = None
    server_name: str = ""


@dataclass(frozen=True)
class NewRun:
    """A run that somebody wants."""

    #: What is to be decided about.
    target: Target
    title: str = ""
    #: Whether it starts at once; else it is pending until somebody sets it in progress.
    begins: bool = True
