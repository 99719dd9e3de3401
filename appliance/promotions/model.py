"""What promotions are made of: tracks of ordered stages, what moves along them, and trains."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.accounts.access import Kind, Thing
from appliance.governance.model import Target

#: A digest of a server serves clients, or may: ``{"server_id": 7, "digest": …}``; by name, because servers know promotions.
WENT_LIVE = "promotions.went_live"
#: The live event that a promotion changed.
CHANGED = "promotion.changed"
#: The job of a room above that has a server go back to a digest: ``{server_id, digest, to_digest, promotion_id, by}``.
BRING_BACK = "servers.bring_back"


class PromotionStatus(StrEnum):
    """Where a promotion is."""

    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    #: Nobody objects; it waits for its run, its train or its release.
    APPROVED = "approved"
    #: The only one that lets anything launch.
    ACTIVE = "active"
    #: It was active until the next version took its place.
    SUPERSEDED = "superseded"
    ROLLED_BACK = "rolled_back"

    @property
    def is_open(self) -> bool:
        """Whether it is on its way."""
        return self in OPEN


OPEN = frozenset(
    {
        PromotionStatus.SCHEDULED,
        PromotionStatus.IN_PROGRESS,
        PromotionStatus.APPROVED,
    }
)


@dataclass(frozen=True)
class Stage:
    """One stage of a track."""

    name: str
    #: What decides about it; ``None``: the track's.
    workflow_id: int | None = None


@dataclass(frozen=True)
class NewStage:
    """A stage as somebody asks for it."""

    name: str
    #: Number or name; ``None``: the track's.
    workflow: int | str | None = None


@dataclass(frozen=True)
class NewTrack:
    """A track as somebody asks for it."""

    name: str
    stages: tuple[NewStage, ...]
    description: str = ""
    #: Pattern of the tiers that may be promoted along it.
    tier: str = "*"
    #: Number or name of the workflow of stages that name none; ``None``: people approve promotions themselves.
    workflow: int | str | None = None
    #: Whether who schedules may also approve, where no workflow decides.
    allow_self: bool = False
    #: Number or name of the organisation that it is made for; ``None``: whoever makes it.
    org: int | str | None = None


@dataclass(frozen=True)
class Track:
    """An order of stages."""

    id: int
    name: str
    description: str
    tier: str
    owner_id: int
    org_id: int | None
    workflow_id: int | None
    allow_self: bool
    #: Grows with every change.
    version: int
    stages: tuple[Stage, ...]
    created_by: str
    created_at: datetime
    updated_at: datetime

    @property
    def thing(self) -> Thing:
        """What it is to whoever decides who may do what."""
        return Thing(Kind.TRACK, self.id, self.owner_id, self.org_id)

    def stage(self, name: str) -> Stage | None:
        """Return the stage of this name."""
        return next((item for item in self.stages if item.name == name), None)

    def before(self, name: str) -> str | None:
        """Return the name of the stage before this one; ``None``: it is the first."""
        names = [item.name for item in self.stages]
        position = names.index(name)
        return names[position - 1] if position else None

    def workflow_of(self, name: str) -> int | None:
        """Return the number of the workflow that decides about a stage; ``None``: none does."""
        stage = self.stage(name)
        return (stage.workflow_id if stage else None) or self.workflow_id


@dataclass(frozen=True)
class Promotion:
    """A digest on its way to a stage, or what became of it."""

    id: int
    track_id: int
    stage: str
    tier: str
    digest: str
    artifact_run_id: int | None
    server_id: int | None
    server_name: str
    status: PromotionStatus
    #: Why, where somebody or something said so.
    reason: str
    is_held: bool
    hold_reason: str
    #: ``schedule`` or ``rollback``.
    origin: str
    #: The promotion whose digest a rollback brought back.
    restores_id: int | None
    superseded_by: int | None
    run_id: int | None
    train_id: int | None
    version: int
    scheduled_by_id: int | None
    scheduled_by: str
    approved_by: str
    created_at: datetime
    updated_at: datetime
    activated_at: datetime | None
    ended_at: datetime | None
    #: Name of its track.
    track: str = ""

    @property
    def target(self) -> Target:
        """What it promotes."""
        return Target(
            self.digest,
            self.tier,
            self.artifact_run_id,
            self.server_id,
            self.server_name,
        )


@dataclass(frozen=True)
class PromotionFact:
    """What a decision before a launch wants to know of a promotion."""

    id: int
    track: str
    stage: str
    status: PromotionStatus
    tier: str
    is_held: bool
    #: Whose track it is.
    owner_id: int
    org_id: int | None
    run_id: int | None
    at: datetime


@dataclass(frozen=True)
class Train:
    """Promotions that become active together, or not at all."""

    id: int
    track_id: int
    stage: str
    name: str
    created_by: str
    created_at: datetime
    promotions: tuple[Promotion, ...] = ()


@dataclass(frozen=True)
class PromotionLine:
    """One thing that happened to a promotion."""

    promotion_id: int
    at: datetime
    actor: str
    kind: str
    note: str
