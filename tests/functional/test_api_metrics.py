"""What servers used, over HTTP: in columns, as a stream, on a page, and nobody else's to see."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from appliance.infra.database import Database
from appliance.observability.usage import record_usage
from appliance.runtimes.meters import Reading
from appliance.web.app import make_app
from tests.fakes.metering import FakeMetering
from tests.fakes.printers import container
from tests.functional.hub import Hub, measurements_for, services_for, settings_for

Client = TestClient[Any, Any]
CALL = """
INSERT INTO invocations (started_at, duration_ms, server_id, principal, method, target, http_status, error_class,
    request_bytes, response_bytes, traceparent)
SELECT now() - interval '1 second', n, %s, 'hub', 'tools/call', 'x', 200,
    CASE WHEN n = 1 THEN 'tool_error' ELSE '' END, 1, 1, ''
FROM generate_series(1, 4) AS n
"""


@pytest.fixture
def metering() -> FakeMetering:
    return FakeMetering()


@pytest.fixture
async def measured(
    database: Database, tmp_path: Path, metering: FakeMetering
) -> AsyncIterator[Hub]:
    """A hub whose containers use what a test says; nobody looks at them but the test."""
    async with aiohttp.ClientSession() as session:
        settings = await asyncio.to_thread(settings_for, data_dir=tmp_path)
        services = await asyncio.to_thread(services_for, database, session, settings)
        service = measurements_for(database, metering)
        services = replace(services, measurements=service)
        server = TestServer(make_app(services))
        await server.start_server()
        hub = Hub(database, services, server)
        yield hub
        await hub.close()


async def _made(hub: Hub, metering: FakeMetering) -> tuple[Client, int]:
    client = await hub.client(await hub.person("admin@example.org"))
    made = await client.post(
        "/api/servers", json={"name": "clock", "package": "pypi:mcp-server-time"}
    )
    server_id = (await made.json())["server"]["id"]
    metering.running = [container(server_id)]
    return client, server_id


async def test_a_series_has_columns_of_equal_length_calls_and_marks(
    measured: Hub, metering: FakeMetering
) -> None:
    client, server_id = await _made(measured, metering)
    await measured.database.run(
        measured.database.peewee.execute_sql, CALL, (server_id,)
    )
    await measured.database.run(record_usage, server_id, "restart", {})

    found = await (await client.get("/api/servers/clock/metrics/series")).json()

    columns = {name: value for name, value in found.items() if isinstance(value, list)}
    marks = columns.pop("marks")
    assert {len(value) for value in columns.values()} == {len(found["at"])}
    assert (sum(found["calls"]), sum(found["errors"])) == (4, 1)
    assert max(value for value in found["p99_ms"] if value is not None) > 3
    assert {"deploy", "restart"} <= {mark["kind"] for mark in marks}
    assert found["step"] == 10


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=2020-01-01T00:00:00Z", "since"),
        ("since=2999-01-01T00:00:00Z", "since"),
        ("step=15", "step"),
        ("step=1", "step"),
        ("since=yesterday", "since"),
    ],
)
async def test_a_window_that_is_not_kept_is_refused_by_its_field(
    measured: Hub, metering: FakeMetering, query: str, field: str
) -> None:
    client, _ = await _made(measured, metering)

    response = await client.get(f"/api/servers/clock/metrics/series?{query}")

    assert response.status in {400, 422}
    wrong = [item["field"] for item in (await response.json())["errors"]]
    assert wrong == [field]


async def test_nobody_elses_metrics_are_there(
    measured: Hub, metering: FakeMetering
) -> None:
    await _made(measured, metering)
    other = await measured.client(await measured.person("other@example.org"))

    for path in ("", "/series", "/stream"):
        assert (await other.get(f"/api/servers/clock/metrics{path}")).status == 404


async def test_one_stream_carries_samples_and_what_happened(
    measured: Hub, metering: FakeMetering
) -> None:
    client, server_id = await _made(measured, metering)
    sampler = measured.services.measurements._sampler
    response = await client.get("/api/servers/clock/metrics/stream")
    await asyncio.sleep(0.3)  # until the hub listens

    await measured.database.run(record_usage, server_id, "restart", {})
    metering.readings = {
        item.container_id: Reading(0, 2**20, 0, 0) for item in metering.running
    }
    await sampler.look()

    found: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(5):
        event = ""
        while not {"sample", "usage.metric"} <= found.keys():
            name, _, value = (
                (await response.content.readline()).decode().partition(": ")
            )
            event = value.strip() if name == "event" else event
            if name == "data":
                found[event] = json.loads(value)
    assert found["usage.metric"]["event_type"] == "restart"
    assert found["sample"]["memory_bytes"] == 2**20
