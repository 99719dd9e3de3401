"""The one door to Postgres.

Queries run in threads: peewee's own Python is the cost, so an asynchronous driver would gain nothing (measured), and a
plain function is easier to read and to test. ``autoconnect=False`` makes a query outside ``run`` fail at once, which keeps
the event loop free of them.
"""

import asyncio
import contextvars
import random
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import peewee
import psycopg2.extensions
from playhouse.pool import PooledPostgresqlDatabase
from psycopg2.errors import DeadlockDetected, SerializationFailure

from appliance.infra.connections import (
    DatabaseUnavailableError,
    connect,
    connection_arguments,
)
from appliance.infra.listening import Listening

__all__ = [
    "Database",
    "DatabaseUnavailableError",
    "Table",
    "connect",
    "connection_arguments",
    "proxy",
]

P = ParamSpec("P")
T = TypeVar("T")

#: What every table of the product is bound to; ``Database`` fills it in.
proxy = peewee.DatabaseProxy()

#: Seconds that a connection is used. Each costs Postgres megabytes, and a new one milliseconds: what a burst opened is
#: closed soon after it.
STALE_AFTER_S = 30
#: Seconds to wait for a connection that is in use before another is opened: what opening it and its first query take, as
#: measured. Few transactions take so long, so at rest one connection does what two or three would do that start together.
PATIENCE_S = 0.005
#: How often a transaction is run again that Postgres ended in favour of another.
CONFLICT_RETRIES = 3
_ONE_MOMENT = "REPEATABLE READ"


class Table(peewee.Model):
    """Base of every table: bound to the process's database, named exactly as written in ``Meta.table_name``."""

    class Meta:
        database = proxy
        legacy_table_names = False


class _PatientPool(PooledPostgresqlDatabase):
    """Opens no connection while one is about to come back."""

    def connect(self, reuse_if_open: bool = False) -> bool:  # noqa: FBT001, FBT002 - peewee's own signature
        # Before peewee takes the lock that whoever gives a connection back needs, too.
        until = time.monotonic() + PATIENCE_S
        with self._pool_available:
            # Again, because another may have taken the one that came back.
            while self._in_use and not self._connections:
                if not self._pool_available.wait(until - time.monotonic()):
                    break
        return bool(super().connect(reuse_if_open))  # type: ignore[no-untyped-call]


class Database:
    """A pool of connections and as many threads.

    Args:
        url: ``postgresql://user:password@host/name``; ``?host=/dir`` for a socket.
        size: Connections, and threads, at most. They are equal because a thread that waits for a connection is wasted.
    """

    def __init__(
        self, url: str, *, size: int = 8, application: str = "mcp-host"
    ) -> None:
        """Prepare the pool; nothing is connected yet."""
        self._arguments = {
            "application_name": application,
            "connect_timeout": "5",
        } | connection_arguments(url)
        keywords = dict(self._arguments)
        self.peewee: Any = _PatientPool(  # type: ignore[no-untyped-call]
            keywords.pop("dbname"),
            max_connections=size,
            stale_timeout=STALE_AFTER_S,
            timeout=10,
            autoconnect=False,
            **keywords,
        )
        proxy.initialize(self.peewee)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="database")
        self._listening = Listening(self._arguments)

    async def run(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``function`` in one transaction on a worker thread and return what it returns.

        Two transactions that wait for each other are untied by Postgres, which ends one of them; that one is run again. So
        ``function`` touches the database and nothing else.

        Raises:
            DatabaseUnavailableError: Postgres could not be reached or went away; nothing was committed, unless the
                connection broke in the very moment of the commit.
        """
        return await self._in_thread(
            lambda: self.run_blocking(function, *args, **kwargs)
        )

    async def run_as_one_moment(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do what ``run`` does, and let all that ``function`` reads be of one moment.

        Raises:
            DatabaseUnavailableError: As ``run`` does.
        """
        return await self._in_thread(
            lambda: self._transact(_ONE_MOMENT, lambda: function(*args, **kwargs))
        )

    async def _in_thread(self, call: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        # The request's and the job's id live in context variables; log lines and audit rows made in the thread carry them.
        context = contextvars.copy_context()
        return await loop.run_in_executor(self._threads, lambda: context.run(call))

    def run_blocking(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do what ``run`` does in the calling thread. Blocking."""
        return self._transact(None, lambda: function(*args, **kwargs))

    def _transact(self, isolation: str | None, call: Callable[[], T]) -> T:
        for is_last in (*[False] * CONFLICT_RETRIES, True):
            try:
                # With the transaction's first word, because an isolation that is set after it is a trip more.
                with self.peewee.connection_context(), self.peewee.atomic(isolation):
                    return call()
            except peewee.OperationalError as error:
                if is_last or not _is_conflict(error):
                    raise _unavailable(error) from error
                # Run again at once, it could take the lock that the other was just given.
                time.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - spreads, guards nothing
            except peewee.InterfaceError as error:
                raise _unavailable(error) from error
        raise AssertionError("unreachable")

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

    async def listen(self, *channels: str) -> AsyncGenerator[tuple[str, str], None]:
        """Yield ``(channel, payload)`` for every NOTIFY on ``channels``, for ever.

        The first item, and one after every reconnection, is ``("", "")``: whoever remembers something from before must
        look again, because notifications are lost while nobody listens. All who listen share one connection, which is
        made anew for each who joins.
        """
        async for item in self._listening.listen(*channels):
            yield item

    def close(self) -> None:
        """Close every connection and end the threads. Blocking."""
        self._threads.shutdown(wait=True)
        self.peewee.close_all()


def _is_conflict(error: peewee.OperationalError) -> bool:
    cause = error.__context__
    return isinstance(cause, DeadlockDetected | SerializationFailure)


def _unavailable(error: peewee.PeeweeException) -> DatabaseUnavailableError:
    text = str(error).strip().splitlines()[0]
    # A disk that is full is an answer, too.
    has_answered = getattr(error.__context__, "pgcode", None) is not None
    what = "Postgres could not do this" if has_answered else "Postgres does not answer"
    return DatabaseUnavailableError(f"{what}: {text}.")
