"""Connections to Postgres without a pool or an ORM.

For what needs a connection of its own (LISTEN, advisory locks, migrations) and for the gateway's processes, which read two
views and would pay several megabytes each for an ORM.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg2
import psycopg2.extensions

from appliance.core.errors import UnavailableError


class DatabaseUnavailableError(UnavailableError):
    """Postgres does not answer."""

    code = "database_unavailable"


def connection_arguments(url: str) -> dict[str, str]:
    """Return libpq keywords for ``url``; ``?host=`` names a socket directory.

    >>> connection_arguments("postgresql://u:p@/app?host=/run/x")["host"]
    '/run/x'
    """
    parts = urlsplit(url)
    found = {
        "dbname": unquote(parts.path.lstrip("/")) or "postgres",
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "host": unquote(parts.hostname or ""),
        "port": str(parts.port or ""),
    }
    found |= {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {key: value for key, value in found.items() if value}


def connect(arguments: dict[str, str]) -> psycopg2.extensions.connection:
    """Return one connection in autocommit. Blocking.

    Raises:
        DatabaseUnavailableError: Postgres does not answer.
    """
    try:
        connection: psycopg2.extensions.connection = psycopg2.connect(
            psycopg2.extensions.make_dsn(**arguments)
        )
    except psycopg2.OperationalError as error:
        raise DatabaseUnavailableError(
            f"Postgres does not answer: {str(error).strip().splitlines()[0]}."
        ) from error
    connection.autocommit = True
    return connection


RECONNECT_AFTER_S = 0.5


async def listen(
    arguments: dict[str, str], *channels: str
) -> AsyncGenerator[tuple[str, str], None]:
    """Yield NOTIFYs as ``Database.listen`` does, for a process that has no pool."""
    while True:
        try:
            connection = await asyncio.to_thread(connect, arguments)
        except DatabaseUnavailableError:
            await asyncio.sleep(RECONNECT_AFTER_S)
            continue
        with contextlib.closing(connection):
            try:
                with connection.cursor() as cursor:
                    for channel in channels:
                        cursor.execute(
                            f'LISTEN "{channel}"'
                        )  # channels are names in our own code
                yield "", ""
                async for item in _notifications(connection):
                    yield item
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                await asyncio.sleep(RECONNECT_AFTER_S)


async def _notifications(
    connection: psycopg2.extensions.connection,
) -> AsyncGenerator[tuple[str, str], None]:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    descriptor = connection.fileno()
    loop.add_reader(descriptor, readable.set)
    try:
        while True:
            await readable.wait()
            readable.clear()
            connection.poll()
            while connection.notifies:
                notify = connection.notifies.pop(0)
                yield notify.channel, notify.payload
    finally:
        loop.remove_reader(descriptor)
