"""What the gateway tells the hub of changed lists arrives: once a burst, and never at the cost of whoever told it."""

import asyncio
import contextlib

from appliance.gateway.announcements import Announcements
from appliance.infra.connections import connection_arguments
from appliance.infra.database import Database


async def _heard(database: Database, seconds: float) -> list[str]:
    found: list[str] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for channel, payload in database.listen("manifests"):
                if channel:
                    found.append(payload)
    return found


async def test_a_burst_of_changes_is_told_once_a_server(
    database: Database, database_url: str
) -> None:
    listening = asyncio.create_task(_heard(database, 3))
    await asyncio.sleep(0.3)  # until it listens
    announcements = Announcements(connection_arguments(database_url))

    for _ in range(5):
        announcements.changed("clock")
        announcements.changed("other")

    assert await listening == ["clock", "other"]


async def test_a_postgres_that_is_away_costs_nothing() -> None:
    nowhere = {"host": "127.0.0.1", "port": "1", "dbname": "x", "connect_timeout": "1"}
    announcements = Announcements(nowhere)

    announcements.changed("clock")
    await asyncio.sleep(1.5)
    announcements.changed("clock")

    await asyncio.sleep(0)  # it neither raised nor stopped
