"""Random histories of calls, deaths, retries, expiry and clocks, on the real services and a real Postgres.

Seen failing: with an expired pass taken for an active one in ``policy/gathering.py`` it finds a history that launches without.
"""

import logging
import tempfile
import time
from contextlib import closing
from pathlib import Path

import structlog

from appliance.infra import migrations
from appliance.infra.database import Database, connect, connection_arguments
from appliance.settings import load_settings
from tests.cluster import throw_away_cluster
from tests.conftest import MIGRATIONS
from tests.harness.gate_property import search
from tests.proofs.claim import ClaimBrokenError, hold

EXAMPLES = 40
STEPS = 40


def prove() -> None:
    """Search, and hold the claim; hypothesis prints the shortest history that breaks it."""
    began = time.monotonic()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
    )
    with throw_away_cluster() as cluster, tempfile.TemporaryDirectory() as place:
        cluster.execute("CREATE DATABASE gate")
        url = cluster.url("gate")
        with closing(connect(connection_arguments(url))) as connection:
            migrations.migrate(connection, MIGRATIONS)
        database = Database(url, size=2)
        try:
            launches, holds = search(
                database,
                load_settings(jwt_secret="s" * 32),
                Path(place),
                examples=EXAMPLES,
                steps=STEPS,
            )
        except AssertionError as error:
            raise ClaimBrokenError(f"a history breaks the gate: {error}") from error
        finally:
            database.close()
    hold(
        launches >= EXAMPLES and holds >= EXAMPLES // 2,
        f"gate-property: {EXAMPLES} histories of up to {STEPS} steps, {launches} launches and {holds} holds, each as the"
        f" policy of its moment has it and as its facts make it again, {time.monotonic() - began:.0f} s",
    )
