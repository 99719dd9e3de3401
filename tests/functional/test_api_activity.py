"""Jobs, the clock, health and the audit trail, as administrators see them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from appliance.core.errors import UnavailableError
from appliance.infra.database import Database
from appliance.web.app import make_app
from appliance.web.health import Check, DegradedError, PartState, Readiness
from tests.functional.hub import Hub, services_for, settings_for

Client = TestClient[Any, Any]


# -- jobs


async def test_jobs_page_by_cursor_newest_first(hub: Hub, admin: Client) -> None:
    ids = [await hub.services.jobs.enqueue("test.work", {"n": n}) for n in range(3)]

    first = await (await admin.get("/api/jobs?kind=test.work&limit=2")).json()
    second = await (
        await admin.get(
            f"/api/jobs?kind=test.work&limit=2&cursor={first['next_cursor']}"
        )
    ).json()

    assert [item["id"] for item in first["items"]] == [ids[2], ids[1]]
    assert [item["id"] for item in second["items"]] == [ids[0]]
    assert second["next_cursor"] is None


async def test_a_waiting_job_is_cancelled_and_queued_again(
    hub: Hub, admin: Client
) -> None:
    job_id = await hub.services.jobs.enqueue("test.work", {})

    cancelled = await (await admin.post(f"/api/jobs/{job_id}/cancel")).json()
    twice = await admin.post(f"/api/jobs/{job_id}/cancel")
    again = await (await admin.post(f"/api/jobs/{job_id}/retry")).json()

    assert cancelled["state"] == "cancelled"
    assert (twice.status, (await twice.json())["code"]) == (409, "job_finished")
    assert again["state"] == "queued"
    trail = await (await admin.get("/api/audit?action=job")).json()
    assert [item["action"] for item in trail["items"]] == ["job.retry", "job.cancel"]


@pytest.mark.parametrize("job", ["1", "9" * 18, "9" * 30, "x", "-1"])
async def test_a_job_that_is_not_there_is_404(admin: Client, job: str) -> None:
    assert (await admin.get(f"/api/jobs/{job}")).status == 404


# -- the audit trail


async def test_the_trail_pages_by_cursor(admin: Client) -> None:
    for name in ("a", "b", "c"):
        await admin.post("/api/keys", json={"name": name})

    first = await (await admin.get("/api/audit?action=key.create&limit=2")).json()
    second = await (
        await admin.get(f"/api/audit?action=key.create&cursor={first['next_cursor']}")
    ).json()

    names = [item["object_name"] for item in first["items"] + second["items"]]
    assert names[:3] == ["c", "b", "a"]


async def test_a_failed_sign_in_is_in_the_trail(
    admin: Client, stranger: Client
) -> None:
    await stranger.post(
        "/api/login", json={"email": "eve@example.org", "password": "x"}
    )

    found = await (await admin.get("/api/audit?action=session.create")).json()

    denied = [item for item in found["items"] if item["outcome"] == "denied"]
    assert [item["object_name"] for item in denied] == ["eve@example.org"]


# -- people


async def test_an_administrator_adds_people(admin: Client, stranger: Client) -> None:
    body = {
        "email": "new@example.org",
        "password": "long enough words",
        "role": "reader",
    }

    made = await admin.post("/api/users", json=body)
    twice = await admin.post("/api/users", json=body)
    entered = await stranger.post(
        "/api/login", json={"email": body["email"], "password": body["password"]}
    )

    assert (made.status, (await made.json())["role"]) == (201, "reader")
    assert twice.status == 409
    assert entered.status == 200
    listed = await (await admin.get("/api/users")).json()
    assert [item["email"] for item in listed["items"]] == [
        "admin@example.org",
        "new@example.org",
    ]


# -- health


async def _well() -> str:
    return "All is well."


async def _degraded() -> str:
    raise DegradedError("It limps.")


async def _down() -> str:
    raise UnavailableError("It is away.", hint="Start it.")


async def _stuck() -> str:
    await asyncio.sleep(60)
    return ""


async def _broken() -> str:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("checks", "state"),
    [
        ({"a": _well}, PartState.OK),
        ({"a": _well, "b": _degraded}, PartState.DEGRADED),
        ({"a": _degraded, "b": _down}, PartState.DOWN),
        ({"a": _broken}, PartState.DOWN),
        ({}, PartState.OK),
    ],
)
async def test_the_whole_is_as_well_as_its_worst_part(
    checks: dict[str, Check], state: PartState
) -> None:
    assert (await Readiness(checks).report()).state is state


async def test_a_part_that_does_not_answer_is_down() -> None:
    (part,) = (await Readiness({"a": _stuck}, patience_s=0.05).report()).parts

    assert part.state is PartState.DOWN


async def test_parts_are_not_asked_again_within_a_moment() -> None:
    asked = 0

    async def count() -> str:
        nonlocal asked
        asked += 1
        return "ok"

    readiness = Readiness({"a": count}, fresh_for_s=60)
    await asyncio.gather(*(readiness.report() for _ in range(5)))

    assert asked == 1


@pytest.fixture
async def ailing(database: Database) -> AsyncIterator[Client]:
    """A hub of which one part is down."""
    async with aiohttp.ClientSession() as session:
        settings = await asyncio.to_thread(settings_for)
        services = await asyncio.to_thread(
            services_for,
            database,
            session,
            settings,
            checks={"database": _well, "gateway": _down},
        )
        async with TestClient(TestServer(make_app(services))) as client:
            yield client
        services.accounts.close()


async def test_a_hub_with_a_part_that_is_down_is_alive_but_not_ready(
    ailing: Client,
) -> None:
    alive = await ailing.get("/healthz")
    ready = await ailing.get("/readyz")

    assert alive.status == 200
    assert ready.status == 503
    assert await ready.json() == {
        "status": "down",
        "parts": [
            {"name": "database", "state": "ok", "text": "All is well."},
            {"name": "gateway", "state": "down", "text": "It is away. Start it."},
        ],
    }
