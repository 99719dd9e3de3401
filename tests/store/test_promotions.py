"""Promotions on a real Postgres: stages in their order, what follows a run, crashes in between, trains, people at once."""

import asyncio

import pytest

from appliance.core.errors import DomainError
from appliance.governance.errors import SelfApprovalError, StaleVersionError
from appliance.governance.model import Status, Step, Target
from appliance.infra.database import Database
from appliance.promotions import moving, store
from appliance.promotions.deeds import Wanted
from appliance.promotions.errors import (
    AlreadyPromotedError,
    PromotionNotFoundError,
    PromotionStateError,
    StageOrderError,
    TrackInUseError,
    TrackNotFoundError,
)
from appliance.promotions.model import (
    WENT_LIVE,
    NewStage,
    NewTrack,
    Promotion,
    PromotionStatus,
)
from tests.harness.governing import (
    APPROVAL,
    NO,
    TIER,
    YES,
    World,
    digest,
    world_of,
)
from tests.harness.waiting import until

ACTIVE, ROLLED_BACK = PromotionStatus.ACTIVE, PromotionStatus.ROLLED_BACK


@pytest.fixture
async def world(database: Database) -> World:
    return await world_of(database)


async def track(world: World, *, workflow: str | None = None, name: str = "main") -> None:  # fmt: skip
    stages = (NewStage("canary"), NewStage("wide"))
    new = NewTrack(name, stages, workflow=workflow, org="acme")
    await world.promotions.tracks.create(world.ada, new)


async def send(world: World, number: int = 1, stage: str = "canary") -> Promotion:
    view = await world.promotions.moves.schedule(
        world.ada, "main", stage, Wanted(digest(number), TIER)
    )
    return view.promotion


async def now(world: World, promotion: Promotion) -> Promotion:
    return await world.database.run(store.get, promotion.id)


async def of_server(world: World, promotion: Promotion, server_id: int = 7) -> None:
    """Have a promotion be of a server's version, as the ledger would say."""
    sql = "UPDATE artifact_promotions SET server_id = %s WHERE id = %s"
    await world.database.run(
        world.database.peewee.execute_sql, sql, (server_id, promotion.id)
    )


async def facts(world: World, number: int = 1) -> list[tuple[str, str]]:
    found = await world.database.run(store.for_digest, digest(number), "GOLD:npm")
    return [(item.stage, item.status.value) for item in found]


async def test_where_no_workflow_decides_somebody_else_approves(world: World) -> None:
    await track(world)
    sent = await send(world)

    with pytest.raises(SelfApprovalError):
        await world.promotions.moves.approve(world.ada, sent.id)
    view = await world.promotions.moves.approve(world.bob, sent.id)

    assert view.promotion.status is ACTIVE
    assert view.promotion.approved_by == "bob@example.org"
    assert [line.kind for line in view.lines] == ["scheduled", "approved", "active"]
    assert await facts(world) == [("canary", "active")]
    reviews = await world.jobs("policy.review")
    assert reviews == [{"digest": digest(1)}]


async def test_stages_are_taken_in_their_order(world: World) -> None:
    await track(world)

    with pytest.raises(StageOrderError, match="canary"):
        await send(world, stage="wide")
    first = await send(world)
    with pytest.raises(StageOrderError):
        await send(world, stage="wide")  # scheduled is not active
    await world.promotions.moves.approve(world.bob, first.id)
    second = await send(world, stage="wide")

    assert second.status is PromotionStatus.SCHEDULED
    assert await facts(world) == [("wide", "scheduled"), ("canary", "active")]


async def test_a_digest_is_on_its_way_to_a_stage_once_also_when_asked_twice_at_once(
    world: World,
) -> None:
    await track(world)

    outcomes = await asyncio.gather(
        *(send(world) for _ in range(3)), return_exceptions=True
    )

    assert sum(isinstance(item, AlreadyPromotedError) for item in outcomes) == 2
    assert len(await facts(world)) == 1


async def test_a_promotion_follows_its_run_to_its_end(world: World) -> None:
    await world.workflow(APPROVAL)
    await track(world, workflow="release")
    good, bad = await send(world, 1), await send(world, 2)
    assert good.status is PromotionStatus.IN_PROGRESS
    assert good.run_id is not None
    assert bad.run_id is not None

    async with world.at_work():
        await world.governance.runs.decide(world.bob, good.run_id, 1, YES)
        await world.governance.runs.decide(world.bob, bad.run_id, 1, NO)
        await until(lambda: _is(world, good, ACTIVE))
        await until(lambda: _is(world, bad, ROLLED_BACK))

    assert "It smells." in (await now(world, bad)).reason


async def _is(world: World, promotion: Promotion, status: PromotionStatus) -> bool:
    return (await now(world, promotion)).status is status


async def test_a_crash_between_run_and_promotion_is_made_good_by_the_sweep(
    world: World,
) -> None:
    await world.workflow(APPROVAL)
    await track(world, workflow="release")
    sent = await send(world)
    assert sent.run_id is not None
    await world.governance.runs.decide(world.bob, sent.run_id, 1, YES)
    sql = "DELETE FROM jobs"  # the hub was killed, and what it had enqueued is gone
    await world.database.run(world.database.peewee.execute_sql, sql)
    assert (await now(world, sent)).status is PromotionStatus.IN_PROGRESS

    await world.promotions.sweep()
    once = await now(world, sent)
    for _ in range(2):
        await world.promotions.sweep()
        await world.database.run(moving.synchronise, sent.run_id)

    assert once.status is ACTIVE
    assert await now(world, sent) == once


async def test_approving_a_promotion_approves_its_run_and_both_agree(
    world: World,
) -> None:
    await world.workflow(APPROVAL, Step("wait", "soak", {"seconds": 1}))
    await track(world, workflow="release")
    sent = await send(world)
    assert sent.run_id is not None

    view = await world.promotions.moves.approve(world.bob, sent.id, comment="Go.")
    with pytest.raises(PromotionStateError, match="step 2"):
        await world.promotions.moves.approve(world.cid, sent.id)
    async with world.at_work():
        await until(lambda: _is(world, sent, ACTIVE))

    assert view.promotion.status is PromotionStatus.APPROVED
    assert await facts(world) == [("canary", "active")]


async def test_rejecting_a_promotion_ends_its_run(world: World) -> None:
    await world.workflow(APPROVAL)
    await track(world, workflow="release")
    sent = await send(world)
    assert sent.run_id is not None

    await world.promotions.moves.reject(world.ada, sent.id, reason="No.")

    assert (await now(world, sent)).status is ROLLED_BACK
    assert (await world.look(sent.run_id)).run.status is Status.REJECTED


async def test_a_held_promotion_is_not_active_until_released(world: World) -> None:
    await world.workflow(APPROVAL)
    await track(world, workflow="release")
    sent = await send(world)
    assert sent.run_id is not None
    await world.promotions.moves.hold(world.bob, sent.id, reason="Freeze.")

    with pytest.raises(PromotionStateError, match="Freeze"):
        await world.promotions.moves.approve(world.bob, sent.id)
    await world.governance.runs.decide(world.bob, sent.run_id, 1, YES)
    await world.promotions.sweep()
    held = await now(world, sent)
    await world.promotions.moves.release(world.bob, sent.id)

    assert (held.status, held.is_held) == (PromotionStatus.APPROVED, True)
    assert (await now(world, sent)).status is ACTIVE


async def test_the_next_version_takes_the_place_of_the_one_before_and_a_rollback_brings_it_back(
    world: World,
) -> None:
    await track(world)
    moves = world.promotions.moves
    old, new, other = await send(world, 1), await send(world, 2), await send(world, 3)
    for item, server in ((old, 7), (new, 7), (other, 8)):
        await of_server(world, item, server)
        await moves.approve(world.bob, item.id)
    # Until the new one serves, the one before has to be able to start again.
    world.live[7] = digest(1)
    async with world.at_work():
        await until(lambda: _quiet(world))
    assert await facts(world, 1) == [("canary", "active")]
    world.live[7] = digest(2)
    await world.database.run(moving.tell_live, 7, digest(2))
    async with world.at_work():
        await until(lambda: _is(world, old, PromotionStatus.SUPERSEDED))

    with pytest.raises(PromotionStateError):
        await moves.roll_back(world.bob, old.id)
    await moves.roll_back(world.bob, new.id, reason="It leaks.")

    assert (await now(world, new)).reason == "Rolled back by bob@example.org: It leaks."
    assert await facts(world, 1) == [("canary", "active"), ("canary", "superseded")]
    assert await facts(world, 2) == [("canary", "rolled_back")]
    assert await facts(world, 3) == [("canary", "active")]
    (restored,) = await world.database.run(
        store.active, 1, "canary", digest=digest(1), tier=TIER
    )
    assert (restored.origin, restored.restores_id) == ("rollback", old.id)
    digests = [item["digest"] for item in await world.jobs("policy.review")]
    assert {digest(1), digest(2)} <= set(digests)


async def _quiet(world: World) -> bool:
    sql = "SELECT count(*) FROM jobs WHERE kind = %s AND state IN ('queued', 'running')"
    cursor = await world.database.run(
        world.database.peewee.execute_sql, sql, (WENT_LIVE,)
    )
    return bool(cursor.fetchone()[0] == 0)


async def test_a_new_version_that_never_served_leaves_the_one_before_active(
    world: World,
) -> None:
    await track(world)
    old, new = await send(world, 1), await send(world, 2)
    for item in (old, new):
        await of_server(world, item, 7)
        await world.promotions.moves.approve(world.bob, item.id)

    await world.promotions.moves.roll_back(world.bob, new.id)

    assert await facts(world, 1) == [("canary", "active")]
    assert await facts(world, 2) == [("canary", "rolled_back")]


async def test_a_stage_before_that_is_rolled_back_in_mid_promotion_stops_the_next(
    world: World,
) -> None:
    await track(world)
    first = await send(world)
    await world.promotions.moves.approve(world.bob, first.id)
    second = await send(world, stage="wide")
    await world.promotions.moves.roll_back(world.bob, first.id)

    view = await world.promotions.moves.approve(world.bob, second.id)

    assert view.promotion.status is ROLLED_BACK
    assert "no longer active in canary" in view.promotion.reason


# -- trains


async def train(world: World, *numbers: int) -> list[Promotion]:
    wanted = [Wanted(digest(number), TIER) for number in numbers]
    made = await world.promotions.moves.schedule_train(
        world.ada, "main", "canary", wanted
    )
    return list(made.promotions)


async def test_a_train_is_active_as_a_whole_with_its_last_approval(
    world: World,
) -> None:
    await world.workflow(APPROVAL)
    await track(world, workflow="release")
    first, second = await train(world, 1, 2)

    await world.promotions.moves.approve(world.bob, first.id)
    waiting = await now(world, first)
    await world.promotions.moves.approve(world.bob, second.id)

    assert waiting.status is PromotionStatus.APPROVED
    assert [await facts(world, number) for number in (1, 2)] == [[("canary", "active")]] * 2  # fmt: skip


async def test_a_train_of_which_one_fails_goes_nowhere(world: World) -> None:
    await world.workflow(APPROVAL)
    await track(world, workflow="release")
    first, second = await train(world, 1, 2)
    assert first.run_id is not None
    assert second.run_id is not None
    await world.promotions.moves.approve(world.bob, first.id)

    async with world.at_work():
        await world.governance.runs.decide(world.cid, second.run_id, 1, NO)
        await until(lambda: _is(world, first, ROLLED_BACK))

    assert (await now(world, second)).status is ROLLED_BACK
    assert "same train" in (await now(world, first)).reason


async def test_a_train_is_approved_and_rolled_back_whole(world: World) -> None:
    await track(world)
    made = await train(world, 1, 2)
    moves, train_id = world.promotions.moves, made[0].train_id or 0

    approved = await moves.move_train(world.bob, train_id, "approve")
    gone = await moves.move_train(world.bob, train_id, "rollback")
    with pytest.raises(PromotionStateError):
        await moves.move_train(world.bob, train_id, "reject")

    assert {item.status for item in approved.promotions} == {ACTIVE}
    assert {item.status for item in gone.promotions} == {ROLLED_BACK}


async def test_a_train_with_one_bad_artifact_is_not_made_at_all(world: World) -> None:
    await track(world)

    with pytest.raises(DomainError):
        await world.promotions.moves.schedule_train(
            world.ada, "main", "canary", [Wanted(digest(1), TIER), Wanted("nonsense")]
        )

    assert await facts(world, 1) == []


# -- people


async def test_two_who_move_a_promotion_at_once_move_it_once(world: World) -> None:
    await track(world)
    sent = await send(world)

    outcomes = await asyncio.gather(
        world.promotions.moves.approve(world.bob, sent.id),
        world.promotions.moves.reject(world.cid, sent.id),
        return_exceptions=True,
    )

    refused = [item for item in outcomes if isinstance(item, PromotionStateError)]
    assert len(refused) == 1
    assert (await now(world, sent)).status in {ACTIVE, ROLLED_BACK}
    with pytest.raises(StaleVersionError):
        await world.promotions.moves.hold(world.bob, sent.id, version=1)


async def test_strangers_know_of_nothing_and_readers_change_nothing(
    world: World,
) -> None:
    await track(world)
    sent = await send(world)
    moves = world.promotions.moves

    with pytest.raises(PromotionNotFoundError):
        await moves.get(world.eve, sent.id)
    with pytest.raises(TrackNotFoundError):
        await world.promotions.tracks.get(world.eve, "main")
    assert await moves.history(world.eve) == []
    assert len(await moves.history(world.reader, track="main")) == 1
    for person in (world.eve, world.reader):
        for attempt in (
            moves.approve(person, sent.id),
            moves.hold(person, sent.id),
            moves.schedule(person, "main", "canary", Wanted(digest(2), TIER)),
            world.promotions.tracks.delete(person, "main"),
        ):
            with pytest.raises(DomainError):
                await attempt
    assert (await now(world, sent)).version == sent.version


async def test_a_track_in_use_keeps_its_stages_and_itself(world: World) -> None:
    await world.workflow(APPROVAL)
    await track(world, workflow="release")
    sent = await send(world)
    less = NewTrack("main", (NewStage("wide"),))

    with pytest.raises(TrackInUseError, match="canary"):
        await world.promotions.tracks.change(world.ada, "main", less)
    with pytest.raises(TrackInUseError):
        await world.promotions.tracks.delete(world.ada, "main")
    await world.promotions.moves.reject(world.ada, sent.id)
    with pytest.raises(DomainError, match="track goes by"):
        await world.governance.workflows.delete(world.ada, "release")
    await world.promotions.tracks.change(world.ada, "main", less)
    await world.promotions.tracks.delete(world.ada, "main")
    await world.governance.workflows.delete(world.ada, "release")


async def test_nothing_but_digest_and_tier_together_is_found(world: World) -> None:
    await track(world)
    sent = await send(world)
    await world.promotions.moves.approve(world.bob, sent.id)

    assert sent.target == Target(digest(1), TIER)
    assert await world.database.run(store.for_digest, digest(1), "silver:npm") == []
    assert await world.database.run(store.for_digest, digest(9), TIER) == []
