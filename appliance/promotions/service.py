"""What people do with promotions."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from appliance.accounts.access import sight
from appliance.accounts.model import Action, Principal
from appliance.core.errors import DomainError, InvalidError
from appliance.governance.model import Target
from appliance.governance.versions import require_version
from appliance.infra.database import Database
from appliance.promotions import deeds, moving, rules, store, track_store
from appliance.promotions.deeds import Wanted
from appliance.promotions.errors import (
    PromotionNotFoundError,
    TrackNotFoundError,
    TrainNotFoundError,
)
from appliance.promotions.model import (
    Promotion,
    PromotionLine,
    PromotionStatus,
    Track,
    Train,
)
from appliance.promotions.tracks import visible

_Moved = TypeVar("_Moved", Promotion, Train)


@dataclass(frozen=True)
class PromotionView:
    """A promotion with what happened to it."""

    promotion: Promotion
    lines: tuple[PromotionLine, ...]


@dataclass(frozen=True)
class Lineage:
    """How far an artifact came."""

    #: Newest first.
    promotions: tuple[Promotion, ...] = ()

    @property
    def active(self) -> Promotion | None:
        """The promotion that it is active by, the newest one."""
        return next(
            (item for item in self.promotions if item.status is PromotionStatus.ACTIVE),
            None,
        )


class PromotionService:
    """Schedules and moves promotions on behalf of a principal.

    Whoever may not know of a track may not know of its promotions either. Whoever moves them needs to be allowed to deploy
    on the track.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    # -- reading

    async def get(self, principal: Principal, promotion_id: int) -> PromotionView:
        """Return one promotion with what happened to it."""
        return await self._database.run(
            lambda: _view(_known(principal, promotion_id, Action.SEE)[1])
        )

    async def history(
        self,
        principal: Principal,
        *,
        track: int | str | None = None,
        digest: str = "",
        status: PromotionStatus | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[PromotionView]:
        """Return up to ``limit`` promotions that the principal may know of, newest first; ``before`` is the cursor."""

        def read() -> list[PromotionView]:
            track_id = None if track is None else visible(principal, track).id
            found = store.history(
                sight(principal),
                track_id=track_id,
                digest=digest,
                status=status,
                before=before,
                limit=limit,
            )
            lines = store.lines([item.id for item in found])
            return [
                PromotionView(item, tuple(lines.get(item.id, ()))) for item in found
            ]

        return await self._database.run(read)

    async def train(self, principal: Principal, train_id: int) -> Train:
        """Return one train with its promotions."""
        return await self._database.run(
            lambda: _known_train(principal, train_id, Action.SEE)[1]
        )

    async def lineage(self, run_ids: Collection[int]) -> dict[int, Lineage]:
        """Return how far runs of the ledger came, of those that were promoted at all; whoever may see a run may see this."""
        found = await self._database.run(store.of_artifacts, run_ids)
        return {run_id: Lineage(tuple(items)) for run_id, items in found.items()}

    # -- scheduling

    async def schedule(
        self, principal: Principal, track: int | str, stage: str, wanted: Wanted
    ) -> PromotionView:
        """Schedule a digest for a stage, and start what decides about it.

        Raises:
            TrackNotFoundError: There is none of which the principal may know.
            InvalidError: A field is wrong, or the track is not for the tier.
            StageOrderError: The digest is not active in the stage before.
            AlreadyPromotedError: It is in the stage, or on its way there.
        """

        def write() -> PromotionView:
            found = track_store.locked(visible(principal, track, Action.DEPLOY).id)
            target = deeds.wanted_target(principal, wanted)
            return _view(deeds.schedule(principal, found, stage, target))

        return await self._database.run(write)

    async def schedule_train(
        self,
        principal: Principal,
        track: int | str,
        stage: str,
        wanted: Sequence[Wanted],
        *,
        name: str = "",
    ) -> Train:
        """Schedule several digests for a stage, which become active together or not at all."""
        if not 0 < len(wanted) <= deeds.MAX_TRAIN:
            raise InvalidError.field(
                "artifacts", f"name 1 to {deeds.MAX_TRAIN} artifacts"
            )

        def write() -> Train:
            found = track_store.locked(visible(principal, track, Action.DEPLOY).id)
            said = (
                name.strip()[: deeds.MAX_TEXT] or f"{len(wanted)} artifacts to {stage}"
            )
            if found.stage(stage) is None:
                rules.require_place(found, stage, Target("", ""), is_active_before=True)
            train_id = store.add_train(found, stage, said, actor=principal)
            for number, item in enumerate(wanted):
                target = deeds.wanted_target(principal, item, f"artifacts.{number}.")
                deeds.schedule(principal, found, stage, target, train_id=train_id)
            return store.train(train_id)

        return await self._database.run(write)

    # -- moving

    async def approve(
        self,
        principal: Principal,
        promotion_id: int,
        *,
        comment: str = "",
        version: int | None = None,
    ) -> PromotionView:
        """Approve a promotion: the step of its run that waits for people, or itself where no workflow decides.

        Raises:
            PromotionStateError: It is held or not on its way, or nothing waits for approval.
            SelfApprovalError, NotAnApproverError, AlreadyDecidedError: The principal may not approve it.
        """
        return await self._move(
            principal,
            promotion_id,
            lambda track, found: deeds.approve(principal, track, found, comment),
            version=version,
        )

    async def reject(
        self,
        principal: Principal,
        promotion_id: int,
        *,
        reason: str = "",
        version: int | None = None,
    ) -> PromotionView:
        """End a promotion that is on its way, its run, and all of its train."""
        return await self._move(
            principal,
            promotion_id,
            lambda _, found: deeds.reject(principal, found, reason),
            version=version,
        )

    async def hold(
        self,
        principal: Principal,
        promotion_id: int,
        *,
        reason: str = "",
        version: int | None = None,
    ) -> PromotionView:
        """Keep a promotion from becoming active, however its run ends, until it is released."""

        def hold(_: Track, found: Promotion) -> None:
            rules.require_open(found, "held")
            rules.require_free(found)
            deeds.set_hold(principal, found, is_held=True, reason=reason)

        return await self._move(principal, promotion_id, hold, version=version)

    async def release(
        self, principal: Principal, promotion_id: int, *, version: int | None = None
    ) -> PromotionView:
        """Let a held promotion go on; what was decided meanwhile counts."""

        def release(track: Track, found: Promotion) -> None:
            rules.require_held(found)
            free = deeds.set_hold(principal, found, is_held=False, reason="")
            moving.activate_if_ready(track, free, actor=principal)

        return await self._move(principal, promotion_id, release, version=version)

    async def roll_back(
        self,
        principal: Principal,
        promotion_id: int,
        *,
        reason: str = "",
        version: int | None = None,
    ) -> PromotionView:
        """End an active promotion, and make active again the digest whose place it took.

        Raises:
            PromotionStateError: It is not active.
        """
        return await self._move(
            principal,
            promotion_id,
            lambda track, found: deeds.roll_back(principal, track, found, reason),
            version=version,
        )

    async def move_train(
        self, principal: Principal, train_id: int, deed: str, *, note: str = ""
    ) -> Train:
        """Do with every promotion of a train what can be done with it: ``approve``, ``reject`` or ``rollback``; all or none.

        Raises:
            TrainNotFoundError: There is none of which the principal may know.
            PromotionStateError: One of them is in a state that forbids it.
        """

        def write() -> Train:
            track, train = _known_train(principal, train_id, Action.DEPLOY)
            deeds.MOVES[deed](principal, track, train, note)
            return store.train(train_id)

        return await self._database.run(write)

    async def _move(
        self,
        principal: Principal,
        promotion_id: int,
        move: Callable[[Track, Promotion], None],
        *,
        version: int | None,
    ) -> PromotionView:
        def write() -> PromotionView:
            track, found = _known(principal, promotion_id, Action.DEPLOY)
            what = f"Promotion {found.id} is {found.status.value}"
            require_version(version, found.version, what)
            move(track, found)
            return _view(store.get(found.id))

        return await self._database.run(write)


def _known(
    principal: Principal, promotion_id: int, action: Action
) -> tuple[Track, Promotion]:
    hidden = PromotionNotFoundError(f"There is no promotion {promotion_id}.")
    return _on_track(principal, store.get, promotion_id, action, hidden=hidden)


def _known_train(
    principal: Principal, train_id: int, action: Action
) -> tuple[Track, Train]:
    hidden = TrainNotFoundError(f"There is no train {train_id}.")
    return _on_track(principal, store.train, train_id, action, hidden=hidden)


def _on_track(
    principal: Principal,
    get: Callable[[int], _Moved],
    number: int,
    action: Action,
    *,
    hidden: DomainError,
) -> tuple[Track, _Moved]:
    """Return what moves on a track, and the track, on which nobody else moves anything if something is to be done."""
    found = get(number)
    try:
        track = visible(principal, found.track_id, action)
    except TrackNotFoundError:
        raise hidden from None
    if action is Action.SEE:
        return track, found
    return track_store.locked(track.id), get(number)


def _view(promotion: Promotion) -> PromotionView:
    lines = store.lines([promotion.id])
    return PromotionView(promotion, tuple(lines.get(promotion.id, ())))
