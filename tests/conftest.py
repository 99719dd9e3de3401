"""What every test may ask for: a real Postgres, and an event loop that nothing blocks."""

import io
import os
import secrets
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from blockbuster import blockbuster_ctx

from appliance.infra import migrations
from appliance.infra.database import Database, connect, connection_arguments
from appliance.observability import logs
from tests.cluster import ThrowAwayCluster, throw_away_cluster

MIGRATIONS = Path(__file__).parent.parent / "migrations"
TEMPLATE = "template_migrated"


class _CapturedOutput(io.RawIOBase):
    """Whatever standard output is at the moment, so that pytest shows a failing test's own lines."""

    def write(self, data: bytes) -> int:  # type: ignore[override]  # we write bytes only
        sys.stdout.write(data.decode())
        return len(data)


@pytest.fixture(autouse=True, scope="session")
def _configured_logs() -> None:
    """Log as the product does, all of it."""
    logs.configure("debug", "json", stream=cast("BinaryIO", _CapturedOutput()))


@pytest.fixture(autouse=True)
def _unblocked_loop() -> Iterator[None]:
    """Fail a test in which our own code makes the event loop wait."""
    with blockbuster_ctx("appliance"):
        yield


@pytest.fixture(scope="session")
def cluster() -> Iterator[ThrowAwayCluster]:
    """One Postgres for the whole run."""
    with throw_away_cluster() as started:
        yield started


@pytest.fixture(scope="session")
def migrated_template(cluster: ThrowAwayCluster) -> str:
    """The name of a migrated database, to be cloned and never used itself."""
    cluster.execute(f"CREATE DATABASE {TEMPLATE}")
    with closing(connect(connection_arguments(cluster.url(TEMPLATE)))) as connection:
        migrations.migrate(connection, MIGRATIONS)
    return TEMPLATE


@pytest.fixture
def database_url(cluster: ThrowAwayCluster, migrated_template: str) -> Iterator[str]:
    """The address of a migrated, empty database that no other test sees."""
    name = f"test_{secrets.token_hex(6)}"
    cluster.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    yield cluster.url(name)
    cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database_url(cluster: ThrowAwayCluster) -> Iterator[str]:
    """The address of a database in which nothing was migrated."""
    name = f"test_{secrets.token_hex(6)}"
    cluster.execute(f"CREATE DATABASE {name}")
    yield cluster.url(name)
    cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The door to ``database_url``."""
    opened = Database(database_url, size=4)
    yield opened
    opened.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let nothing skip where CI is true: a test that does not run proves nothing."""
    report = yield
    if (
        report.skipped
        and os.environ.get("CI") == "true"
        and not hasattr(report, "wasxfail")
    ):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} skipped although CI=true: {call.excinfo}"
    return report
