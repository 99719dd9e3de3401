"""The database: one moment of it, dumped while everything goes on, and brought into another."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg2
import psycopg2.extensions

from appliance.infra.connections import connect, connection_arguments
from appliance.infra.pipes import Leftover, glance_of, input_of, output_of
from appliance.infra.postgres_binaries import tools

_LIBPQ = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}
_THOUSAND = 10_000


def environment(url: str) -> dict[str, str]:
    """Return what Postgres' programs are told of the database; a password is on no command line. Pure."""
    arguments = connection_arguments(url)
    return {_LIBPQ[key]: arguments[key] for key in arguments if key in _LIBPQ}


def dump_command(program: Path, snapshot: str) -> list[str]:
    """Return the argv that prints the database as of ``snapshot``. Pure."""
    return [
        str(program), "--format=custom", "--compress=3", "--no-owner", "--no-privileges", "--no-password",
        f"--snapshot={snapshot}",
    ]  # fmt: skip


def restore_command(program: Path, database: str, *, replaces: bool) -> list[str]:
    """Return the argv that reads a dump into ``database``, all of it or nothing. Pure."""
    return [
        str(program), "--no-owner", "--no-privileges", "--no-password", "--exit-on-error", "--single-transaction",
        f"--dbname={database}", *(["--clean", "--if-exists"] if replaces else []),
    ]  # fmt: skip


def list_command(program: Path) -> list[str]:
    """Return the argv that reads a dump and says what is in it. Pure."""
    return [str(program), "--list", "--file=/dev/null"]


@dataclass(frozen=True)
class ServerFacts:
    """What the database says of a server at that moment."""

    id: int
    name: str
    is_wanted: bool
    is_remote: bool
    #: What its live deployment runs; empty: nothing.
    image: str


@dataclass
class Snapshot:
    """One moment of the database, for as long as it is held open."""

    url: str
    connection: psycopg2.extensions.connection
    name: str
    major: int

    def servers(self) -> list[ServerFacts]:
        """Return all servers that are not being deleted."""
        return [ServerFacts(*row) for row in self._rows(_SERVERS)]

    def images(self) -> list[str]:
        """Return the images that deployments run or can be brought back to."""
        return [image for (image,) in self._rows(_IMAGES)]

    def schema(self) -> int:
        """Return the number of the newest migration."""
        ((number,),) = self._rows("SELECT max(version) FROM schema_migrations_applied")
        return int(number)

    def size_bytes(self) -> int:
        """Return about what the database takes."""
        ((size,),) = self._rows("SELECT pg_database_size(current_database())")
        return int(size)

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    @contextmanager
    def dumped(self) -> Iterator[IO[bytes]]:
        """Give the dump as it comes."""
        binaries = tools(self.major)
        command = dump_command(binaries.directory / "pg_dump", self.name)
        with output_of(command, environment=environment(self.url)) as stream:
            yield stream

    def dump_major(self) -> int:
        """Return which version writes the dump."""
        return tools(self.major).major


_SERVERS = """
SELECT s.id, s.name, s.desired_state = 'running', s.source ->> 'kind' = 'remote', coalesce(d.image, '')
FROM servers s
LEFT JOIN LATERAL (
    SELECT image FROM deployments WHERE server_id = s.id AND state IN ('live', 'pending') AND image IS NOT NULL
    ORDER BY state = 'live' DESC, number DESC LIMIT 1
) d ON true
WHERE s.desired_state <> 'deleted' ORDER BY s.id
"""
_IMAGES = """
SELECT DISTINCT d.image FROM deployments d JOIN servers s ON s.id = d.server_id
WHERE s.desired_state <> 'deleted' AND d.image <> '' AND d.state IN ('pending', 'live', 'superseded', 'rolled-back')
ORDER BY 1
"""


@contextmanager
def snapshot(url: str) -> Iterator[Snapshot]:
    """Hold one moment of the database open.

    Raises:
        DatabaseUnavailableError: Postgres does not answer.
    """
    connection = connect(connection_arguments(url))
    try:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SELECT pg_export_snapshot()")
            (name,) = cursor.fetchone() or ("",)
        yield Snapshot(
            url, connection, str(name), connection.server_version // _THOUSAND
        )
    finally:
        connection.close()


@contextmanager
def restored_into(url: str, *, dump_major: int, replaces: bool) -> Iterator[IO[bytes]]:
    """Give where to write a dump that becomes the database.

    Raises:
        ProgramFailedError: It could not be brought in; the database is as it was.
        PostgresUnavailableError: The programs of this box are too old for the dump.
    """
    binaries = tools(dump_major)
    settings = environment(url)
    command = restore_command(
        binaries.directory / "pg_restore",
        settings.get("PGDATABASE", "postgres"),
        replaces=replaces,
    )
    with input_of(command, environment=settings) as stream:
        yield stream


@contextmanager
def listed(*, dump_major: int) -> Iterator[Leftover]:
    """Give where to write a dump that is read to its end and goes nowhere.

    Raises:
        ProgramFailedError: It is none.
    """
    binaries = tools(dump_major)
    with glance_of(list_command(binaries.directory / "pg_restore")) as stream:
        yield stream


def has_people_or_servers(url: str) -> bool:
    """Tell whether somebody uses the database already; one with nothing but tables is blank."""
    connection = connect(connection_arguments(url))
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT to_regclass('public.users') IS NOT NULL AND to_regclass('public.servers') IS NOT NULL"
            )
            (there,) = cursor.fetchone() or (False,)
            if not there:
                return False
            cursor.execute(
                "SELECT EXISTS (SELECT FROM users) OR EXISTS (SELECT FROM servers)"
            )
            (used,) = cursor.fetchone() or (False,)
            return bool(used)
    finally:
        connection.close()


def has_tables(url: str) -> bool:
    """Tell whether there is anything of ours in the database."""
    connection = connect(connection_arguments(url))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('public.servers') IS NOT NULL")
            (there,) = cursor.fetchone() or (False,)
            return bool(there)
    finally:
        connection.close()
