"""A hub that keeps what its containers print."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from appliance.infra.database import Database
from appliance.output.room import Output
from appliance.runtimes.printing import Printer
from appliance.settings import Settings
from appliance.web.app import make_app
from tests.fakes.printers import FakePrinters, container
from tests.functional.hub import Hub, output_for, services_for, settings_for

Client = TestClient[Any, Any]
PATIENCE_S = 5
LIMIT = 50


@dataclass
class Box:
    """A hub that keeps what its containers print."""

    hub: Hub
    client: Client
    printers: FakePrinters
    output: Output
    server_id: int

    @property
    def own(self) -> Printer:
        return container(self.server_id)

    async def text(self, **query: str) -> list[str]:
        """Return the texts of a page of the history."""
        response = await self.client.get(
            "/api/servers/clock/logs/history", params=query
        )
        assert response.status == 200, await response.text()
        return [item["text"] for item in (await response.json())["items"]]

    async def until(self, count: int) -> list[str]:
        """Return the texts once there are so many."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := await self.text(limit="1000")) < count:
                await asyncio.sleep(0.01)
        return found


@asynccontextmanager
async def running(
    database: Database,
    session: aiohttp.ClientSession,
    settings: Settings,
    printers: FakePrinters,
) -> AsyncIterator[tuple[Hub, Output]]:
    services = await asyncio.to_thread(services_for, database, session, settings)
    output = output_for(database, settings, printers)
    server = TestServer(make_app(replace(services, output=output.service)))
    await server.start_server()
    tasks = output.start(services.events)
    hub = Hub(database, services, server)
    try:
        yield hub, output
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await hub.close()
        await output.close()


@pytest.fixture
async def box(database: Database, tmp_path: Path) -> AsyncIterator[Box]:
    settings = await asyncio.to_thread(
        settings_for, data_dir=tmp_path, server_log_lines_per_second=LIMIT
    )
    printers = FakePrinters()
    async with (
        aiohttp.ClientSession() as session,
        running(database, session, settings, printers) as (hub, output),
    ):
        client = await hub.client(await hub.person("admin@example.org"))
        made = await client.post(
            "/api/servers", json={"name": "clock", "package": "pypi:mcp-server-time"}
        )
        server_id = (await made.json())["server"]["id"]
        yield Box(hub, client, printers, output, server_id)
