"""A real build counts what the ledger says of it, and one beyond the quota never begins."""

from dataclasses import replace

import pytest

from appliance.builds.model import BuildState
from appliance.builds.ports import FinishedRun
from appliance.builds.service import BuildService
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.servers.errors import BuildMinutesReachedError
from appliance.servers.quotas import store
from appliance.servers.quotas.meter import BuildMeter
from appliance.servers.quotas.model import QuotaKind
from appliance.servers.quotas.standing import standing
from tests.engine import Box
from tests.functional.builds.conftest import Bench

#: Whose the servers of a bench are.
OWNER = 1


class Runs:
    """A ledger that keeps what it is told."""

    def __init__(self) -> None:
        """Know of none."""
        self.told: list[FinishedRun] = []

    def record(self, run: FinishedRun) -> int:
        """Keep it."""
        self.told.append(run)
        return len(self.told)


async def test_a_build_counts_what_the_ledger_says_and_beyond_the_quota_none_begins(
    database: Database, engine: Engine, box: Box, strange_image: str
) -> None:
    runs = Runs()
    service = BuildService(
        database, engine, box.settings, owner=box.owner, ledger=runs, meter=BuildMeter()
    )
    bench = Bench(service, database, box)
    first = replace(await bench.request({"image": strange_image}), owner_id=OWNER)
    await bench.build(first)
    used = (await database.run(standing, OWNER)).minutes

    def shut() -> None:
        store.set_limit(OWNER, QuotaKind.BUILD_MINUTES, 0, by="x")

    await database.run(shut)
    second = replace(await bench.request({"image": strange_image}), owner_id=OWNER)
    with pytest.raises(BuildMinutesReachedError):
        await bench.build(second)
    failed = await bench.view(second)
    again = (await database.run(standing, OWNER)).minutes

    took = runs.told[0].completed_at - runs.told[0].started_at
    assert used.used_seconds == took.total_seconds() > 0
    assert (used.running, again.running) == (0, 0)
    assert again.used_seconds == used.used_seconds
    assert failed.state is BuildState.FAILED
    assert "No build begins before" in failed.error
    assert "build minutes of this month" in await bench.log(second)
