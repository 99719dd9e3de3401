"""Packages over REST: as of a day, lock, and missing settings."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.infra.database import Database
from appliance.servers import store
from tests.functional.test_pages_packages import (
    LOCK,
    build_with_lock,
    fail_for_want_of,
)

Client = TestClient[Any, Any]


async def host(admin: Client, **fields: str) -> dict[str, Any]:
    body = {"name": "time", "package": "pypi:mcp-server-time"} | fields
    response = await admin.post("/api/servers", json=body)
    assert response.status == 201, await response.text()
    found: dict[str, Any] = (await response.json())["server"]
    return found


async def test_a_package_is_hosted_as_of_a_day(admin: Client) -> None:
    made = await host(admin, as_of="2025-05-01")

    assert made["source"] == {
        "kind": "package",
        "package": "pypi:mcp-server-time",
        "as_of": "2025-05-01",
    }


@pytest.mark.parametrize("day", ["yesterday", "2025-02-30", "0001-01-01", "9999-12-31"])
async def test_what_is_no_day_is_refused_by_its_name(admin: Client, day: str) -> None:
    body = {"package": "pypi:mcp-server-time", "as_of": day}

    response = await admin.post("/api/servers", json=body)

    assert response.status == 422
    assert [item["field"] for item in (await response.json())["errors"]] == ["as_of"]


async def test_only_a_package_has_a_day(admin: Client) -> None:
    body = {"image": "example.org/a:1", "as_of": "2025-05-01"}

    response = await admin.post("/api/servers", json=body)

    assert response.status == 422


async def test_the_lock_is_answered_with_its_hash(
    admin: Client, database: Database
) -> None:
    await host(admin)
    await database.run(build_with_lock, "time")

    answer = await (await admin.get("/api/servers/time/lock")).json()

    assert answer["content"] == LOCK.text
    assert answer["digest"] == LOCK.digest
    assert (answer["as_of"], answer["version"]) == ("2025-04-26", "1.2.3")


async def test_no_lock_is_told_by_its_code(admin: Client) -> None:
    await host(admin)

    response = await admin.get("/api/servers/time/lock")

    assert (response.status, (await response.json())["code"]) == (404, "no_lock")


async def test_a_redeploy_as_of_a_day_leaves_the_servers_own_source(
    admin: Client,
) -> None:
    await host(admin)

    answer = await (
        await admin.post("/api/servers/time/redeploy?as_of=2026-01-31")
    ).json()

    assert answer["deployment"]["source"]["as_of"] == "2026-01-31"
    assert "as_of" not in answer["source"]


async def test_an_image_is_not_redeployed_as_of_a_day(admin: Client) -> None:
    body = {"name": "own", "image": "example.org/a:1"}
    await admin.post("/api/servers", json=body)

    response = await admin.post("/api/servers/own/redeploy?as_of=2026-01-31")

    assert response.status == 422
    assert [item["field"] for item in (await response.json())["errors"]] == ["as_of"]


async def test_missing_settings_are_told_and_given(
    admin: Client, database: Database
) -> None:
    await host(admin)
    await database.run(fail_for_want_of, "time", "A_PLACE")

    told = await (await admin.get("/api/servers/time")).json()
    given = await admin.post(
        "/api/servers/time/settings", json={"settings": {"A_PLACE": "a"}}
    )

    assert told["missing_settings"] == ["A_PLACE"]
    assert given.status == 202
    answer = await given.json()
    assert answer["missing_settings"] == []
    assert answer["config"]["environment"] == {"A_PLACE": "a"}
    assert answer["deployment"]["number"] == 2


@pytest.mark.parametrize("settings", [{}, {"not a name": "x"}, {"A": "nul\0"}])
async def test_settings_that_cannot_be_are_refused(
    admin: Client, database: Database, settings: dict[str, str]
) -> None:
    await host(admin)

    response = await admin.post(
        "/api/servers/time/settings", json={"settings": settings}
    )

    assert response.status in {400, 422}
    found = await database.run(store.find, "time")
    assert found is not None
    assert found.config.environment == {}
