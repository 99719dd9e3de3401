"""How a promotion goes on. Pure.

scheduled ──▶ in_progress ──▶ approved ──▶ active ──▶ superseded
    └─────────────┴──────────────┴────────────┴─────▶ rolled_back
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.core.errors import InvalidError
from appliance.core.tiers import matches
from appliance.governance.model import Run, Status, Target
from appliance.governance.steps import APPROVAL
from appliance.promotions.errors import PromotionStateError, StageOrderError
from appliance.promotions.model import Promotion, PromotionStatus, Track


@dataclass(frozen=True)
class Move:
    """Where a promotion goes, and why."""

    status: PromotionStatus
    reason: str


def require_place(
    track: Track, stage: str, target: Target, *, is_active_before: bool
) -> None:
    """Raise unless a digest may be scheduled for a stage.

    Args:
        track: Along which.
        stage: To which of its stages.
        target: What.
        is_active_before: Whether the digest is active in the stage before; of no weight for the first.

    Raises:
        InvalidError: The track has no such stage, or is not for the tier.
        StageOrderError: The digest has not come so far.
    """
    if track.stage(stage) is None:
        known = ", ".join(item.name for item in track.stages)
        raise InvalidError.field("stage", f"the track {track.name} has {known}")
    if not matches(target.tier, track.tier):
        raise InvalidError.field(
            "tier", f"the track {track.name} is for {track.tier}, not {target.tier}"
        )
    before = track.before(stage)
    if before is not None and not is_active_before:
        raise StageOrderError(
            f"{target.digest[:19]} is not active in {before}, the stage before {stage}.",
            hint=f"Promote it to {before} first.",
        )


def follow(promotion: Promotion, run: Run) -> Move | None:
    """Return where a promotion goes by what became of its run; ``None``: it stays."""
    if not promotion.status.is_open or run.status is Status.PENDING:
        return None
    if run.status in {Status.IN_PROGRESS, Status.COMPLETED}:
        return _onward(promotion.status, run)
    told = f"Its workflow's run {run.id} is {run.status.value}"
    reason = f"{told}: {run.reason}" if run.reason else f"{told}."
    return Move(PromotionStatus.ROLLED_BACK, reason)


def _onward(status: PromotionStatus, run: Run) -> Move | None:
    if status is PromotionStatus.APPROVED:
        return None
    if run.status is Status.COMPLETED:
        return Move(PromotionStatus.APPROVED, "Its workflow is completed.")
    if _is_approved(run):
        return Move(PromotionStatus.APPROVED, "It is approved; its workflow goes on.")
    if status is PromotionStatus.SCHEDULED:
        return Move(PromotionStatus.IN_PROGRESS, "")
    return None


def _is_approved(run: Run) -> bool:
    """Return whether people have decided all that they have to in a run."""
    asked = [step for step in run.steps if step.kind == APPROVAL]
    return bool(asked) and all(step.status is Status.COMPLETED for step in asked)


def may_activate(members: Sequence[Promotion], runs: Mapping[int, Status]) -> bool:
    """Return whether promotions that move together may become active now: every one is approved, free and decided.

    Args:
        members: A train's, or one alone.
        runs: What became of their runs.
    """
    return bool(members) and all(
        item.status is PromotionStatus.APPROVED
        and not item.is_held
        and (item.run_id is None or runs.get(item.run_id) is Status.COMPLETED)
        for item in members
    )


def require_open(promotion: Promotion, deed: str) -> None:
    """Raise ``PromotionStateError`` unless a promotion is on its way."""
    if not promotion.status.is_open:
        raise PromotionStateError(
            f"Promotion {promotion.id} is {promotion.status.value}; only one on its way can be {deed}.",
            hint="An active one is rolled back."
            if promotion.status is PromotionStatus.ACTIVE
            else None,
        )


def require_free(promotion: Promotion) -> None:
    """Raise ``PromotionStateError`` while a promotion is held."""
    if promotion.is_held:
        why = f": {promotion.hold_reason}" if promotion.hold_reason else "."
        raise PromotionStateError(
            f"Promotion {promotion.id} is held{why}", hint="Release it first."
        )


def require_held(promotion: Promotion) -> None:
    """Raise ``PromotionStateError`` unless a promotion is held."""
    if not promotion.is_held:
        raise PromotionStateError(f"Promotion {promotion.id} is not held.")


def require_active(promotion: Promotion) -> None:
    """Raise ``PromotionStateError`` unless a promotion is active."""
    if promotion.status is not PromotionStatus.ACTIVE:
        raise PromotionStateError(
            f"Promotion {promotion.id} is {promotion.status.value}; only an active one is rolled back.",
            hint="One on its way is rejected." if promotion.status.is_open else None,
        )
