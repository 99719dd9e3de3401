"""What a worker does while Postgres is away: says so once, goes on, and writes later what it could not."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from peewee import IntegrityError

from appliance.infra.database import Database, DatabaseUnavailableError

log = structlog.get_logger("jobs.worker")
T = TypeVar("T")


class Outages:
    """Knows since when Postgres answers."""

    def __init__(self, database: Database, *, retry_s: float) -> None:
        """Assume that it always did."""
        self._database = database
        self._retry_s = retry_s
        self._steady_since: float | None = float("-inf")
        self._is_hurried = False

    def begin(self, error: DatabaseUnavailableError) -> None:
        """Note that it does not answer."""
        if self._steady_since is not None:
            log.warning("jobs.waiting_for_database", reason=error.reason)
        self._steady_since = None

    def end(self) -> None:
        """Note that it answers."""
        if self._steady_since is None:
            log.info("jobs.database_is_back")
            self._steady_since = time.monotonic()

    def hurry(self) -> None:
        """Wait for nothing from now on, because the worker stops."""
        self._is_hurried = True

    def has_answered_for(self, seconds: float) -> bool:
        """Return whether it has answered for so long without a break."""
        since = self._steady_since
        return since is not None and time.monotonic() - since >= seconds

    async def persistently(self, function: Callable[[], T]) -> T:
        """Run a transaction until it succeeds: what a run did must not be forgotten because Postgres was restarted.

        Raises:
            DatabaseUnavailableError: It does not answer, and the worker stops.
        """
        while True:
            try:
                return await self._database.run(function)
            except DatabaseUnavailableError as error:
                self.begin(error)
                if self._is_hurried:
                    raise
                await asyncio.sleep(self._retry_s)
            except IntegrityError:
                # The same work was enqueued between our look and our write; the next look sees it.
                continue
