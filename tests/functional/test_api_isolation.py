"""/api/servers/{server}/isolation over real HTTP: what is asked, what holds, and what is refused."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.accounts.model import Role
from tests.functional.hub import Hub

Client = TestClient[Any, Any]
CLOCK = {"name": "clock", "package": "pypi:mcp-server-time"}
PLACE = "/api/servers/clock/isolation"


async def _trail(client: Client, action: str) -> list[dict[str, Any]]:
    found = await (await client.get(f"/api/audit?action={action}")).json()
    return [item["details"] for item in found["items"]]


async def test_a_server_is_kept_apart_by_default_and_says_how(admin: Client) -> None:
    assert (await admin.post("/api/servers", json=CLOCK)).status == 201

    shown = await (await admin.get(PLACE)).json()

    assert shown["isolation"]["tier"] == "standard"
    assert shown["effective"]["pids"] == 256
    assert shown["effective"]["data_bytes"] == 1024**3
    assert shown["relaxations"] == shown["hits"] == []
    assert shown["tiers"] == ["standard"]
    assert shown["has_gpu"] is False


async def test_limits_change_and_the_trail_keeps_both_sides(admin: Client) -> None:
    await admin.post("/api/servers", json=CLOCK)

    response = await admin.put(PLACE, json={"pids": 64, "data_bytes": "2g"})
    shown = await response.json()

    assert response.status == 202
    assert (shown["effective"]["pids"], shown["effective"]["data_bytes"]) == (
        64,
        2 * 1024**3,
    )
    assert await _trail(admin, "server.configure") == [
        {
            "before": {"pids": 256, "data_bytes": None},
            "after": {"pids": 64, "data_bytes": 2 * 1024**3},
        }
    ]
    server = await (await admin.get("/api/servers/clock")).json()
    assert server["deployment"]["number"] == 2


@pytest.mark.parametrize(
    ("isolation", "field", "words"),
    [
        ({"tier": "sandboxed"}, "isolation.tier", "runsc"),
        ({"tier": "vm"}, "isolation.tier", "not available"),
        ({"use_gpu": True}, "isolation.use_gpu", "no GPU"),
        ({"pids": 1}, "isolation.pids", "8 to 32768"),
        ({"data_bytes": "1k"}, "isolation.data_bytes", "16m"),
    ],
)
async def test_what_this_box_cannot_give_is_refused_with_what_to_do(
    admin: Client, isolation: dict[str, Any], field: str, words: str
) -> None:
    created = await admin.post("/api/servers", json={**CLOCK, "isolation": isolation})
    await admin.post("/api/servers", json=CLOCK)
    changed = await admin.put(PLACE, json=isolation)

    for response in (created, changed):
        assert response.status == 422
        (error,) = (await response.json())["errors"]
        assert error["field"] == field
        assert words in error["message"]


async def test_only_administrators_take_hardening_away_and_owners_put_it_back(
    hub: Hub, admin: Client
) -> None:
    owner = await hub.client(await hub.person("owner@example.org", Role.MEMBER))
    await owner.post("/api/servers", json=CLOCK)
    relaxed = {"relaxations": ["writable-root"]}

    refused = await owner.put(PLACE, json=relaxed)
    also_refused = await owner.post(
        "/api/servers", json={**CLOCK, "name": "other", "isolation": relaxed}
    )
    given = await admin.put(PLACE, json=relaxed)
    kept = await owner.put(PLACE, json={**relaxed, "pids": 99})
    taken = await owner.put(PLACE, json={})

    assert (refused.status, also_refused.status) == (403, 403)
    assert "administrators" in (await refused.json())["detail"]
    assert (given.status, kept.status, taken.status) == (202, 202, 202)
    (shown,) = (await given.json())["relaxations"]
    assert shown["name"] == "writable-root"
    assert shown["meaning"]
    assert (await taken.json())["relaxations"] == []
    trail = await _trail(admin, "server.configure")
    assert {
        "before": {"relaxations": []},
        "after": {"relaxations": ["writable-root"]},
    } in trail


async def test_a_server_of_somebody_elses_is_not_shown(hub: Hub, admin: Client) -> None:
    await admin.post("/api/servers", json=CLOCK)
    other = await hub.client(await hub.person("other@example.org", Role.MEMBER))

    assert (await other.get(PLACE)).status == 404
    assert (await other.put(PLACE, json={})).status == 404
