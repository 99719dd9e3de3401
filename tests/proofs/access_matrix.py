"""Every route of the hub, asked by everybody who could: exactly the expected answer, and no route without an expectation."""

import asyncio
import logging
import time
from contextlib import closing

import structlog

from appliance.infra import migrations
from appliance.infra.database import Database, connect, connection_arguments
from tests.cluster import throw_away_cluster
from tests.conftest import MIGRATIONS
from tests.harness.access_matrix import Outcome, measure
from tests.harness.access_world import world
from tests.proofs.claim import hold

#: Of each kind of trouble, how many are shown.
SHOWN = 60


def prove() -> None:
    """Ask, show what is wrong, and hold the claim."""
    began = time.monotonic()
    # Thousands of requests: what each logs would hide what is wrong.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR)
    )
    with throw_away_cluster() as cluster:
        cluster.execute("CREATE DATABASE matrix")
        url = cluster.url("matrix")
        with closing(connect(connection_arguments(url))) as connection:
            migrations.migrate(connection, MIGRATIONS)
        database = Database(url, size=4)
        try:
            outcome = asyncio.run(_measured(database))
        finally:
            database.close()
    for title, found in (
        ("without an expectation", outcome.uncovered),
        ("asked in a way that they do not take", outcome.unasked),
        ("wrong", outcome.wrong),
    ):
        for line in found[:SHOWN]:
            print(f"{title}: {line}")
    bad = len(outcome.uncovered) + len(outcome.unasked) + len(outcome.wrong)
    hold(
        not bad and outcome.asked > outcome.routes,
        f"access-matrix: {outcome.routes} routes, {outcome.asked} requests by {outcome.people} kinds of callers,"
        f" {bad} not as expected, {time.monotonic() - began:.0f} s",
    )


async def _measured(database: Database) -> Outcome:
    async with world(database) as made:
        return await measure(made)
