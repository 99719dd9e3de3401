"""Live events: a row and a NOTIFY in, as many readers as like out.

Ids grow in the order of commits (migration 0004), so whoever remembers the last id it saw can ask for what came after and
misses nothing. One connection a process listens, whatever the number of readers.
"""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import structlog

from appliance.core.clock import now
from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.observability import event_store
from appliance.observability.model import Event
from appliance.observability.subscription import RESET, Subscription

__all__ = ["RESET", "Event", "EventLog", "Subscription", "publish_in_transaction"]

log = structlog.get_logger("observability.events")

CHANNEL = "events"
PAGE = 500
#: How long events are kept: long enough for a laptop that slept over the weekend.
KEEP = timedelta(days=3)
RETRY_AFTER_S = 0.5


def publish_in_transaction(
    kind: str,
    server_id: int | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Publish an event when, and only when, the caller's transaction commits; runs inside ``database.run``."""
    event_store.add(kind, server_id, data or {})


class EventLog:
    """Publishes events and hands them to whoever subscribed.

    Listening starts with the first subscription and ends with ``close``.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database; nothing listens yet."""
        self._database = database
        self._subscriptions: set[Subscription] = set()
        self._listener: asyncio.Task[None] | None = None
        #: The newest event handed out; ``None`` until this process listens.
        self._newest: int | None = None

    async def publish(
        self,
        *,
        kind: str,
        server_id: int | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Publish an event in a transaction of its own."""
        await self._database.run(publish_in_transaction, kind, server_id, data)

    def subscribe(
        self,
        after_id: int | None = None,
        *,
        kinds: Collection[str] | None = None,
        server_id: int | None = None,
    ) -> Subscription:
        """Return an iterator over events that commit from now on; must be called on the event loop.

        An event of kind ``events.reset`` says that something before it may have been missed (events between ``after_id``
        and now are no longer kept, or listening only just began): look at the state itself again. Iteration ends when the
        reader is too slow or the log closes; come back with the last id.

        Args:
            after_id: Replay what came after this event first; ``None``: only what comes.
            kinds: Only these; ``None``: all.
            server_id: Only this server's; ``None``: all.
        """
        if self._listener is None or self._listener.done():
            self._newest = None
            self._listener = asyncio.create_task(self._listen(), name="events")
        subscription = Subscription(
            self._database,
            kinds=frozenset(kinds) if kinds is not None else None,
            server_id=server_id,
            after_id=after_id,
            on_close=self._subscriptions.discard,
        )
        self._subscriptions.add(subscription)
        if self._newest is not None:
            subscription.begin(self._newest)
        return subscription

    async def prune(self) -> int:
        """Remove what is older than three days; return how many rows went."""
        removed = await self._database.run(event_store.prune, now() - KEEP)
        log.debug("events.pruned", removed=removed)
        return removed

    async def close(self) -> None:
        """Stop listening and end every subscription."""
        for subscription in list(self._subscriptions):
            subscription.end()
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener

    async def newest_id(self) -> int:
        """Return the id to come back with from a page that is rendered now."""
        return await self._database.run(event_store.newest_id)

    async def _listen(self) -> None:
        """Hand out events for ever; a Postgres that goes away is waited for."""
        async for _, payload in self._database.listen(CHANNEL):
            # One look at the table hands out many; their own notifications follow and find nothing left to do.
            if payload and self._newest is not None and int(payload) <= self._newest:
                continue
            while not await self._caught_up():  # noqa: ASYNC110 - Postgres sets no event when it is back
                await asyncio.sleep(RETRY_AFTER_S)

    async def _caught_up(self) -> bool:
        try:
            if self._newest is None:
                await self._begin()
            else:
                await self._hand_out(self._newest)
        except DatabaseUnavailableError as error:
            log.warning("events.waiting", reason=error.reason)
            return False
        return True

    async def _begin(self) -> None:
        self._newest = await self._database.run(event_store.newest_id)
        for subscription in list(self._subscriptions):
            subscription.begin(self._newest, is_late=True)

    async def _hand_out(self, newest: int) -> None:
        if not self._subscriptions:
            # Nobody looks: remember where we are, and spare the rows.
            found = await self._database.run(event_store.newest_id)
            if not self._subscriptions:
                self._newest = found
                return
        while events := await self._database.run(event_store.after, newest, limit=PAGE):
            for event in events:
                newest = self._newest = event.id
                for subscription in list(self._subscriptions):
                    subscription.offer(event)
