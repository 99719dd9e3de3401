"""One reader of live events: what it missed first, then what comes."""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.observability import event_store
from appliance.observability.model import Event

log = structlog.get_logger("observability.events")

#: Kind of the event that says: something may be missing before this, look at the state itself.
RESET = "events.reset"
#: Events that wait for a reader before it counts as too slow.
MAX_WAITING = 1000
PAGE = 200


class Subscription:
    """An iterator over events; made by ``EventLog.subscribe``, closed with ``aclose``."""

    def __init__(
        self,
        database: Database,
        *,
        kinds: frozenset[str] | None,
        server_id: int | None,
        after_id: int | None,
        on_close: Callable[["Subscription"], None],
    ) -> None:
        """Wait for ``begin``."""
        self._database = database
        self._kinds = kinds
        self._server_id = server_id
        self._floor = after_id or 0
        self._replay_from = after_id
        self._on_close = on_close
        #: Everything up to here comes from the table, everything after it is offered.
        self._begun_at: int | None = None
        self._waiting: deque[Event] = deque()
        self._replayed: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._has_ended = False

    def begin(self, newest: int, *, is_late: bool = False) -> None:
        """Be told that events after ``newest`` will be offered; ``is_late``: some may have come before that."""
        if self._begun_at is not None:
            return
        self._begun_at = newest
        if is_late and self._replay_from is None:
            self._waiting.append(_reset(newest))
        self._changed.set()

    def offer(self, event: Event) -> None:
        """Take ``event`` if it is wanted; a reader with too many waiting is cut off and comes back for the rest."""
        if self._has_ended or self._begun_at is None or event.id <= self._floor:
            return
        if not self._wants(event):
            return
        if len(self._waiting) >= MAX_WAITING:
            log.info("events.slow_reader", waiting=len(self._waiting))
            self.end()
            return
        self._waiting.append(event)
        self._changed.set()

    def end(self) -> None:
        """Take nothing more; what waits is still delivered."""
        self._has_ended = True
        self._on_close(self)
        self._changed.set()

    async def aclose(self) -> None:
        """Stop reading."""
        self.end()
        self._waiting.clear()
        self._replayed.clear()
        self._replay_from = None

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Event:
        while True:
            if self._replayed:
                return self._replayed.popleft()
            if self._begun_at is not None and self._replay_from is not None:
                await self._replay(self._replay_from, self._begun_at)
            elif self._begun_at is not None and self._waiting:
                return self._waiting.popleft()
            elif self._has_ended:
                raise StopAsyncIteration
            else:
                self._changed.clear()
                await self._changed.wait()

    async def _replay(self, start: int, end: int) -> None:
        is_first = start == self._floor
        if (
            is_first
            and start
            and not await self._database.run(event_store.exists, start)
        ):
            # What the reader saw last is no longer kept, so neither may be what came after it.
            self._replayed.append(_reset(end))
            self._replay_from = None
            self._floor = 0
            return
        page = await self._database.run(event_store.after, start, up_to=end, limit=PAGE)
        self._replayed.extend(event for event in page if self._wants(event))
        self._replay_from = page[-1].id if len(page) == PAGE else None

    def _wants(self, event: Event) -> bool:
        is_kind = self._kinds is None or event.kind in self._kinds
        is_server = self._server_id is None or event.server_id == self._server_id
        return is_kind and is_server


def _reset(newest: int) -> Event:
    return Event(id=newest, at=now(), kind=RESET)
