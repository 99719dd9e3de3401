"""Many who follow one server's log: each batch is one value that all of them share, and a slow one costs nobody memory."""

import asyncio
from collections import deque

from appliance.output.model import Batch

#: Lines that wait for one watcher at most.
MAX_WAITING = 4000


class Watcher:
    """One who follows; an asynchronous iterator over batches.

    What came while too many lines waited is counted instead of kept, and told with the next batch.
    """

    def __init__(self) -> None:
        """Begin with nothing waiting."""
        self._waiting: deque[Batch] = deque()
        self._lines = 0
        self._missed = 0
        self._is_closed = False
        self._arrived: asyncio.Future[None] | None = None

    def offer(self, batch: Batch) -> None:
        """Hand over a batch, or count it where too much waits."""
        size = len(batch.lines)
        if self._missed or (self._waiting and self._lines + size > MAX_WAITING):
            self._missed += size
        else:
            self._waiting.append(batch)
            self._lines += size
        self._wake()

    def close(self) -> None:
        """Let the watcher end after what waits."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def __aiter__(self) -> "Watcher":
        """Return itself."""
        return self

    async def __anext__(self) -> Batch:
        """Return the next batch."""
        while not self._waiting:
            if self._missed:
                missed, self._missed = self._missed, 0
                return Batch((), missed=missed)
            if self._is_closed:
                raise StopAsyncIteration
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        batch = self._waiting.popleft()
        self._lines -= len(batch.lines)
        return batch


class Watchers:
    """Who follows which server."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._of: dict[int, set[Watcher]] = {}

    def add(self, server_id: int) -> Watcher:
        """Return a new watcher of a server; it gets what is stored from now on."""
        watcher = Watcher()
        self._of.setdefault(server_id, set()).add(watcher)
        return watcher

    def remove(self, server_id: int, watcher: Watcher) -> None:
        """Forget a watcher."""
        found = self._of.get(server_id, set())
        found.discard(watcher)
        if not found:
            self._of.pop(server_id, None)

    def hand_out(self, server_id: int, batch: Batch) -> None:
        """Give a batch to everybody who follows the server."""
        for watcher in self._of.get(server_id, ()):
            watcher.offer(batch)

    def end(self, server_id: int) -> None:
        """Let everybody who follows the server end: there is nothing more to come."""
        for watcher in self._of.get(server_id, ()):
            watcher.close()

    def end_all(self) -> None:
        """Let everybody end."""
        for server_id in list(self._of):
            self.end(server_id)
