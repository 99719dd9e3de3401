"""A build's log on its way to Postgres: lines come one by one, and are stored and announced in batches."""

import asyncio
from types import TracebackType
from typing import Self

import structlog

from appliance.builds import store
from appliance.builds.model import BuildLine
from appliance.infra.database import Database, DatabaseUnavailableError

log = structlog.get_logger(__name__)

#: Seconds that a line waits for others at most: short enough to read along, long enough
#: to be few transactions.
BATCH_S = 0.15
RETRY_S = 0.5
#: Seconds that the last lines may take to be stored when Postgres is away at the end of
#: a build.
CLOSE_S = 30.0
#: A build that prints more than this is still built; the rest of its output is dropped.
MAX_LINES = 20_000
#: Lines in one INSERT.
BATCH_LINES = 1000


class BuildLog:
    """Takes lines without waiting, and keeps them in order while Postgres is away.

    Used as an asynchronous context manager: leaving it stores what is left.
    """

    def __init__(
        self, database: Database, *, build_id: int, server_id: int, last_line: int
    ) -> None:
        """Go on after the line numbered ``last_line``."""
        self._database = database
        self._build_id = build_id
        self._server_id = server_id
        self._number = last_line
        self._room = MAX_LINES
        self._waiting: list[BuildLine] = []
        self._filled = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def line(self, text: str) -> None:
        """Add one line."""
        if self._room == 0:
            return
        self._room -= 1
        self._number += 1
        if self._room == 0:
            text = f"… The build printed {MAX_LINES} lines; the rest is not kept."
        self._waiting.append(BuildLine(self._number, text))
        self._filled.set()

    async def __aenter__(self) -> Self:
        """Begin to store."""
        self._task = asyncio.create_task(self._store_for_ever())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Store what is left."""
        self._closing = True
        self._filled.set()
        if self._task is None:
            return
        _, pending = await asyncio.wait({self._task}, timeout=CLOSE_S)
        if pending:
            self._task.cancel()
            log.error(
                "build_log_lost", build_id=self._build_id, lines=len(self._waiting)
            )
        else:
            self._task.result()

    async def _store_for_ever(self) -> None:
        while self._waiting or not self._closing:
            await self._filled.wait()
            if not self._closing:
                await asyncio.sleep(BATCH_S)
            self._filled.clear()
            await self._store_waiting()

    async def _store_waiting(self) -> None:
        while batch := self._waiting[:BATCH_LINES]:
            try:
                await self._database.run(
                    store.append_lines, self._build_id, self._server_id, batch
                )
            except DatabaseUnavailableError:
                await asyncio.sleep(RETRY_S)
                continue
            del self._waiting[: len(batch)]
