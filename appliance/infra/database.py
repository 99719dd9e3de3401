"""The one door to Postgres.

Queries run in threads: peewee's own Python is the cost, so an asynchronous driver would gain nothing (measured), and a
plain function is easier to read and to test. ``autoconnect=False`` makes a query outside ``run`` fail at once, which keeps
the event loop free of them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import peewee
import psycopg2
import psycopg2.extensions
from playhouse.pool import PooledPostgresqlDatabase

from appliance.core.errors import UnavailableError

P = ParamSpec("P")
T = TypeVar("T")

#: What every table of the product is bound to; ``Database`` fills it in.
proxy = peewee.DatabaseProxy()

STALE_AFTER_S = 300


class Table(peewee.Model):
    """Base of every table: bound to the process's database, named exactly as written in ``Meta.table_name``."""

    class Meta:
        database = proxy
        legacy_table_names = False


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


class Database:
    """A pool of connections and as many threads.

    Args:
        url: ``postgresql://user:password@host/name``; ``?host=/dir`` for a socket.
        size: Connections, and threads, at most. They are equal because a thread that waits for a connection is wasted.
    """

    def __init__(self, url: str, *, size: int = 8, application: str = "mcp-host") -> None:
        """Prepare the pool; nothing is connected yet."""
        self._arguments = {"application_name": application, "connect_timeout": "5"} | connection_arguments(url)
        keywords = dict(self._arguments)
        self.peewee = PooledPostgresqlDatabase(
            keywords.pop("dbname"),
            max_connections=size,
            stale_timeout=STALE_AFTER_S,
            timeout=10,
            autoconnect=False,
            **keywords,
        )
        proxy.initialize(self.peewee)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="database")

    async def run(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``function`` in one transaction on a worker thread and return what it returns.

        Raises:
            DatabaseUnavailableError: Postgres could not be reached or went away; nothing was committed, unless the
                connection broke in the very moment of the commit.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, lambda: self.run_blocking(function, *args, **kwargs)
        )

    def run_blocking(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do what ``run`` does in the calling thread. Blocking."""
        try:
            with self.peewee.connection_context(), self.peewee.atomic():
                return function(*args, **kwargs)
        except (peewee.OperationalError, peewee.InterfaceError) as error:
            raise DatabaseUnavailableError(
                f"Postgres does not answer: {str(error).strip().splitlines()[0]}."
            ) from error

    async def ping(self) -> None:
        """Ask for one row.

        Raises:
            DatabaseUnavailableError: It did not come.
        """
        await self.run(self.peewee.execute_sql, "SELECT 1")

    def dedicated(self) -> psycopg2.extensions.connection:
        """Return a connection of its own outside the pool, in autocommit; for LISTEN and advisory locks. Blocking.

        Raises:
            DatabaseUnavailableError: Postgres does not answer.
        """
        return connect(self._arguments)

    async def listen(self, *channels: str) -> AsyncIterator[tuple[str, str]]:
        """Yield ``(channel, payload)`` for every NOTIFY on ``channels``, for ever.

        The first item, and one after every reconnection, is ``("", "")``: whoever remembers something from before must
        look again, because notifications are lost while nobody listens.
        """
        async for item in listen(self._arguments, *channels):
            yield item

    def close(self) -> None:
        """Close every connection and end the threads. Blocking."""
        self._threads.shutdown(wait=True)
        self.peewee.close_all()


def connect(arguments: dict[str, str]) -> psycopg2.extensions.connection:
    """Return one connection in autocommit. Blocking.

    Raises:
        DatabaseUnavailableError: Postgres does not answer.
    """
    try:
        connection = psycopg2.connect(**arguments)
    except psycopg2.OperationalError as error:
        raise DatabaseUnavailableError(
            f"Postgres does not answer: {str(error).strip().splitlines()[0]}."
        ) from error
    connection.autocommit = True
    return connection


RECONNECT_AFTER_S = 0.5


async def listen(arguments: dict[str, str], *channels: str) -> AsyncIterator[tuple[str, str]]:
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
                        cursor.execute(f'LISTEN "{channel}"')  # channels are names in our own code
                yield "", ""
                async for item in _notifications(connection):
                    yield item
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                await asyncio.sleep(RECONNECT_AFTER_S)


async def _notifications(
    connection: psycopg2.extensions.connection,
) -> AsyncIterator[tuple[str, str]]:
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
