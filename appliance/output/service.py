"""What people ask about what servers print."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from appliance.accounts.model import Principal
from appliance.infra.database import Database
from appliance.output import search
from appliance.output.model import Batch, Filter, Line, Page, Position
from appliance.output.recorder import Recorder
from appliance.output.shelf import Shelf
from appliance.output.watchers import Watchers

#: Lines that are read at once for whoever comes back.
PAGE = 500
#: Lines that are read at once for a file.
FILE_PAGE = 5000

#: Returns the number of a server that somebody may know of; runs inside ``database.run``.
Visible = Callable[[Principal, int | str], int]


class OutputService:
    """Shows and streams the output of servers that a principal may see."""

    def __init__(
        self,
        database: Database,
        shelf: Shelf,
        recorder: Recorder,
        watchers: Watchers,
        *,
        visible: Visible,
    ) -> None:
        """Keep the collaborators."""
        self._database = database
        self._shelf = shelf
        self._recorder = recorder
        self._watchers = watchers
        self._visible = visible

    async def find(self, principal: Principal, server: int | str) -> int:
        """Return a server's number.

        Raises:
            ServerNotFoundError: There is none that the principal may know of.
        """
        return await self._database.run(self._visible, principal, server)

    async def tail(
        self, principal: Principal, server: int | str, *, lines: int = 200
    ) -> list[Line]:
        """Return the last lines, oldest first."""
        page = await self.history(principal, server, Filter(), limit=lines)
        return page.items

    async def history(
        self,
        principal: Principal,
        server: int | str,
        wanted: Filter,
        *,
        before: Position | None = None,
        after: Position | None = None,
        limit: int = 200,
    ) -> Page:
        """Return lines that match, oldest first: the last ones before a position, or the first ones after one."""
        place = self._shelf.place(await self.find(principal, server))
        if after is not None:
            return await asyncio.to_thread(search.after, place, after, wanted, limit)
        return await asyncio.to_thread(search.before, place, before, wanted, limit)

    async def watch(
        self, server_id: int, *, after: Position | None = None, lines: int = 200
    ) -> AsyncGenerator[Batch]:
        """Yield what came after a position, or the last lines, and then what comes, until the server is gone.

        Every line comes once. One that was missed because the reader is slow, or that is no longer kept, is told of.
        """
        watcher = self._watchers.add(server_id)
        try:
            end = await self._recorder.end(server_id)
            if after is None or after > end:
                place = self._shelf.place(server_id)
                page = await asyncio.to_thread(
                    search.before, place, end, Filter(), lines
                )
                yield Batch(tuple(page.items))
            else:
                async for batch in self._between(server_id, after, end):
                    yield batch
            async for batch in watcher:
                yield _beyond(batch, end)
        finally:
            self._watchers.remove(server_id, watcher)

    async def _between(
        self, server_id: int, position: Position, end: Position
    ) -> AsyncGenerator[Batch]:
        place = self._shelf.place(server_id)
        if await asyncio.to_thread(search.has_gap, place, position):
            yield Batch((), has_gap=True)
        while position < end:
            page = await asyncio.to_thread(
                search.after, place, position, Filter(), PAGE
            )
            lines = tuple(line for line in page.items if line.position <= end)
            if lines:
                yield Batch(lines)
            if page.newer is None or page.newer == position:
                return
            position = page.newer

    async def all(self, server_id: int, wanted: Filter) -> AsyncGenerator[list[Line]]:
        """Yield all lines that match, oldest first, in lists."""
        place = self._shelf.place(server_id)
        position = Position(0, 0)
        while True:
            page = await asyncio.to_thread(
                search.after, place, position, wanted, FILE_PAGE
            )
            if page.items:
                yield page.items
            if page.newer is None or page.newer == position:
                return
            position = page.newer


def _beyond(batch: Batch, end: Position) -> Batch:
    """Return a batch without what stands before ``end``; the same one, as everybody has it, where it is all beyond."""
    if not batch.lines or batch.lines[0].position > end:
        return batch
    lines = tuple(line for line in batch.lines if line.position > end)
    return Batch(lines, missed=batch.missed)
