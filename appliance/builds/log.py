"""A build's log and its platforms' progress on their way to Postgres: stored and announced in batches."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

import structlog

from appliance.builds import store
from appliance.builds.board import Board
from appliance.builds.log_bounds import LogBounds
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
#: Lines in one INSERT.
BATCH_LINES = 1000


class BuildLog:
    """Takes lines without waiting, and keeps them in order while Postgres is away.

    Used as an asynchronous context manager: leaving it stores what is left.
    """

    def __init__(
        self,
        database: Database,
        board: Board,
        *,
        build_id: int,
        server_id: int,
        last_line: int,
    ) -> None:
        """Go on after the line numbered ``last_line``."""
        self._board = board
        board.on_change = self._wake
        self._database = database
        self._build_id = build_id
        self._server_id = server_id
        self._number = last_line
        self._bounds = LogBounds()
        self._waiting: list[BuildLine] = []
        self._filled = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def line(self, text: str) -> None:
        """Add one line."""
        kept = self._bounds.take(text)
        if kept is not None:
            self._add(kept)

    def _add(self, text: str) -> None:
        self._number += 1
        self._waiting.append(BuildLine(self._number, text))
        self._wake()

    def _wake(self) -> None:
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
        for text in self._bounds.rest():
            self._add(text)
        self._closing.set()
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
        while self._filled.is_set() or not self._closing.is_set():
            await self._filled.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BATCH_S):
                    await self._closing.wait()
            self._filled.clear()
            await self._store_waiting()

    async def _store_waiting(self) -> None:
        platforms = self._board.take()
        while (batch := self._waiting[:BATCH_LINES]) or platforms is not None:
            try:
                await self._database.run(
                    store.append, self._build_id, self._server_id, batch, platforms
                )
            except DatabaseUnavailableError:
                await asyncio.sleep(RETRY_S)
                if platforms is not None:
                    platforms = self._board.rows()
                continue
            del self._waiting[: len(batch)]
            platforms = None
