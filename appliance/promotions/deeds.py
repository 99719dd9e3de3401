"""What scheduling, approving, rejecting and rolling back do to one promotion or train; runs inside ``database.run``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from appliance.accounts.errors import NotAllowedError
from appliance.accounts.model import Principal
from appliance.core.errors import InvalidError
from appliance.governance import deciding, keeping, workflow_store
from appliance.governance import store as runs
from appliance.governance.deciding import Decision
from appliance.governance.errors import SelfApprovalError
from appliance.governance.model import NewRun, Status, Target, Verdict
from appliance.governance.steps import APPROVAL
from appliance.governance.targets import target_of
from appliance.promotions import moving, rules, store
from appliance.promotions.errors import PromotionStateError
from appliance.promotions.model import Promotion, PromotionStatus, Track, Train
from appliance.promotions.rules import Move

#: Artifacts of one train.
MAX_TRAIN = 50
MAX_TEXT = 500


@dataclass(frozen=True)
class Wanted:
    """What somebody names to be promoted."""

    digest: str = ""
    tier: str = ""
    artifact_run_id: int | None = None


def wanted_target(principal: Principal, wanted: Wanted, place: str = "") -> Target:
    """Return what somebody means; ``place`` stands before the names of wrong fields."""
    try:
        return target_of(
            principal,
            digest=wanted.digest,
            tier=wanted.tier,
            artifact_run_id=wanted.artifact_run_id,
        )
    except InvalidError as error:
        fields = {f"{place}{name}": text for name, text in error.fields.items()}
        raise InvalidError(f"{place}{error.detail}", fields=fields) from error


def schedule(
    principal: Principal,
    track: Track,
    stage: str,
    target: Target,
    *,
    train_id: int | None = None,
) -> Promotion:
    """Put a target on its way to a stage, and start what decides about it."""
    if principal.user_id is None:
        raise NotAllowedError(
            f"{principal.name} owns nothing.", hint="Use a person's key."
        )
    before = track.before(stage) if track.stage(stage) else None
    is_active_before = before is None or bool(
        store.active(track.id, before, digest=target.digest, tier=target.tier)
    )
    rules.require_place(track, stage, target, is_active_before=is_active_before)
    run_id = None
    if (workflow_id := track.workflow_of(stage)) is not None:
        name = target.server_name or target.digest[:19]
        run = keeping.start(
            principal,
            workflow_store.get(workflow_id),
            NewRun(target, f"Promote {name} to {stage} of {track.name}"),
        )
        run_id = run.id
    made = store.add(
        track, stage, target, actor=principal, run_id=run_id, train_id=train_id
    )
    moving.note_move(made, actor=principal)
    if run_id is not None:
        moving.synchronise(run_id)
    return store.get(made.id)


def approve(
    principal: Principal, track: Track, promotion: Promotion, comment: str
) -> None:
    """Approve the step of its run that waits for people, or itself where no workflow decides."""
    rules.require_open(promotion, "approved")
    rules.require_free(promotion)
    if promotion.run_id is None:
        _approve_itself(principal, track, promotion)
        return
    run = runs.get(promotion.run_id)
    current = run.current
    if current is None or current.kind != APPROVAL:
        waits = f"step {current.position} ({current.name})" if current else "its run"
        raise PromotionStateError(
            f"Nothing waits for approval: promotion {promotion.id} waits for {waits}."
        )
    decision = Decision(Verdict.APPROVE, comment)
    deciding.decide(principal, run.id, current.position, decision)
    _note_approver(principal, promotion)
    moving.synchronise(run.id)


def _approve_itself(principal: Principal, track: Track, promotion: Promotion) -> None:
    if promotion.status is PromotionStatus.APPROVED:
        raise PromotionStateError(f"Promotion {promotion.id} is approved already.")
    if promotion.scheduled_by_id == principal.user_id and not track.allow_self:
        raise SelfApprovalError(
            f"You scheduled promotion {promotion.id}, so somebody else has to approve it.",
            hint="The track says so (allow_self).",
        )
    noted = _note_approver(principal, promotion)
    told = f"Approved by {principal.name}."
    approved = moving.shift(
        noted, Move(PromotionStatus.APPROVED, told), actor=principal
    )
    moving.activate_if_ready(track, approved, actor=principal)


def _note_approver(principal: Principal, promotion: Promotion) -> Promotion:
    names = [item for item in promotion.approved_by.split(", ") if item]
    if principal.name not in names:
        names.append(principal.name)
    return store.change(promotion, approved_by=", ".join(names))


def reject(principal: Principal, promotion: Promotion, reason: str) -> None:
    """End a promotion that is on its way, its run, and all of its train."""
    rules.require_open(promotion, "rejected")
    said = _said("Rejected", principal, reason)
    if promotion.run_id is not None:
        status = runs.get(promotion.run_id).status
        if not status.is_ended:
            keeping.set_status(
                principal, promotion.run_id, Status.REJECTED, said, version=None
            )
    moving.give_up(promotion, said, actor=principal)


def roll_back(
    principal: Principal, track: Track, promotion: Promotion, reason: str
) -> None:
    """End an active promotion, and make active again the digest whose place it took."""
    rules.require_active(promotion)
    said = _said("Rolled back", principal, reason)
    move = Move(PromotionStatus.ROLLED_BACK, said)
    gone = moving.shift(promotion, move, actor=principal)
    moving.bring_back(track, gone, actor=principal)


def set_hold(
    principal: Principal, promotion: Promotion, *, is_held: bool, reason: str
) -> Promotion:
    """Keep a promotion from becoming active, or let it go on."""
    said = reason.strip()[:MAX_TEXT]
    changed = store.change(promotion, is_held=is_held, hold_reason=said)
    deed = "held" if is_held else "released"
    store.log(promotion.id, deed, said, actor=principal)
    moving.trail(principal, deed, changed, said)
    moving.tell(changed)
    return changed


def _said(deed: str, principal: Principal, reason: str) -> str:
    why = reason.strip()[:MAX_TEXT]
    return f"{deed} by {principal.name}" + (f": {why}" if why else ".")


def _approve_train(
    principal: Principal, track: Track, train: Train, comment: str
) -> None:
    for item in train.promotions:
        if item.status is not PromotionStatus.APPROVED:
            approve(principal, track, store.get(item.id), comment)


def _reject_train(principal: Principal, _: Track, train: Train, reason: str) -> None:
    still = [item for item in train.promotions if item.status.is_open]
    # The others of the train go with the first.
    reject(principal, (still or train.promotions)[0], reason)


def _roll_train_back(
    principal: Principal, track: Track, train: Train, reason: str
) -> None:
    for item in train.promotions:
        roll_back(principal, track, item, reason)


#: What may be done with a whole train.
MOVES: Mapping[str, Callable[[Principal, Track, Train, str], None]] = {
    "approve": _approve_train,
    "reject": _reject_train,
    "rollback": _roll_train_back,
}
