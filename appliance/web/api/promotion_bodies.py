"""What callers say about promotions, and how they look, in JSON."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from appliance.promotions.deeds import Wanted
from appliance.promotions.model import (
    NewStage,
    NewTrack,
    Promotion,
    PromotionStatus,
    Train,
)
from appliance.promotions.service import Lineage, PromotionView
from appliance.promotions.tracks import TrackView
from appliance.web.api.answer import Answer
from appliance.web.api.governance_bodies import (
    CURSOR,
    ORG_NAME,
    TIER,
    VERSION,
    TargetBody,
)
from appliance.web.api.org_bodies import OF_ORG, OWNER
from appliance.web.parsing import Input
from appliance.web.requests import named

WORKFLOW = "Id or name of the workflow that decides; absent: {}."


class StageBody(Input):
    """One stage of a track."""

    name: str = Field(description="Lower-case DNS label.")
    workflow: int | str | None = Field(None, description=WORKFLOW.format("the track's"))


class TrackBody(Input):
    """A track as it shall be."""

    name: str = Field(description="Lower-case DNS label; policies name it.")
    description: str = Field("", description="For people.")
    tier: str = Field("*", description=TIER)
    stages: list[StageBody | str] = Field(
        description="In their order; a name alone is a stage that goes by the track's workflow."
    )
    workflow: int | str | None = Field(
        None, description=WORKFLOW.format("people approve promotions themselves")
    )
    allow_self: bool = Field(
        default=False,
        description="Whether who schedules may also approve, where no workflow decides.",
    )

    def new_track(self, org: str | None = None) -> NewTrack:
        """Return what is asked for; the service checks its values."""
        return NewTrack(
            name=self.name,
            stages=tuple(
                NewStage(item)
                if isinstance(item, str)
                else NewStage(item.name, _named(item.workflow))
                for item in self.stages
            ),
            description=self.description,
            tier=self.tier.strip().lower(),
            workflow=_named(self.workflow),
            allow_self=self.allow_self,
            org=named(org) if org else None,
        )


def _named(workflow: int | str | None) -> int | str | None:
    if workflow is None or workflow == "":
        return None
    return named(str(workflow))


class NewTrackBody(TrackBody):
    """A track to make."""

    org: str | None = Field(None, description=OF_ORG)


class TrackChangeBody(TrackBody):
    """All of a track; what is on its way keeps its run."""

    version: int | None = Field(None, description=VERSION)


class WantedBody(TargetBody):
    """What is to be promoted."""

    def wanted(self) -> Wanted:
        """Return what is asked for."""
        return Wanted(self.manifest_digest, self.tier, self.artifact_run_id)


class ScheduleBody(WantedBody):
    """A digest that shall come to a stage."""

    track: int | str = Field(description="Id or name.")
    stage: str


class TrainBody(Input):
    """Digests that shall come to a stage together, or not at all."""

    track: int | str = Field(description="Id or name.")
    stage: str
    name: str = Field("", max_length=200, description="For people.")
    artifacts: list[WantedBody]


class PromotionDecisionBody(Input):
    """What somebody says about a promotion."""

    comment: str = Field("", max_length=500)
    version: int | None = Field(None, description=VERSION)


class ReasonBody(Input):
    """Why something is done with a promotion."""

    reason: str = Field("", max_length=500)
    version: int | None = Field(None, description=VERSION)


class TrainReasonBody(Input):
    """Why something is done with a train."""

    reason: str = Field("", max_length=500)


class TrackQuery(Input):
    """Which tracks."""

    cursor: str = Field("", max_length=100, description="`next_cursor` of the page before.")  # fmt: skip
    limit: int = Field(50, ge=1, le=200, description="Tracks a page.")


class PromotionHistoryQuery(Input):
    """Which promotions."""

    track: str = Field("", max_length=100, description="Only of this track.")
    digest: str = Field("", max_length=100, description="Only of this digest.")
    status: PromotionStatus | None = Field(None, description="Only in this status.")
    cursor: int | None = Field(
        None, ge=0, lt=2**63, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Promotions a page.")


class StageAnswer(Answer):
    """One stage of a track."""

    name: str
    workflow_id: int | None = Field(description="What decides; null: people do.")
    workflow: str = Field(description="Its name; empty: people decide.")


class TrackAnswer(Answer):
    """An order of stages."""

    id: int
    name: str
    description: str
    tier: str
    stages: list[StageAnswer]
    workflow_id: int | None
    workflow: str = Field(description="Name of `workflow_id`; empty: none.")
    allow_self: bool
    version: int = Field(description="Grows with every change.")
    org: str = Field(description=ORG_NAME)
    owner_id: int = Field(description=OWNER)
    created_by: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, view: TrackView) -> Self:
        """Return ``view`` as it is answered."""
        track, names = view.track, view.workflows
        same = {
            name: getattr(track, name)
            for name in TrackAnswer.model_fields
            if name not in {"stages", "workflow", "org"}
        }
        stages = []
        for stage in track.stages:
            number = track.workflow_of(stage.name)
            stages.append(
                StageAnswer(
                    name=stage.name,
                    workflow_id=number,
                    workflow=names.get(number or 0, ""),
                )
            )
        workflow = names.get(track.workflow_id or 0, "")
        return cls(**same, stages=stages, workflow=workflow, org=view.org)


class TrackPage(Answer):
    """Some tracks, by name."""

    items: list[TrackAnswer]
    next_cursor: str | None = Field(description=CURSOR)


class PromotionLineAnswer(Answer):
    """One thing that happened to a promotion."""

    at: datetime
    actor: str
    kind: str
    note: str


class PromotionSummary(Answer):
    """A digest on its way to a stage, or what became of it."""

    id: int
    track: str
    track_id: int
    stage: str
    tier: str
    manifest_digest: str
    artifact_run_id: int | None
    server_id: int | None
    server_name: str
    status: PromotionStatus = Field(
        description="Only `active` lets anything launch; `superseded`: the next version took its place."
    )
    reason: str
    is_held: bool
    hold_reason: str
    origin: str = Field(description="`schedule`, or `rollback`, which brought it back.")
    restores_id: int | None
    superseded_by: int | None
    governance_run_id: int | None
    train_id: int | None
    version: int = Field(description="Grows with every change.")
    scheduled_by: str
    approved_by: str
    created_at: datetime
    updated_at: datetime
    activated_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def values(cls, item: Promotion) -> dict[str, Any]:
        """Return the fields of ``item``."""
        same = {
            name: getattr(item, name)
            for name in PromotionSummary.model_fields
            if name not in {"manifest_digest", "governance_run_id"}
        }
        return same | {"manifest_digest": item.digest, "governance_run_id": item.run_id}

    @classmethod
    def of(cls, item: Promotion) -> Self:
        """Return ``item`` as it is answered."""
        return cls(**cls.values(item))


class PromotionAnswer(PromotionSummary):
    """A promotion with what happened to it."""

    events: list[PromotionLineAnswer] = Field(description="Oldest first.")

    @classmethod
    def of_view(cls, view: PromotionView) -> Self:
        """Return ``view`` as it is answered."""
        return cls(
            **cls.values(view.promotion),
            events=[
                PromotionLineAnswer.model_validate(item, from_attributes=True)
                for item in view.lines
            ],
        )


class PromotionPage(Answer):
    """Some promotions, newest first."""

    items: list[PromotionAnswer]
    next_cursor: int | None = Field(description=CURSOR)


class StageBoard(Answer):
    """What is in a stage, or on its way there, newest first."""

    stage: str
    promotions: list[PromotionSummary]


class BoardAnswer(Answer):
    """A track, stage by stage."""

    track: TrackAnswer
    stages: list[StageBoard]


class TrainAnswer(Answer):
    """Promotions that become active together, or not at all."""

    id: int
    track_id: int
    stage: str
    name: str
    created_by: str
    created_at: datetime
    promotions: list[PromotionSummary]

    @classmethod
    def of(cls, train: Train) -> Self:
        """Return ``train`` as it is answered."""
        return cls(
            id=train.id,
            track_id=train.track_id,
            stage=train.stage,
            name=train.name,
            created_by=train.created_by,
            created_at=train.created_at,
            promotions=[PromotionSummary.of(item) for item in train.promotions],
        )


class LineageAnswer(Answer):
    """How far an artifact came along the tracks."""

    active: PromotionSummary | None = Field(
        description="The newest promotion that it is active by; null: it is active nowhere."
    )
    stages: list[PromotionSummary] = Field(
        description="Every promotion of it, newest first."
    )

    @classmethod
    def of(cls, lineage: Lineage | None) -> Self:
        """Return ``lineage`` as it is answered."""
        lineage = lineage or Lineage()
        active = lineage.active
        return cls(
            active=PromotionSummary.of(active) if active else None,
            stages=[PromotionSummary.of(item) for item in lineage.promotions],
        )
