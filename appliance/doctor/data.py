"""What is kept: database, migrations, master keys, domains and certificates, backups."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2

from appliance.backups import passphrases
from appliance.backups.targets.opening import open_target
from appliance.core.clock import now
from appliance.core.errors import DomainError
from appliance.doctor.model import Finding, fail, ok, warn
from appliance.infra import migrations
from appliance.infra.connections import (
    DatabaseUnavailableError,
    connect,
    connection_arguments,
)
from appliance.infra.postgres import database_url
from appliance.infra.postgres_binaries import (
    PostgresUnavailableError,
    account,
    resolve,
)
from appliance.settings import Settings

#: A certificate this near its end should have been renewed.
_NEAR_END = timedelta(days=7)
_OLD_FACTOR = 1.5


def database(settings: Settings, directory: Path) -> Iterator[Finding]:
    """Look at Postgres, the schema, and what the rows say of domains, certificates and backups.

    Args:
        directory: Of the migrations.
    """
    try:
        connection = connect(connection_arguments(database_url(settings)))
    except DatabaseUnavailableError as error:
        yield _silent(settings, error)
        yield from backups(settings, None, has_database=False)
        return
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (version,) = cursor.fetchone() or ("",)
        yield ok("postgres", f"Postgres {version} answers.")
        schema = list(_schema(connection, directory))
        yield from schema
        if any(item.verdict for item in schema):
            return
        yield from _certificates(cursor)
        yield from _master_keys(settings, cursor)
        cursor.execute(
            "SELECT max(finished_at) FROM backups WHERE state IN ('succeeded', 'deleted')"
        )
        (good_at,) = cursor.fetchone() or (None,)
        yield from backups(settings, good_at)


def _silent(settings: Settings, error: DatabaseUnavailableError) -> Finding:
    if settings.database_url is not None:
        return fail(
            "postgres",
            error.detail,
            "Is DATABASE_URL right, and does that Postgres run?",
        )
    try:
        found = resolve(account(), settings.postgres_dir.absolute())
    except PostgresUnavailableError as missing:
        return fail("postgres", missing.detail, missing.hint or "")
    return warn(
        "postgres",
        f"It does not run; the programs of Postgres {found.major} are there.",
        "mcp-host up",
    )


def _schema(connection: Any, directory: Path) -> Iterator[Finding]:
    known = migrations.read_migrations(directory)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('schema_migrations_applied') IS NOT NULL")
        (is_there,) = cursor.fetchone() or (False,)
        if not is_there:
            yield warn("migrations", "The database is empty.", "mcp-host migrate")
            return
        cursor.execute("SELECT version FROM schema_migrations_applied")
        applied = {version for (version,) in cursor.fetchall()}
    newer = applied - {item.version for item in known}
    pending = [item.name for item in known if item.version not in applied]
    if newer:
        yield fail(
            "migrations",
            f"The database is of a newer version: it has migration {max(newer):04d}.",
            "Install the version that made it, or restore a backup from before.",
        )
    elif pending:
        yield fail(
            "migrations",
            f"{len(pending)} are pending, the first {pending[0]}.",
            "mcp-host migrate",
        )
    else:
        yield ok(
            "migrations",
            f"The schema is that of this version, {len(applied)} migrations.",
        )


def _certificates(cursor: Any) -> Iterator[Finding]:
    cursor.execute(
        "SELECT names ->> 0, status, not_after, error FROM certificates WHERE status <> 'revoked'"
    )
    rows = cursor.fetchall()
    for name, status, not_after, error in rows:
        if not_after is not None and not_after < now():
            yield fail(
                "certificates",
                f"{name}: ended {not_after:%Y-%m-%d}. {error}".strip(),
                "mcpctl certificates",
            )
        elif not_after is not None and not_after < now() + _NEAR_END:
            yield warn(
                "certificates",
                f"{name}: ends {not_after:%Y-%m-%d}. {error}".strip(),
                "mcpctl certificates",
            )
        elif status == "failed":
            yield warn("certificates", f"{name}: {error}", "mcpctl certificates")
    if rows:
        yield ok("certificates", f"{len(rows)} were looked at.")
    cursor.execute("SELECT host, reason FROM domains WHERE status = 'error' LIMIT 20")
    for host, reason in cursor.fetchall():
        yield warn("domains", f"{host}: {reason}", "mcpctl domains")


def domain_names(settings: Settings) -> list[str]:
    """Return names that should lead here: the box's own, and those of servers; none where nothing tells them."""
    found = sorted(settings.box_names)
    try:
        arguments = connection_arguments(database_url(settings))
        with closing(connect(arguments)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT host FROM domains WHERE verified_at IS NOT NULL AND host NOT LIKE '*%' ORDER BY id LIMIT 20"
            )
            found += [host for (host,) in cursor.fetchall()]
    except (DatabaseUnavailableError, psycopg2.Error):
        return found  # which the database's own look tells of
    return found


def _master_keys(settings: Settings, cursor: Any) -> Iterator[Finding]:
    path = settings.master_key_file
    cursor.execute("SELECT EXISTS (SELECT FROM sealed_values)")
    (is_needed,) = cursor.fetchone() or (False,)
    try:
        held = json.loads(path.read_text())
        count = len(held["keys"])
    except FileNotFoundError:
        if is_needed:
            yield fail(
                "master keys",
                f"{path} is gone: secrets of servers do not open.",
                f"Put it back from where you keep a copy: {path}",
            )
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield fail(
            "master keys",
            f"{path} cannot be read: {error}.",
            f"Put it back from where you keep a copy: {path}",
        )
        return
    yield ok("master keys", f"{path} holds {count}.")


def backups(
    settings: Settings, good_at: Any, *, has_database: bool = True
) -> Iterator[Finding]:
    """Look whether there are backups, and whether the next one could be made."""
    if settings.backup_target is None or settings.backup_passphrase_file is None:
        yield warn(
            "backups",
            "None are made by the clock.",
            "Set BACKUP_TARGET and BACKUP_PASSPHRASE_FILE; see docs/backup.md.",
        )
        return
    try:
        passphrases.from_file(settings.backup_passphrase_file)
        told = open_target(settings.backup_target, settings).check()
    except DomainError as error:
        yield fail("backups", error.detail, error.hint or "mcpctl backups check-target")
        return
    yield ok("backups", told)
    every = timedelta(hours=settings.backup_every_hours)
    if not has_database or not every:
        return
    if good_at is None:
        yield warn("backups", "There is no good one yet.", "mcp-host backup")
    elif now() - good_at > every * _OLD_FACTOR:
        yield warn(
            "backups",
            f"The last good one is of {good_at:%Y-%m-%d %H:%M} UTC.",
            "mcp-host backup",
        )
    else:
        yield ok("backups", f"The last good one is of {good_at:%Y-%m-%d %H:%M} UTC.")
