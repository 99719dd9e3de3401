"""Queries about promotions; rows in, model objects out. Every function runs inside ``database.run``.

Whoever moves something holds its track's row first (``track_store.locked``), so that what is active in a stage changes in one
place at a time.
"""

from collections.abc import Collection, Sequence
from typing import Any

from peewee import SQL, IntegrityError

from appliance.accounts import sights
from appliance.accounts.access import Sight
from appliance.governance.model import Target
from appliance.infra.questions import Question, ask
from appliance.observability.audit import Actor
from appliance.promotions.errors import (
    AlreadyPromotedError,
    PromotionNotFoundError,
    TrainNotFoundError,
)
from appliance.promotions.model import (
    OPEN,
    Promotion,
    PromotionFact,
    PromotionLine,
    PromotionStatus,
    Track,
    Train,
)
from appliance.promotions.tables import (
    PromotionEventRow,
    PromotionRow,
    TrackRow,
    TrainRow,
)

NOW = SQL("now()")
_OPEN = sorted(item.value for item in OPEN)


# Asked before launches: peewee takes longer to write such a question than Postgres to answer it.
_FOR_DIGEST = """
SELECT p.id, t.name AS track, p.stage, p.status, p.tier, p.is_held, t.owner_id, t.org_id, p.governance_run_id AS run_id,
    p.updated_at AS at
FROM artifact_promotions p JOIN promotion_tracks t ON t.id = p.track_id
WHERE p.manifest_digest = %s AND p.tier = %s ORDER BY p.id DESC
"""


def question_for_digest(digest: str, tier: str) -> Question[PromotionFact]:
    """Ask for what is known of the promotions of a digest in a tier, newest first.

    Only ``active`` ones let anything launch. By an index; a decision is made with it.
    """
    return Question(_FOR_DIGEST, (digest, tier.lower()), PromotionFact)


def for_digest(digest: str, tier: str) -> list[PromotionFact]:
    """Return what ``question_for_digest`` asks for."""
    (found,) = ask(question_for_digest(digest, tier))
    return found


def add(  # noqa: PLR0913 - the columns of one row
    track: Track,
    stage: str,
    target: Target,
    *,
    actor: Actor,
    run_id: int | None = None,
    train_id: int | None = None,
    restores: Promotion | None = None,
) -> Promotion:
    """Insert a promotion: scheduled, or, where it brings a digest back, active at once.

    Raises:
        AlreadyPromotedError: The digest is in this stage, or on its way there.
    """
    status = PromotionStatus.ACTIVE if restores else PromotionStatus.SCHEDULED
    try:
        row = PromotionRow.create(
            track_id=track.id,
            stage=stage,
            tier=target.tier,
            manifest_digest=target.digest,
            artifact_run_id=target.artifact_run_id,
            server_id=target.server_id,
            server_name=target.server_name,
            status=status.value,
            reason="",
            is_held=False,
            hold_reason="",
            origin="rollback" if restores else "schedule",
            restores_id=restores.id if restores else None,
            governance_run_id=run_id,
            train_id=train_id,
            version=1,
            scheduled_by_id=actor.user_id,
            scheduled_by=actor.name,
            approved_by="",
            created_at=NOW,
            updated_at=NOW,
            activated_at=NOW if restores else None,
        )
    except IntegrityError as error:
        raise AlreadyPromotedError(
            f"{target.digest[:19]} is in the stage {stage} of {track.name} already, or on its way there."
        ) from error
    return get(row.id)


def get(promotion_id: int) -> Promotion:
    """Return one promotion.

    Raises:
        PromotionNotFoundError: There is none of this id.
    """
    found = _select(PromotionRow.id == promotion_id)
    if not found:
        raise PromotionNotFoundError(f"There is no promotion {promotion_id}.")
    return found[0]


def of_run(run_id: int) -> Promotion | None:
    """Return the promotion that hangs on a governance run, if one does."""
    found = _select(PromotionRow.governance_run_id == run_id)
    return found[0] if found else None


def change(promotion: Promotion, **columns: Any) -> Promotion:
    """Write what is different about a promotion, and return it with its new version."""
    PromotionRow.update(**columns, version=promotion.version + 1, updated_at=NOW).where(
        PromotionRow.id == promotion.id
    ).execute()
    return get(promotion.id)


def active(
    track_id: int,
    stage: str,
    *,
    digest: str | None = None,
    tier: str | None = None,
    server_id: int | None = None,
) -> list[Promotion]:
    """Return what is active in a stage, newest first; of one digest, tier or server, where given."""
    condition = (
        (PromotionRow.track_id == track_id)
        & (PromotionRow.stage == stage)
        & (PromotionRow.status == PromotionStatus.ACTIVE.value)
    )
    if digest is not None:
        condition &= PromotionRow.manifest_digest == digest
    if tier is not None:
        condition &= PromotionRow.tier == tier
    if server_id is not None:
        condition &= PromotionRow.server_id == server_id
    return _select(condition)


def active_of_server(server_id: int, digest: str) -> list[Promotion]:
    """Return by what a digest of a server is active, on any track."""
    return _select(
        (PromotionRow.manifest_digest == digest)
        & (PromotionRow.server_id == server_id)
        & (PromotionRow.status == PromotionStatus.ACTIVE.value)
    )


def superseded_by(promotion_id: int) -> Promotion | None:
    """Return the promotion whose place another took, if it took one's."""
    found = _select(
        (PromotionRow.superseded_by == promotion_id)
        & (PromotionRow.status == PromotionStatus.SUPERSEDED.value)
    )
    return found[0] if found else None


def is_about(track_id: int, stage: str, *, digest: str, tier: str) -> bool:
    """Return whether a digest is in a stage, or on its way there."""
    rows = PromotionRow.select().where(
        PromotionRow.track_id == track_id,
        PromotionRow.stage == stage,
        PromotionRow.manifest_digest == digest,
        PromotionRow.tier == tier,
        PromotionRow.status.in_([*_OPEN, PromotionStatus.ACTIVE.value]),
    )
    return bool(rows.exists())


def open_or_active(track_id: int) -> int:
    """Return how many promotions of a track are on their way or active."""
    rows = PromotionRow.select().where(
        PromotionRow.track_id == track_id,
        PromotionRow.status.in_([*_OPEN, PromotionStatus.ACTIVE.value]),
    )
    return int(rows.count())


def stages_in_use(track_id: int) -> set[str]:
    """Return the names of stages that something is in or on its way to."""
    rows = PromotionRow.select(PromotionRow.stage).where(
        PromotionRow.track_id == track_id,
        PromotionRow.status.in_([*_OPEN, PromotionStatus.ACTIVE.value]),
    )
    return {row.stage for row in rows.distinct()}


def board(track_id: int, limit: int = 500) -> list[Promotion]:
    """Return what is on its way or active on a track, newest first."""
    return _select(
        (PromotionRow.track_id == track_id)
        & PromotionRow.status.in_([*_OPEN, PromotionStatus.ACTIVE.value]),
        limit=limit,
    )


def history(
    sight: Sight,
    *,
    track_id: int | None = None,
    digest: str = "",
    status: PromotionStatus | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Promotion]:
    """Return up to ``limit`` promotions of tracks that may be shown, newest first."""
    tracks = sights.shown(
        TrackRow.select(TrackRow.id),
        sight,
        owner=TrackRow.owner_id,
        org=TrackRow.org_id,
    )
    condition = PromotionRow.track_id.in_(tracks)
    wanted: dict[Any, Any] = {
        PromotionRow.track_id: track_id,
        PromotionRow.manifest_digest: digest or None,
        PromotionRow.status: status.value if status else None,
    }
    for column, value in wanted.items():
        if value is not None:
            condition &= column == value
    if before is not None:
        condition &= PromotionRow.id < before
    return _select(condition, limit=limit)


def of_artifacts(run_ids: Collection[int]) -> dict[int, list[Promotion]]:
    """Return the promotions of these runs of the ledger, newest first."""
    found: dict[int, list[Promotion]] = {}
    if run_ids:
        for item in _select(PromotionRow.artifact_run_id.in_(list(run_ids))):
            found.setdefault(item.artifact_run_id or 0, []).append(item)
    return found


def open_with_run() -> list[int]:
    """Return the governance runs of promotions that are on their way: what a sweep looks at."""
    rows = PromotionRow.select(PromotionRow.governance_run_id).where(
        PromotionRow.status.in_(_OPEN),
        PromotionRow.governance_run_id.is_null(is_null=False),
    )
    return [row.governance_run_id for row in rows.order_by(PromotionRow.id)]  # type: ignore[misc]  # none of them is NULL


# -- trains


def add_train(track: Track, stage: str, name: str, *, actor: Actor) -> int:
    """Insert a train without promotions and return its id."""
    row = TrainRow.create(
        track_id=track.id,
        stage=stage,
        name=name,
        created_by=actor.name,
        created_at=NOW,
    )
    return int(row.id)


def train(train_id: int) -> Train:
    """Return one train with its promotions.

    Raises:
        TrainNotFoundError: There is none of this id.
    """
    row = TrainRow.get_or_none(TrainRow.id == train_id)
    if row is None:
        raise TrainNotFoundError(f"There is no train {train_id}.")
    members = _select(PromotionRow.train_id == train_id)
    return Train(
        row.id,
        row.track_id,
        row.stage,
        row.name,
        row.created_by,
        row.created_at,
        tuple(sorted(members, key=lambda item: item.id)),
    )


# -- what happened


def log(promotion_id: int, kind: str, note: str, *, actor: Actor) -> None:
    """Write what happened to a promotion."""
    PromotionEventRow.insert(
        promotion_id=promotion_id,
        at=NOW,
        actor_id=actor.user_id,
        actor=actor.name,
        kind=kind,
        note=note,
    ).execute()


def lines(promotion_ids: Sequence[int]) -> dict[int, list[PromotionLine]]:
    """Return what happened to these promotions, oldest first."""
    found: dict[int, list[PromotionLine]] = {}
    rows = PromotionEventRow.select().where(
        PromotionEventRow.promotion_id.in_(list(promotion_ids))
    )
    for row in rows.order_by(PromotionEventRow.id) if promotion_ids else ():
        line = PromotionLine(row.promotion_id, row.at, row.actor, row.kind, row.note)
        found.setdefault(row.promotion_id, []).append(line)
    return found


def _select(condition: Any, limit: int | None = None) -> list[Promotion]:
    rows: Any = (
        PromotionRow.select(PromotionRow, TrackRow.name.alias("track"))
        .join(TrackRow, on=(TrackRow.id == PromotionRow.track_id))
        .where(condition)
        .order_by(PromotionRow.id.desc())
        .limit(limit)
        .dicts()
    )
    return [_promotion(row) for row in rows]


def _promotion(row: dict[str, Any]) -> Promotion:
    values = dict(row)
    return Promotion(
        digest=values.pop("manifest_digest"),
        run_id=values.pop("governance_run_id"),
        status=PromotionStatus(values.pop("status")),
        **values,
    )
