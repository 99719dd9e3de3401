"""Promotions as they move: the rule, the rows, and what follows, in one transaction.

Every function runs inside ``database.run`` and holds the track's row; a run's row is only taken after it. Whoever calls them
has decided who may.
"""

from collections.abc import Sequence

from appliance.accounts.model import SYSTEM
from appliance.governance import keeping
from appliance.governance import store as runs
from appliance.governance.model import REVIEW
from appliance.jobs.queue import enqueue
from appliance.observability.audit import Actor
from appliance.observability.audit import record as audit
from appliance.observability.events import publish_in_transaction
from appliance.promotions import rules, store, track_store
from appliance.promotions.model import (
    BRING_BACK,
    CHANGED,
    WENT_LIVE,
    Promotion,
    PromotionStatus,
    Track,
)
from appliance.promotions.rules import Move


def synchronise(run_id: int) -> None:
    """Have a promotion follow its run, as often as one likes: what has followed already stays."""
    found = store.of_run(run_id)
    if found is None:
        return
    track = track_store.locked(found.track_id)
    promotion = store.get(found.id)
    move = rules.follow(promotion, runs.get(run_id))
    if move is not None and move.status is PromotionStatus.ROLLED_BACK:
        give_up(promotion, move.reason, actor=SYSTEM)
        return
    if move is not None:
        promotion = shift(promotion, move, actor=SYSTEM)
    activate_if_ready(track, promotion, actor=SYSTEM)


def shift(promotion: Promotion, move: Move, *, actor: Actor) -> Promotion:
    """Write where a promotion goes, tell of it, and have decisions about its digest looked at again."""
    times = {
        PromotionStatus.ACTIVE: {"activated_at": store.NOW},
        PromotionStatus.SUPERSEDED: {"ended_at": store.NOW},
        PromotionStatus.ROLLED_BACK: {"ended_at": store.NOW},
    }
    changed = store.change(
        promotion,
        status=move.status.value,
        reason=move.reason,
        **times.get(move.status, {}),
    )
    note_move(changed, actor=actor)
    return changed


def note_move(promotion: Promotion, *, actor: Actor) -> None:
    """Tell that a promotion is what it is now, and have decisions about its digest looked at again."""
    status = promotion.status.value
    store.log(promotion.id, status, promotion.reason, actor=actor)
    tell(promotion)
    enqueue(REVIEW, {"digest": promotion.digest}, lane=f"policy:{promotion.digest}")
    trail(actor, status, promotion, promotion.reason)


def tell(promotion: Promotion) -> None:
    """Publish that a promotion changed."""
    publish_in_transaction(
        CHANGED,
        promotion.server_id,
        {
            "promotion_id": promotion.id,
            "track": promotion.track,
            "stage": promotion.stage,
            "status": promotion.status.value,
        },
    )


def activate_if_ready(track: Track, promotion: Promotion, *, actor: Actor) -> None:
    """Make a promotion active, with all of its train, if nothing keeps any of them from it; else none of them."""
    if promotion.status is not PromotionStatus.APPROVED:
        return
    members = members_of(promotion)
    decided = runs.statuses([item.run_id for item in members if item.run_id])
    known = {run_id: status for run_id, (status, _) in decided.items()}
    if not rules.may_activate(members, known):
        return
    for item in members:
        if not is_active_before(track, item):
            before = track.before(item.stage)
            give_up(item, f"Its digest is no longer active in {before}.", actor=actor)
            return
    for item in members:
        _activate(item, actor=actor)


def is_active_before(track: Track, promotion: Promotion) -> bool:
    """Return whether a promotion's digest is active in the stage before its own; of the first stage, always."""
    if track.stage(promotion.stage) is None:
        return False
    before = track.before(promotion.stage)
    return before is None or bool(
        store.active(track.id, before, digest=promotion.digest, tier=promotion.tier)
    )


def give_up(promotion: Promotion, reason: str, *, actor: Actor) -> Promotion:
    """Roll back a promotion that is on its way, with all of its train, and cancel their runs."""
    changed = _give_up(promotion, reason, actor=actor)
    if promotion.train_id is not None:
        told = f"Promotion {promotion.id} of the same train was rolled back."
        for item in members_of(promotion):
            if item.id != promotion.id and item.status.is_open:
                _give_up(item, told, actor=actor)
    return changed


def members_of(promotion: Promotion) -> Sequence[Promotion]:
    """Return the promotions that move together with one, itself among them."""
    if promotion.train_id is None:
        return [promotion]
    return store.train(promotion.train_id).promotions


def bring_back(track: Track, gone: Promotion, *, actor: Actor) -> Promotion | None:
    """Make the digest active again whose place a promotion took; ``None``: there is none, or it is on its way anyhow."""
    before = store.superseded_by(gone.id) or _still_active_before(gone)
    if before is None:
        return None
    if gone.server_id is not None:
        _deploy_again(before, gone, actor=actor)
    if store.is_about(track.id, gone.stage, digest=before.digest, tier=before.tier):
        return None
    restored = store.add(track, gone.stage, before.target, actor=actor, restores=before)
    note_move(restored, actor=actor)
    return restored


def _still_active_before(gone: Promotion) -> Promotion | None:
    """Return the promotion whose place another was about to take when it was rolled back."""
    if gone.server_id is None:
        return None
    others = store.active(gone.track_id, gone.stage, server_id=gone.server_id)
    return next((item for item in others if item.id < gone.id), None)


def _deploy_again(before: Promotion, gone: Promotion, *, actor: Actor) -> None:
    """Have the server go back to what it ran before, if the policy lets it run that and no longer what it runs."""
    payload = {
        "server_id": gone.server_id,
        "digest": gone.digest,
        "to_digest": before.digest,
        "promotion_id": gone.id,
        "by": actor.name,
    }
    enqueue(BRING_BACK, payload, lane=f"bring-back:{gone.server_id}")


def trail(actor: Actor, deed: str, promotion: Promotion, note: str = "") -> None:
    """Write a line about a promotion into the audit trail."""
    audit(
        actor,
        f"promotion.{deed}",
        object_type="promotion",
        object_id=promotion.id,
        object_name=f"{promotion.track}/{promotion.stage}",
        details={
            "manifest_digest": promotion.digest,
            "tier": promotion.tier,
            "note": note,
        },
    )


def take_over(server_id: int, digest: str) -> None:
    """Let what a server serves take the place of what was active before in the same stages; as often as one likes.

    Only when it serves: until then the version before has to be able to start again.
    """
    for found in store.active_of_server(server_id, digest):
        track_store.locked(found.track_id)
        promotion = store.get(found.id)
        if promotion.status is PromotionStatus.ACTIVE:
            _supersede_others(promotion)


def _supersede_others(promotion: Promotion) -> None:
    for old in store.active(
        promotion.track_id, promotion.stage, server_id=promotion.server_id
    ):
        if old.id < promotion.id and old.digest != promotion.digest:
            superseded = store.change(old, superseded_by=promotion.id)
            told = f"Promotion {promotion.id} took its place."
            shift(superseded, Move(PromotionStatus.SUPERSEDED, told), actor=SYSTEM)


def _activate(promotion: Promotion, *, actor: Actor) -> None:
    """Make one promotion active, and look whether its digest serves already."""
    changed = shift(promotion, Move(PromotionStatus.ACTIVE, ""), actor=actor)
    if changed.server_id is not None:
        tell_live(changed.server_id, changed.digest)


def tell_live(server_id: int, digest: str) -> None:
    """Have looked at whether a digest serves, and what it takes the place of."""
    told = {"server_id": server_id, "digest": digest}
    enqueue(WENT_LIVE, told, lane=f"promotions-live:{server_id}:{digest}")


def _give_up(promotion: Promotion, reason: str, *, actor: Actor) -> Promotion:
    if promotion.run_id is not None:
        keeping.cancel(actor, promotion.run_id, reason)
    return shift(promotion, Move(PromotionStatus.ROLLED_BACK, reason), actor=actor)
