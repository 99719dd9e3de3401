"""What every test may ask for: a real Postgres, and an event loop that nothing blocks."""

import io
import os
import secrets
import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, cast

import psycopg2
import pytest
from blockbuster import blockbuster_ctx
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from appliance.infra import migrations
from appliance.infra.database import Database, connect, connection_arguments
from appliance.observability import logs
from tests.cluster import ThrowAwayCluster, throw_away_cluster

HERE = Path(__file__).parent
MIGRATIONS = HERE.parent / "migrations"
_LONGEST_FIRST = ("e2e", "contract", "functional", "store", "meta", "unit")
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


def _drop(cluster: ThrowAwayCluster, name: str) -> None:
    statement = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    try:
        cluster.execute(statement)
    except psycopg2.OperationalError:
        cluster.execute(statement)  # a test had cut all connections


@pytest.fixture(scope="session")
def drop(cluster: ThrowAwayCluster) -> Iterator[Callable[[str], object]]:
    """Drops a database beside the tests that follow: Postgres waits for a checkpoint each time."""
    with ThreadPoolExecutor(1) as thread:
        dropping: list[Future[None]] = []

        def begin(name: str) -> None:
            dropping.append(thread.submit(_drop, cluster, name))

        yield begin
        for item in dropping:
            item.result()


@pytest.fixture
def database_url(
    cluster: ThrowAwayCluster, migrated_template: str, drop: Callable[[str], object]
) -> Iterator[str]:
    """The address of a migrated, empty database that no other test sees."""
    name = f"test_{secrets.token_hex(6)}"
    # Of files rather than by the log: half the time, for so small a database.
    cluster.execute(
        f"CREATE DATABASE {name} TEMPLATE {migrated_template} STRATEGY FILE_COPY"
    )
    yield cluster.url(name)
    drop(name)


@pytest.fixture
def empty_database_url(
    cluster: ThrowAwayCluster, drop: Callable[[str], object]
) -> Iterator[str]:
    """The address of a database in which nothing was migrated."""
    name = f"test_{secrets.token_hex(6)}"
    cluster.execute(f"CREATE DATABASE {name}")
    yield cluster.url(name)
    drop(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The door to ``database_url``."""
    opened = Database(database_url, size=4)
    yield opened
    opened.close()


class _ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist is not typed
    """Gives each process whole files, and those that share one appliance to one process: starting it takes long."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "e2e" if path.startswith("tests/e2e/") else path


def pytest_xdist_make_scheduler(
    config: pytest.Config, log: object
) -> LoadFileScheduling:
    """Distribute files as the tests' own needs have it."""
    return _ByFile(config, log)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Where processes share the work, begin with what takes longest, so that none ends alone with a long file."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(item.path.relative_to(HERE).parts[0]))


def _turn(directory: str) -> int:
    known = directory in _LONGEST_FIRST
    return _LONGEST_FIRST.index(directory) if known else len(_LONGEST_FIRST)


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
