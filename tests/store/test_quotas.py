"""Build minutes and disk as Postgres keeps them: who is let in, two at once, what a hub's end cut off, and what is measured."""

import asyncio
from datetime import datetime, timedelta

import pytest

from appliance.builds import store as build_store
from appliance.builds.model import BuildView
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.servers.errors import BuildMinutesReachedError, DiskQuotaReachedError
from appliance.servers.quotas import rules, store
from appliance.servers.quotas.census import DiskCensus
from appliance.servers.quotas.meter import BuildMeter
from appliance.servers.quotas.model import BOX, MIB, DiskSizes, Limit, QuotaKind
from appliance.servers.quotas.service import QuotaService
from appliance.servers.quotas.standing import require_build, require_disk, standing
from tests.functional.builds.conftest import add_deployment

METER = BuildMeter()
#: Whose the servers of ``add_deployment`` are.
ADA = 1


async def begun(database: Database, name: str = "one") -> BuildView:
    """Return a build that is about to have its turn."""
    request = await database.run(add_deployment, database, name)
    return (await database.run(build_store.begin, request)).view


async def allow(database: Database, minutes: int | None, owner: int = ADA) -> None:
    def write() -> None:
        store.set_limit(owner, QuotaKind.BUILD_MINUTES, minutes, by="x")

    await database.run(write)


async def test_of_two_builds_at_once_on_the_last_minute_one_is_refused(
    database: Database,
) -> None:
    builds = [await begun(database, name) for name in ("one", "two")]
    await allow(database, 1)

    outcomes = await asyncio.gather(
        *(database.run(METER.begin, ADA, item.id, 1, now()) for item in builds),
        return_exceptions=True,
    )

    assert sum(isinstance(item, BuildMinutesReachedError) for item in outcomes) == 1
    assert outcomes.count("") == 1


async def test_what_builds_took_counts_in_the_month_in_which_they_began(
    database: Database,
) -> None:
    this, last = [await begun(database, name) for name in ("one", "two")]
    month = rules.month_of(now())
    before = month.begins - timedelta(seconds=1)
    for view, began_at in ((this, month.begins), (last, before)):
        await database.run(METER.begin, ADA, view.id, 1, began_at)
        await database.run(METER.end, view.id, 1, began_at + timedelta(minutes=7))

    found = await database.run(standing, ADA)

    assert (found.minutes.used_seconds, found.minutes.running) == (420, 0)
    assert found.minutes.resets_at == month.ends


async def test_an_attempt_that_ended_with_its_hub_counts_nothing(
    database: Database,
) -> None:
    view = await begun(database)
    long_ago = now() - timedelta(minutes=30)
    await database.run(METER.begin, ADA, view.id, 1, long_ago)
    again = await database.run(build_store.begin_again, view.id)

    between = (await database.run(standing, ADA)).minutes
    await database.run(METER.begin, ADA, view.id, again.view.attempt, now())
    after = (await database.run(standing, ADA)).minutes

    assert (between.used_seconds, between.running) == (0, 0)
    assert (after.used_seconds, after.running) == (60, 1)


async def test_minutes_are_not_given_back_with_a_server(database: Database) -> None:
    view = await begun(database)
    await database.run(METER.begin, ADA, view.id, 1, now() - timedelta(minutes=3))
    await database.run(METER.end, view.id, 1, now())

    def remove() -> None:
        database.peewee.execute_sql("DELETE FROM servers")

    await database.run(remove)

    assert (await database.run(standing, ADA)).minutes.used_seconds >= 180


async def test_from_80_percent_on_a_build_says_so_in_its_log(
    database: Database,
) -> None:
    first, second = [await begun(database, name) for name in ("one", "two")]
    await allow(database, 10)
    await database.run(METER.begin, ADA, first.id, 1, now() - timedelta(minutes=8, seconds=30))  # fmt: skip

    told = await database.run(METER.begin, ADA, second.id, 1, now())

    assert told == "a@example.org has used 8.5 of 10 build minutes of this month."


async def test_what_the_box_allows_counts_until_an_administrator_says_otherwise(
    database: Database,
) -> None:
    await begun(database)
    await QuotaService(database).set_defaults({QuotaKind.BUILD_MINUTES: 0})

    with pytest.raises(BuildMinutesReachedError):
        await database.run(require_build, ADA)
    await allow(database, None)
    found = await database.run(require_build, ADA)

    assert found.minutes.limit == Limit(None, is_default=False)


async def test_the_disk_is_measured_for_people_and_organisations(
    database: Database,
) -> None:
    view = await begun(database)

    async def images() -> dict[int, int]:
        return {ADA: 3 * MIB, -7: MIB}

    async def data() -> dict[int, int]:
        return {view.server_id: 2 * MIB, 987654: MIB}

    await DiskCensus(database, images=images, data=data)()
    seen = await database.run(store.disk, [ADA, -7])

    assert {owner: sizes for owner, (sizes, _) in seen.items()} == {
        ADA: DiskSizes(3 * MIB, 2 * MIB),
        -7: DiskSizes(MIB),
    }


async def test_beyond_the_disk_that_is_allowed_nothing_is_added(
    database: Database,
) -> None:
    await begun(database)

    def fill(at: datetime) -> None:
        store.set_limit(BOX, QuotaKind.DISK, 5, by="x")
        store.put_disk({ADA: DiskSizes(images_bytes=5 * MIB)}, at)

    await database.run(fill, now())

    for refused in (require_build, require_disk):
        with pytest.raises(DiskQuotaReachedError):
            await database.run(refused, ADA)
