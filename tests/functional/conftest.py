"""A hub for every functional test."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from appliance.accounts.model import Role
from appliance.infra.database import Database
from appliance.web.app import make_app
from tests.functional.hub import Hub, services_for, settings_for


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    """A running hub in which nobody is registered."""
    async with aiohttp.ClientSession() as session:
        # Settings and buildx are looked for on disk, as the hub does before its loop runs.
        settings = await asyncio.to_thread(
            settings_for,
            data_dir=tmp_path / "data",
            archive_max_mib=1,
            archive_quota_mib=2,
            files_quota_bytes=4 * 1024 * 1024,
        )
        services = await asyncio.to_thread(services_for, database, session, settings)
        server = TestServer(make_app(services))
        await server.start_server()
        running = Hub(database, services, server)
        yield running
        await running.close()


@pytest.fixture
async def admin(hub: Hub) -> TestClient[Any, Any]:
    """An administrator, with an API key."""
    return await hub.client(await hub.person("admin@example.org"))


@pytest.fixture
async def maintainer(
    hub: Hub,
    admin: TestClient[Any, Any],  # noqa: ARG001 - whoever comes first is administrator
) -> TestClient[Any, Any]:
    """A maintainer, with an API key."""
    return await hub.client(await hub.person("maintainer@example.org"))


@pytest.fixture
async def reader(
    hub: Hub,
    admin: TestClient[Any, Any],  # noqa: ARG001 - whoever comes first is administrator
) -> TestClient[Any, Any]:
    """A reader, with an API key."""
    return await hub.client(await hub.person("reader@example.org", Role.READER))


@pytest.fixture
async def stranger(hub: Hub) -> TestClient[Any, Any]:
    """Somebody with neither cookie nor key."""
    return await hub.client()
