"""The worker's end: takes invocations in at the cost of an append, and hands them to the spool a few milliseconds later."""

import asyncio
from collections.abc import Callable

import msgspec

from appliance.gateway.traces.record import Invocation
from appliance.gateway.traces.spool import Spool

#: Seconds from the first invocation of a batch to its write: what a kill can cost.
FLUSH_AFTER_S = 0.01
#: So many are written at once, and no later than the loop's next round.
BATCH_ROWS = 200
#: Bodies make rows large: a batch ends here, too, so that the loop is never held up for long.
BATCH_BYTES = 256 * 1024
#: Nothing gathers here but what one round of the loop brings; more means that something is wrong.
MOST_ROWS = 20_000


class Ring:
    """A ``Recorder`` that writes to ``spool``. Belongs to one event loop.

    Args:
        taken: Called with each batch before it is written.
        spooled: Called with how many rows the spool took.
        dropped: Called with how many were lost because it had no room.
    """

    def __init__(
        self,
        spool: Spool,
        loop: asyncio.AbstractEventLoop,
        *,
        taken: Callable[[list[Invocation]], None] = lambda _: None,
        spooled: Callable[[int], None] = lambda _: None,
        dropped: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Start empty."""
        self._spool = spool
        self._loop = loop
        self._taken = taken
        self._spooled = spooled
        self._dropped = dropped
        self._pending: list[Invocation] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_soon = False
        self._encode = msgspec.msgpack.Encoder().encode

    def add(self, invocation: Invocation) -> None:
        """Take one in; it is on its way to the database within ``FLUSH_AFTER_S``."""
        pending = self._pending
        pending.append(invocation)
        if self._timer is None:
            self._timer = self._loop.call_later(FLUSH_AFTER_S, self._flush)
        elif len(pending) >= BATCH_ROWS and not self._is_soon:
            self._is_soon = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Write what is left."""
        while self._pending:
            self._write_batch()
        if self._timer is not None:
            self._timer.cancel()
        self._spool.close()

    def _flush(self) -> None:
        """Write one batch; if there is more, the loop does something else first."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._is_soon = None, False
        self._write_batch()
        if len(self._pending) > MOST_ROWS:
            self._dropped(len(self._pending) - MOST_ROWS)
            del self._pending[MOST_ROWS:]
        if self._pending:
            self._timer = self._loop.call_later(FLUSH_AFTER_S, self._flush)
            self._is_soon = True
            self._loop.call_soon(self._flush)

    def _write_batch(self) -> None:
        if not self._pending:
            return
        count = self._batch_rows()
        batch = self._pending[:count]
        del self._pending[:count]
        self._taken(batch)
        try:
            payload = self._encode(batch)
        except (UnicodeEncodeError, OverflowError):
            batch = [item for item in batch if self._is_sound(item)]
            payload = self._encode(batch)
        if self._spool.append(payload):
            self._spooled(len(batch))
            count -= len(batch)
        if count:
            self._dropped(count)

    def _batch_rows(self) -> int:
        size = 0
        for count, item in enumerate(self._pending[:BATCH_ROWS], start=1):
            size += len(item.request) + len(item.response)
            if size >= BATCH_BYTES:
                return count
        return min(BATCH_ROWS, len(self._pending))

    def _is_sound(self, invocation: Invocation) -> bool:
        """Whether it can be written at all: a stranger's header need not be text."""
        try:
            self._encode(invocation)
        except (UnicodeEncodeError, OverflowError):
            return False
        return True
