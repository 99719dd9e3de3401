"""From lines as they were read to lines as they are kept: written together, then handed to whoever follows.

Lines gather for a moment, so that a tick costs one turn of the writing thread however many servers print; a line is
handed out only when it is stored, so its position means the same after every restart.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar

import structlog

from appliance.core.clock import now
from appliance.core.errors import DomainError
from appliance.output.model import Batch, Line, Position, Printed, Stream, nanoseconds
from appliance.output.shelf import Shelf
from appliance.output.watchers import Watchers

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger(__name__)

#: Seconds in which lines gather.
GATHER_S = 0.005
#: Lines that wait to be written; whoever reads more waits.
MAX_WAITING = 20_000
#: The hub itself speaks here; no container has this name.
_OWN = "0" * 12


class Recorder:
    """Stores what readers bring.

    Args:
        shelf: Where to.
        watchers: Who follows.
        keep_days: Days that lines are kept.
    """

    def __init__(self, shelf: Shelf, watchers: Watchers, *, keep_days: int) -> None:
        """Keep the parts; ``run`` writes."""
        self._shelf = shelf
        self._watchers = watchers
        self._keep = timedelta(days=keep_days)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="output")
        self._waiting: dict[int, list[Printed]] = {}
        self._count = 0
        self._lost: dict[int, int] = {}
        self._arrived = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._tidying: dict[int, asyncio.Task[None]] = {}
        #: To which segment lines of a server were added last.
        self._segments: dict[int, int] = {}

    @property
    def before(self) -> datetime:
        """The moment before which lines are no longer kept."""
        return now() - self._keep

    async def add(self, server_id: int, lines: Sequence[Printed]) -> None:
        """Take lines; returns at once unless too many wait."""
        self._waiting.setdefault(server_id, []).extend(lines)
        self._count += len(lines)
        self._arrived.set()
        if self._count > MAX_WAITING:
            self._has_room.clear()
            await self._has_room.wait()

    async def run(self) -> None:
        """Write for ever; cancelled, it writes what waits."""
        try:
            while True:
                await self._arrived.wait()
                await asyncio.sleep(GATHER_S)
                await self._flush()
        finally:
            await asyncio.shield(self._flush())

    async def exclusively(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``function`` in the thread that writes."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, lambda: function(*args, **kwargs)
        )

    async def end(self, server_id: int) -> Position:
        """Return the end of a server's log; who watches from now on gets what comes after it."""
        return await self.exclusively(self._shelf.end, server_id)

    async def remove(self, server_id: int) -> None:
        """Remove a server's log, and let whoever follows it end."""
        self._waiting.pop(server_id, None)
        await self.exclusively(self._shelf.remove, server_id)
        self._watchers.end(server_id)

    async def tidy(self, servers: Collection[int]) -> None:
        """Compress, and remove what is too old, too much, or of servers that are no more; for the clock."""
        await self.exclusively(self._shelf.turn_older, self.before)
        await asyncio.to_thread(
            self._shelf.tidy_all, before=self.before, servers=servers
        )

    async def close(self) -> None:
        """Let everybody end, and the thread too."""
        self._watchers.end_all()
        for task in list(self._tidying.values()):
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._thread.shutdown(wait=False)

    async def _flush(self) -> None:
        self._arrived.clear()
        found, self._waiting = self._waiting, {}
        self._count = 0
        self._has_room.set()
        if not found:
            return
        for server_id in self._lost.keys() & found.keys():
            found[server_id].insert(0, _lost_note(self._lost[server_id]))
        try:
            stored = await self.exclusively(self._shelf.write, found)
        except (OSError, DomainError) as error:
            # The directory itself is not to be had.
            stored = dict.fromkeys(found, OSError(str(error)))
        for server_id, lines in stored.items():
            if isinstance(lines, OSError):
                self._failed(server_id, found[server_id], lines)
            else:
                self._lost.pop(server_id, None)
                self._hand_out(server_id, lines)

    def _hand_out(self, server_id: int, lines: list[Line]) -> None:
        self._watchers.hand_out(server_id, Batch(tuple(lines)))
        segment = lines[-1].position.segment
        if self._segments.setdefault(server_id, segment) != segment:
            self._segments[server_id] = segment
            self._tidy_soon(server_id)

    def _tidy_soon(self, server_id: int) -> None:
        if server_id in self._tidying:
            return
        task = asyncio.create_task(
            asyncio.to_thread(self._shelf.tidy, server_id, before=self.before)
        )
        self._tidying[server_id] = task
        task.add_done_callback(lambda _done: self._tidying.pop(server_id, None))

    def _failed(self, server_id: int, lines: list[Printed], error: OSError) -> None:
        count = sum(line.container != _OWN for line in lines)
        if server_id not in self._lost:
            log.error("output_not_kept", server_id=server_id, reason=str(error))
        self._lost[server_id] = self._lost.get(server_id, 0) + count


def _lost_note(count: int) -> Printed:
    text = f"{count:,} lines before this one could not be written to the disk."
    return Printed(nanoseconds(now()), Stream.NOTE, text, 0, _OWN)
