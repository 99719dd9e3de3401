"""Strangers to an organisation act in hundreds of made-up orders: nothing of it changes, is seen, or is called.

Seen failing: where ``accounts/access.py`` shows any server to whoever names it, the first sequences find it.
"""

import logging
import tempfile
import time
from contextlib import closing
from pathlib import Path

import structlog

from appliance.infra import migrations
from appliance.infra.database import Database, connect, connection_arguments
from tests.cluster import throw_away_cluster
from tests.conftest import MIGRATIONS
from tests.harness.orgs_apart import attack
from tests.proofs.claim import ClaimBrokenError, hold

EXAMPLES = 40
STEPS = 25


def prove() -> None:
    """Try, and hold the claim; hypothesis prints the shortest sequence that leads across."""
    began = time.monotonic()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR)
    )
    with throw_away_cluster() as cluster, tempfile.TemporaryDirectory() as place:
        cluster.execute("CREATE DATABASE apart")
        url = cluster.url("apart")
        with closing(connect(connection_arguments(url))) as connection:
            migrations.migrate(connection, MIGRATIONS)
        database = Database(url, size=4)
        try:
            attack(database, Path(place), examples=EXAMPLES, steps=STEPS)
        except AssertionError as error:
            raise ClaimBrokenError(f"somebody found a way: {error}") from error
        finally:
            database.close()
    hold(
        True,  # noqa: FBT003 - else attack() had raised
        f"orgs-apart: {EXAMPLES} sequences of up to {STEPS} steps, no way across,"
        f" {time.monotonic() - began:.0f} s",
    )
