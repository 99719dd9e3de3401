"""Releases while time goes by, or is set: a pass that ends in mid-promotion, clocks put forward and back.

Everything that decides is the product's own, on a real Postgres whose clock is set; the engine only notes what it is to launch.
"""

import asyncio
import secrets
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.core.errors import DomainError
from appliance.governance import store as runs
from appliance.governance.model import NewWorkflow, Step
from appliance.governance.model import Status as RunStatus
from appliance.governance.room import make_governance
from appliance.infra.database import Database
from appliance.policy import document_store
from appliance.policy import store as decisions
from appliance.policy.document import parse
from appliance.promotions.deeds import Wanted
from appliance.promotions.model import NewStage, NewTrack, Promotion, PromotionStatus
from appliance.servers import store
from appliance.servers.model import Status
from appliance.settings import load_settings
from tests.harness import governing
from tests.harness.governed import certify_now
from tests.harness.governed_world import World
from tests.harness.moved_clock import MovedClock
from tests.harness.waiting import until

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
REVIEW = Step("review", "approval", {"allow_self": True})


class Release:
    """A server of Ada's whose launch needs a pass and a promotion, which a workflow decides about."""

    def __init__(self, world: World, clock: MovedClock, governance: Any) -> None:
        self.world, self.clock, self.governance = world, clock, governance
        self.database = world.database

    @classmethod
    async def of(cls, database: Database, place: Path) -> "Release":
        settings = await asyncio.to_thread(load_settings, jwt_secret=secrets.token_urlsafe(48))  # fmt: skip
        clock = await MovedClock.of(database)
        made = cls(World.make(database, settings, place), clock, make_governance(database, settings))  # fmt: skip
        await made.world.begin()
        workflow = NewWorkflow("release", (REVIEW,), expires_after_s=7200)
        await made.governance.workflows.create(made.ada, workflow)
        track = NewTrack("main", (NewStage("live"),), workflow="release")
        await made.world.promotions.tracks.create(made.ada, track)
        rules = [
            {"kind": "require-certification", "requirements": ["smoke"]},
            {"kind": "require-promotion", "track": "main"},
        ]
        await database.run(_apply, {"version": 1, "rules": rules})
        await made.reconcile()
        return made

    @property
    def ada(self) -> Any:
        return self.world.owners[0]

    async def certify(self, *, lasts: timedelta | None = None) -> None:
        def write() -> None:
            ends: datetime | None = runs.moment() + lasts if lasts else None
            certify_now(self.world.servers[0], "smoke", valid_until=ends)

        await self.database.run(write)

    async def schedule(self) -> Promotion:
        found = await self.database.run(
            lambda: self.database.peewee.execute_sql(
                "SELECT max(id) FROM build_artifact_runs WHERE server_id = %s",
                (self.world.servers[0],),
            ).fetchone()
        )
        view = await self.world.promotions.moves.schedule(
            self.ada, "main", "live", Wanted(artifact_run_id=found[0])
        )
        return view.promotion

    async def approve(self, promotion: Promotion) -> Promotion:
        moves = self.world.promotions.moves
        return (await moves.approve(self.ada, promotion.id)).promotion

    async def promotion(self, promotion: Promotion) -> Promotion:
        return (await self.world.promotions.moves.get(self.ada, promotion.id)).promotion

    async def reconcile(self) -> Status:
        """Look at what is held, work towards what is wanted, and return what became of it; the judge looks on."""
        await self.world.review(0, 0)
        await self.world.reconcile(0)
        return (await self.database.run(store.get, self.world.servers[0])).status

    async def notes(self) -> set[str]:
        """Return what the newest decision noted, without tiers."""
        (newest,) = await self.database.run(decisions.page, servers=self.world.servers[:1], limit=1)  # fmt: skip
        return {":".join(note.split(":")[:2]) for note in newest.decision.notes}

    @property
    def starts(self) -> int:
        return self.world.executor.starts


def _apply(document: dict[str, Any]) -> None:
    made = document_store.add(parse(document).as_dict(), note="", by="ada")
    document_store.activate(made.version, by="ada")


@pytest.fixture
async def release(database: Database, tmp_path: Path) -> Release:
    return await Release.of(database, tmp_path)


async def test_a_pass_that_ends_in_mid_promotion_holds_what_was_promoted_until_there_is_another(
    release: Release,
) -> None:
    await release.certify(lasts=HOUR)
    sent = await release.schedule()
    waiting = await release.reconcile()
    await release.clock.set(1.5 * HOUR)

    promoted = await release.approve(sent)
    held = await release.reconcile()
    noted, starts = await release.notes(), release.starts
    await release.certify(lasts=HOUR)
    launched = await release.reconcile()

    assert waiting is Status.PENDING_GOVERNANCE
    assert promoted.status is PromotionStatus.ACTIVE
    assert (held, starts) == (Status.PENDING_EVALUATION, 0)
    assert {"evaluation:expired", "promotion:active"} <= noted
    assert (launched, release.starts) == (Status.RUNNING, 1)
    assert "evaluation:certified" in await release.notes()


async def test_a_clock_that_is_put_back_lets_no_pass_count_before_it_was_given(
    release: Release,
) -> None:
    await release.certify()
    await release.approve(await release.schedule())
    assert await release.reconcile() is Status.RUNNING

    await release.clock.set(-DAY)
    await release.world.crash(0, 0)
    held, noted, starts = await release.reconcile(), await release.notes(), release.starts  # fmt: skip
    await release.clock.set(0 * DAY)
    again = await release.reconcile()

    assert (held, starts) == (Status.PENDING_EVALUATION, 1)
    assert "evaluation:pending" in noted
    assert (again, release.starts) == (Status.RUNNING, 2)


async def test_a_run_that_expired_by_a_clock_put_forward_stays_so_when_it_is_put_back(
    release: Release,
) -> None:
    await release.certify()
    sent = await release.schedule()
    await release.clock.set(-DAY)
    await release.governance.sweep()
    early = await release.promotion(sent)

    await release.clock.set(DAY)
    await release.governance.sweep()
    await release.world.promotions.sweep()
    await release.clock.set(0 * DAY)
    await release.governance.sweep()
    await release.world.promotions.sweep()
    with pytest.raises(DomainError):
        await release.approve(sent)
    held = await release.reconcile()

    late = await release.promotion(sent)
    assert early.status is PromotionStatus.IN_PROGRESS
    assert late.status is PromotionStatus.ROLLED_BACK
    assert "expired" in late.reason
    assert (held, release.starts) == (Status.PENDING_GOVERNANCE, 0)
    # Another one is decided about by itself.
    await release.approve(await release.schedule())
    assert await release.reconcile() is Status.RUNNING


@pytest.mark.parametrize("ahead", [DAY, -DAY], ids=["forward", "back"])
async def test_a_clock_that_is_set_makes_no_soak_shorter_or_longer(
    database: Database, ahead: timedelta
) -> None:
    world = await governing.world_of(database)
    clock = await MovedClock.of(database)
    await world.workflow(Step("wait", "soak", {"seconds": 1}))
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    run = await world.start()

    async def counts() -> bool:
        return bool((await world.look(run)).run.steps[0].progress.get("boot"))

    async def ended() -> bool:
        return (await world.look(run)).run.status is RunStatus.COMPLETED

    async with world.at_work():
        await until(counts)
        await clock.set(ahead)
        # What the clock does once a minute.
        await world.governance.sweep()
        await until(ended)

    assert 1.0 <= time.clock_gettime(time.CLOCK_BOOTTIME) - began < 10.0
