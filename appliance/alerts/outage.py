"""Tells that Postgres is away, which nothing that is written down in Postgres can.

What is needed for it is kept in memory while Postgres is there: the channels and their sealed secrets.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from datetime import datetime

import structlog

from appliance.alerts import store
from appliance.alerts.delivery import Ways, tell_later
from appliance.alerts.model import Alert, Channel, Condition, News, Severity
from appliance.core.clock import now
from appliance.core.errors import DomainError
from appliance.infra.database import Database, DatabaseUnavailableError

log = structlog.get_logger("alerts.outage")

EVERY_S = 10.0
#: A restart of Postgres is no alert.
AFTER_S = 45.0
KEY = "database:postgres"
_WRONG = Condition(
    KEY,
    Severity.CRITICAL,
    "Postgres does not answer. What is served goes on; nothing can be changed.",
    "See the log of Postgres in DATA_DIR/log, and whether its disk is full.",
)


class OutageWatch:
    """Asks Postgres every few seconds.

    Args:
        every_s: Seconds between two questions.
        after_s: Seconds that it must be away before anybody is told.
    """

    def __init__(
        self,
        database: Database,
        ways: Ways,
        *,
        every_s: float = EVERY_S,
        after_s: float = AFTER_S,
    ) -> None:
        """Know of nobody yet."""
        self._database = database
        self._ways = ways
        self._every_s = every_s
        self._after_s = after_s
        self._channels: Sequence[tuple[Channel, bytes]] = ()
        self._away_since: float | None = None
        self._alert: Alert | None = None
        self._told: set[int] = set()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Ask once, and tell whoever is still to be told."""
        try:
            self._channels = await self._database.run(_channels)
        except DatabaseUnavailableError:
            await self._is_away()
        else:
            await self._is_there()

    async def _is_away(self) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            at = now()
            self._alert = Alert(0, KEY, _WRONG.severity, _WRONG.text, _WRONG.hint, at, at)  # fmt: skip
        if time.monotonic() - self._away_since >= self._after_s:
            await self._tell()

    async def _is_there(self) -> None:
        alert, told = self._alert, self._told
        self._away_since, self._alert = None, None
        if alert is None or not told:
            return
        await self._database.run(_write_down, alert, now(), told)
        self._told = set()

    async def _tell(self) -> None:
        """Tell every channel that was not told; what does not arrive is tried at the next look."""
        if self._alert is None:
            return
        for channel, sealed in self._channels:
            if channel.id in self._told:
                continue
            id_ = f"alert-postgres-{self._alert.since.timestamp():.0f}"
            try:
                await self._ways.send(channel, sealed, self._alert, News.BEGAN, id_=id_)
            except DomainError as error:
                log.warning("alerts.not_sent", channel=channel.name, why=error.reason)
            else:
                self._told.add(channel.id)


def _channels() -> list[tuple[Channel, bytes]]:
    return [store.channel(item.id) for item in store.channels()]


def _write_down(alert: Alert, ended_at: datetime, told: Collection[int]) -> None:
    """Keep what happened, and have those who know of it told that it is over."""
    alert_id = store.add_past(alert, ended_at)
    for channel_id in told:
        tell_later(alert_id, channel_id, News.ENDED)
