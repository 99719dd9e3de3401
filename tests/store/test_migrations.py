"""Migrations: each file once, in order, by one process, and nothing of one that fails."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2.extensions
import pytest

from appliance.infra import migrations
from appliance.infra.database import connect, connection_arguments
from appliance.infra.migrations import MigrationError
from tests.conftest import MIGRATIONS

Connection = psycopg2.extensions.connection


@pytest.fixture
def connection(empty_database_url: str) -> Iterator[Connection]:
    with closing(connect(connection_arguments(empty_database_url))) as opened:
        yield opened


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path, 1, "create_a", "CREATE TABLE a (n int);")
    write(tmp_path, 2, "create_b", "CREATE TABLE b (n int);")
    return tmp_path


def write(directory: Path, number: int, name: str, sql: str) -> None:
    (directory / f"{number:04d}_{name}.sql").write_text(sql)


def tables(connection: Connection) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in cursor.fetchall()} - {"schema_migrations_applied"}


def states(connection: Connection, directory: Path) -> list[tuple[str, bool]]:
    found = migrations.status(connection, directory)
    return [(item.name, item.applied_at is not None) for item in found]


def test_what_is_pending_is_applied_once_and_in_order(
    connection: Connection, directory: Path
) -> None:
    assert migrations.migrate(connection, directory) == [
        "0001_create_a",
        "0002_create_b",
    ]
    write(directory, 3, "add_c", "ALTER TABLE a ADD COLUMN c int;")

    assert migrations.migrate(connection, directory) == ["0003_add_c"]
    assert migrations.migrate(connection, directory) == []


def test_status_tells_applied_from_pending_and_changes_nothing(
    connection: Connection, directory: Path
) -> None:
    migrations.migrate(connection, directory)
    write(directory, 3, "create_c", "CREATE TABLE c (n int);")

    found = states(connection, directory)

    assert found == [
        ("0001_create_a", True),
        ("0002_create_b", True),
        ("0003_create_c", False),
    ]
    assert tables(connection) == {"a", "b"}


def test_a_file_that_fails_leaves_nothing_and_what_was_before_it_stays(
    connection: Connection, directory: Path
) -> None:
    write(directory, 3, "break", "CREATE TABLE c (n int); SELECT 1/0;")

    with pytest.raises(
        MigrationError, match=r"0003_break\.sql failed: division by zero"
    ):
        migrations.migrate(connection, directory)

    assert tables(connection) == {"a", "b"}
    write(directory, 3, "break", "CREATE TABLE c (n int);")
    assert migrations.migrate(connection, directory) == ["0003_break"]


def test_a_file_outside_a_transaction_may_build_an_index_without_locking(
    connection: Connection, directory: Path
) -> None:
    sql = "-- no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a_n_idx ON a (n);"
    write(directory, 3, "index_a", sql)

    assert migrations.migrate(connection, directory)[-1] == "0003_index_a"


def test_a_file_outside_a_transaction_that_fails_stays_pending(
    connection: Connection, directory: Path
) -> None:
    write(
        directory,
        3,
        "index",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY i ON nothing (n);",
    )

    with pytest.raises(MigrationError, match="0003_index"):
        migrations.migrate(connection, directory)

    assert states(connection, directory)[-1] == ("0003_index", False)


def test_a_file_that_was_changed_after_it_was_applied_stops_everything(
    connection: Connection, directory: Path
) -> None:
    migrations.migrate(connection, directory)
    write(directory, 1, "create_a", "CREATE TABLE a (n bigint);")
    write(directory, 3, "create_c", "CREATE TABLE c (n int);")

    with pytest.raises(MigrationError, match=r"0001_create_a\.sql was changed"):
        migrations.migrate(connection, directory)

    assert tables(connection) == {"a", "b"}


def test_a_database_of_a_newer_version_is_refused(
    connection: Connection, directory: Path
) -> None:
    migrations.migrate(connection, directory)
    (directory / "0002_create_b.sql").unlink()

    with pytest.raises(
        MigrationError, match="migration 0002, which this version does not know"
    ):
        migrations.migrate(connection, directory)


@pytest.mark.parametrize(
    "name", ["3_c.sql", "0003-c.sql", "0004_c.sql", "0002_again.sql"]
)
def test_misnamed_missing_and_doubled_numbers_are_refused(
    name: str, directory: Path
) -> None:
    (directory / name).write_text("SELECT 1;")

    with pytest.raises(MigrationError):
        migrations.read_migrations(directory)


def test_two_processes_that_start_at_once_apply_each_file_once(
    empty_database_url: str, directory: Path
) -> None:
    write(directory, 3, "wait", "SELECT pg_sleep(0.3); CREATE TABLE c (n int);")
    together = threading.Barrier(2)

    def run() -> list[str]:
        with closing(connect(connection_arguments(empty_database_url))) as connection:
            together.wait()
            return migrations.migrate(connection, directory)

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.submit(run), threads.submit(run)

    names = ["0001_create_a", "0002_create_b", "0003_wait"]
    assert sorted([first.result(), second.result()]) == [[], names]


def test_a_migrator_that_dies_in_the_middle_leaves_the_next_one_a_clean_start(
    empty_database_url: str, directory: Path
) -> None:
    write(directory, 3, "wait", "CREATE TABLE c (n int); SELECT pg_sleep(60);")
    dying = connect(connection_arguments(empty_database_url))

    with ThreadPoolExecutor(1) as threads:
        attempt = threads.submit(migrations.migrate, dying, directory)
        with closing(connect(connection_arguments(empty_database_url))) as other:
            kill_when_asleep(other)
        with pytest.raises(MigrationError, match="0003_wait"):
            attempt.result()
    dying.close()
    write(directory, 3, "wait", "CREATE TABLE c (n int);")

    with closing(connect(connection_arguments(empty_database_url))) as connection:
        assert migrations.migrate(connection, directory) == ["0003_wait"]


def kill_when_asleep(connection: Connection) -> None:
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'PgSleep'"
    )
    with connection.cursor() as cursor:
        while True:
            cursor.execute(kill)
            if cursor.rowcount:
                return


def test_the_product_s_own_migrations_say_why_they_are_safe() -> None:
    for migration in migrations.read_migrations(MIGRATIONS):
        comment = "".join(
            line for line in migration.sql.splitlines() if line.startswith("--")
        )
        assert "Safe under load" in comment, migration.name
