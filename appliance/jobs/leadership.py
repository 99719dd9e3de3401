"""One process of many leads: whoever holds an advisory lock, on a connection of its own.

Postgres gives the lock back the moment that connection ends, however it ends, so there is nothing to expire and nobody
waits for a leader that is gone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg2
import psycopg2.extensions

from appliance.infra.database import Database, DatabaseUnavailableError

#: "MCPC"; the migrations hold "MCPH".
CLOCK_KEY = 0x4D43_5043


class Leadership:
    """The lock, held; made by ``lead``."""

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        """Keep the connection whose end is the end of it."""
        self._connection = connection

    async def lost(self, *, check_every_s: float) -> None:
        """Return when the lock is gone: at once when Postgres closes the connection, else at the next check."""
        loop = asyncio.get_running_loop()
        is_readable = asyncio.Event()
        descriptor = self._connection.fileno()
        loop.add_reader(descriptor, is_readable.set)
        try:
            while await asyncio.to_thread(_answers, self._connection):
                is_readable.clear()
                try:
                    async with asyncio.timeout(check_every_s):
                        await is_readable.wait()
                except TimeoutError:
                    continue
        finally:
            loop.remove_reader(descriptor)


@asynccontextmanager
async def lead(
    database: Database, key: int = CLOCK_KEY
) -> AsyncIterator[Leadership | None]:
    """Try to lead; ``None``: another does, or Postgres does not answer."""
    try:
        connection = await asyncio.to_thread(database.dedicated)
    except DatabaseUnavailableError:
        yield None
        return
    try:
        is_leader = await asyncio.to_thread(_try_lock, connection, key)
        yield Leadership(connection) if is_leader else None
    finally:
        await asyncio.to_thread(connection.close)


def _try_lock(connection: psycopg2.extensions.connection, key: int) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", (key,))
            (is_locked,) = cursor.fetchone() or (False,)
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        return False
    return bool(is_locked)


def _answers(connection: psycopg2.extensions.connection) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        return False
    return True
