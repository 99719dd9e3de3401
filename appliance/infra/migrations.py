"""Numbered SQL files, applied once, in order, by one process at a time.

A file is ``NNNN_verb_noun.sql``. Each runs in a transaction of its own together with its row in the ledger
``schema_migrations_applied``; a file whose first line is ``-- no-transaction`` runs outside (``CREATE INDEX
CONCURRENTLY``), and must be harmless when run twice. A file that changed after it was applied stops everything: history is
not edited, a new file is added.
"""

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg2
import psycopg2.extensions

from appliance.core.errors import FailedError

LOCK_KEY = 0x4D43_5048  # "MCPH"; any number that nobody else takes
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations_applied (
    version int PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    duration_ms int NOT NULL
)
"""


class MigrationError(FailedError):
    """A migration failed, was changed after it was applied, or is misnamed."""

    code = "migration_failed"


@dataclass(frozen=True)
class Migration:
    """One file."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Checksum of the text, hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def in_transaction(self) -> bool:
        """Whether the file runs in one transaction."""
        return not self.sql.startswith("-- no-transaction")


@dataclass(frozen=True)
class MigrationStatus:
    """What the ledger says of one file."""

    version: int
    name: str
    #: ``None``: pending.
    applied_at: datetime | None


def read_migrations(directory: Path) -> list[Migration]:
    """Return the files of ``directory`` in order.

    Raises:
        MigrationError: A name is not ``NNNN_verb_noun.sql``, or a number is missing or used twice.
    """
    found = []
    for path in sorted(directory.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if not match:
            raise MigrationError(f"{path.name} is not named NNNN_verb_noun.sql.")
        found.append(Migration(int(match[1]), path.stem, path.read_text()))
    if [item.version for item in found] != list(range(1, len(found) + 1)):
        raise MigrationError(
            "Migration numbers must run from 0001 without gap or repetition."
        )
    return found


def migrate(
    connection: psycopg2.extensions.connection,
    directory: Path,
    *,
    may_be_newer: bool = False,
) -> list[str]:
    """Apply what is pending and return the names applied. Blocking; waits while another process migrates.

    Args:
        connection: In autocommit.
        may_be_newer: Take a database that a later release has brought further: schemas only expand from one to the next.

    Raises:
        MigrationError: A file failed (it left nothing behind) or does not match what was applied under its number.
    """
    migrations = read_migrations(directory)
    with _lock(connection):
        ledger = _read_ledger(connection)
        if may_be_newer:
            known = {item.version for item in migrations}
            ledger = {key: value for key, value in ledger.items() if key in known}
        _refuse_changed_history(migrations, ledger)
        pending = [item for item in migrations if item.version not in ledger]
        for item in pending:
            _apply(connection, item)
    return [item.name for item in pending]


def status(
    connection: psycopg2.extensions.connection, directory: Path
) -> list[MigrationStatus]:
    """Return one line a file, in order. Blocking."""
    ledger = _read_ledger(connection)
    return [
        MigrationStatus(
            item.version,
            item.name,
            ledger[item.version][1] if item.version in ledger else None,
        )
        for item in read_migrations(directory)
    ]


def unknown(connection: psycopg2.extensions.connection, directory: Path) -> list[int]:
    """Return the migrations that the database has and ``directory`` has not. Blocking."""
    known = {item.version for item in read_migrations(directory)}
    return sorted(set(_read_ledger(connection)) - known)


@contextmanager
def _lock(connection: psycopg2.extensions.connection) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        try:
            yield
        finally:
            if not connection.closed:
                cursor.execute("SELECT pg_advisory_unlock(%s)", (LOCK_KEY,))


def _read_ledger(
    connection: psycopg2.extensions.connection,
) -> dict[int, tuple[str, datetime]]:
    with connection.cursor() as cursor:
        cursor.execute(_LEDGER)
        cursor.execute(
            "SELECT version, sha256, applied_at FROM schema_migrations_applied"
        )
        return {
            version: (sha256, applied_at)
            for version, sha256, applied_at in cursor.fetchall()
        }


def _refuse_changed_history(
    migrations: list[Migration], ledger: dict[int, tuple[str, datetime]]
) -> None:
    known = {item.version for item in migrations}
    if newer := sorted(set(ledger) - known):
        raise MigrationError(
            f"The database has migration {newer[-1]:04d}, which this version does not know.",
            hint="Run the version that made it, or restore a backup from before it.",
        )
    for item in migrations:
        if item.version in ledger and ledger[item.version][0] != item.sha256:
            raise MigrationError(
                f"{item.name}.sql was changed after it was applied.",
                hint="Put the old text back and add a new file.",
            )


def _apply(connection: psycopg2.extensions.connection, item: Migration) -> None:
    started = time.monotonic()
    record = "INSERT INTO schema_migrations_applied (version, name, sha256, duration_ms) VALUES (%s, %s, %s, %s)"
    try:
        with connection.cursor() as cursor:
            if item.in_transaction:
                cursor.execute("BEGIN")
            cursor.execute(item.sql)
            duration_ms = int((time.monotonic() - started) * 1000)
            cursor.execute(record, (item.version, item.name, item.sha256, duration_ms))
            if item.in_transaction:
                cursor.execute("COMMIT")
    except psycopg2.Error as error:
        if not connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        raise MigrationError(
            f"{item.name}.sql failed: {str(error).strip().splitlines()[0]}."
        ) from error
