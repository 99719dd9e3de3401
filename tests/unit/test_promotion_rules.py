"""How promotions go on: stages in their order, what follows a run, and trains."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.core.errors import InvalidError
from appliance.governance.model import Status, Target
from appliance.promotions import rules
from appliance.promotions.errors import PromotionStateError, StageOrderError
from appliance.promotions.model import Promotion, PromotionStatus, Stage, Track
from tests.unit.test_governance_rules import begun, run_of

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
TRACK = Track(
    1, "release", "", "gold:*", 1, None, workflow_id=5, allow_self=False, version=1,
    stages=(Stage("canary"), Stage("wide", 6)), created_by="ada", created_at=AT, updated_at=AT,
)  # fmt: skip
TARGET = Target("sha256:" + "a" * 64, "gold:npm")


def promotion(**columns: Any) -> Promotion:
    made = Promotion(
        id=1, track_id=1, stage="canary", tier="gold:npm", digest=TARGET.digest,
        artifact_run_id=None, server_id=None, server_name="", status=PromotionStatus.SCHEDULED,
        reason="", is_held=False, hold_reason="", origin="schedule", restores_id=None,
        superseded_by=None, run_id=1, train_id=None, version=1, scheduled_by_id=1,
        scheduled_by="ada", approved_by="", created_at=AT, updated_at=AT, activated_at=None,
        ended_at=None,
    )  # fmt: skip
    return replace(made, **columns)


def test_a_later_stage_needs_the_digest_active_in_the_one_before() -> None:
    rules.require_place(TRACK, "canary", TARGET, is_active_before=False)
    rules.require_place(TRACK, "wide", TARGET, is_active_before=True)
    with pytest.raises(StageOrderError, match="canary"):
        rules.require_place(TRACK, "wide", TARGET, is_active_before=False)


def test_a_track_takes_its_own_stages_and_tiers_alone() -> None:
    with pytest.raises(InvalidError, match="canary, wide"):
        rules.require_place(TRACK, "mars", TARGET, is_active_before=True)
    with pytest.raises(InvalidError, match="silver:npm"):
        rules.require_place(
            TRACK, "canary", replace(TARGET, tier="silver:npm"), is_active_before=True
        )


def test_a_stage_goes_by_its_own_workflow_or_the_tracks() -> None:
    assert [TRACK.workflow_of("canary"), TRACK.workflow_of("wide")] == [5, 6]


@pytest.mark.parametrize("status", list(PromotionStatus))
@pytest.mark.parametrize("run", list(Status))
def test_only_a_promotion_on_its_way_follows_and_never_to_active_by_itself(
    status: PromotionStatus, run: Status
) -> None:
    move = rules.follow(promotion(status=status), run_of(status=run, reason="Why."))

    if not status.is_open:
        assert move is None
    elif run.is_ended and run is not Status.COMPLETED:
        assert move is not None
        assert move.status is PromotionStatus.ROLLED_BACK
        assert move.reason == f"Its workflow's run 1 is {run.value}: Why."
    else:
        assert move is None or move.status in {
            PromotionStatus.IN_PROGRESS,
            PromotionStatus.APPROVED,
        }


def test_it_counts_as_approved_once_people_have_decided_although_its_run_goes_on() -> (
    None
):
    run = begun("approval", "soak")
    decided = replace(run.steps[0], status=Status.COMPLETED)
    waiting = replace(run, steps=(decided, run.steps[1]))

    first = rules.follow(promotion(), run)
    then = rules.follow(promotion(status=PromotionStatus.IN_PROGRESS), waiting)

    assert first is not None
    assert first.status is PromotionStatus.IN_PROGRESS
    assert then is not None
    assert then.status is PromotionStatus.APPROVED


@pytest.mark.parametrize(
    ("change", "run"),
    [
        ({"status": PromotionStatus.IN_PROGRESS}, Status.COMPLETED),
        ({"is_held": True}, Status.COMPLETED),
        ({"status": PromotionStatus.ROLLED_BACK}, Status.COMPLETED),
        ({}, Status.IN_PROGRESS),
    ],
)
def test_a_train_moves_whole_or_not_at_all(change: dict[str, Any], run: Status) -> None:
    ready = promotion(status=PromotionStatus.APPROVED)
    other = replace(promotion(status=PromotionStatus.APPROVED, id=2, run_id=2), **change)  # fmt: skip

    assert rules.may_activate([ready], {1: Status.COMPLETED})
    assert not rules.may_activate([ready, other], {1: Status.COMPLETED, 2: run})


@pytest.mark.parametrize("status", list(PromotionStatus))
def test_what_may_be_done_depends_on_where_a_promotion_is(
    status: PromotionStatus,
) -> None:
    found = promotion(status=status)

    if not status.is_open:
        with pytest.raises(PromotionStateError, match=status.value):
            rules.require_open(found, "held")
    if status is not PromotionStatus.ACTIVE:
        with pytest.raises(PromotionStateError, match="active one is rolled back"):
            rules.require_active(found)
