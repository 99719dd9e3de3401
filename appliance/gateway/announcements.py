"""Telling the hub that a server's lists changed, so that it reads them again."""

import asyncio
from contextlib import closing

import psycopg2
import structlog

from appliance.infra.connections import DatabaseUnavailableError, connect

log = structlog.get_logger("gateway.announcements")

CHANNEL = "manifests"
#: A server that says it again within so many seconds is told of once, at the end.
DEBOUNCE_S = 1.0


class Announcements:
    """Sends NOTIFYs; a hub or a Postgres that is away misses them, and looks by itself every few minutes.

    Args:
        arguments: libpq keywords.
    """

    def __init__(self, arguments: dict[str, str]) -> None:
        """Connect to nothing yet."""
        self._arguments = arguments
        self._waiting: set[str] = set()
        self._sending: asyncio.Task[None] | None = None

    def changed(self, server: str) -> None:
        """Say that the lists of ``server`` changed; returns at once and never fails."""
        self._waiting.add(server)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._waiting:
            await asyncio.sleep(DEBOUNCE_S)
            servers, self._waiting = self._waiting, set()
            try:
                await asyncio.to_thread(self._notify, servers)
            except (DatabaseUnavailableError, psycopg2.Error) as error:
                reason = str(error).strip().partition("\n")[0]
                log.info("change_not_told", servers=sorted(servers), reason=reason)

    def _notify(self, servers: set[str]) -> None:
        with (
            closing(connect(self._arguments)) as connection,
            connection.cursor() as cursor,
        ):
            for server in sorted(servers):
                cursor.execute("SELECT pg_notify(%s, %s)", (CHANNEL, server))
