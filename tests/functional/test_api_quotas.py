"""/api/…/quotas, the pages that show them, and what is refused beyond: as people and administrators use them."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.core.clock import now
from appliance.servers.quotas import store
from appliance.servers.quotas.model import MIB, DiskSizes
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal

Client = TestClient[Any, Any]
PACKAGE = {"package": "pypi:mcp-server-time"}


@pytest.fixture
async def ada(hub: Hub, admin: Client) -> Client:  # noqa: ARG001 - whoever comes first is administrator
    """Somebody with a quota to come."""
    return await hub.client(await hub.person("ada@example.org"))


async def done(asked: Any, status: int = 200) -> Any:
    """Return what a request is answered."""
    response = await asked
    text = await response.text()
    assert response.status == status, text
    return await response.json() if response.content_type.endswith("json") else text


async def number(client: Client) -> int:
    return int((await done(client.get("/api/me")))["id"])


async def test_a_build_beyond_the_minutes_is_refused_with_what_is_used_and_until_when(
    ada: Client, admin: Client
) -> None:
    who = await number(ada)
    await done(ada.post("/api/servers", json={**PACKAGE, "name": "clock"}), 201)
    await done(admin.patch(f"/api/users/{who}/quotas", json={"build_minutes": 0}))

    problem = await done(ada.post("/api/servers/clock/redeploy"), 409)
    new = await done(ada.post("/api/servers", json={**PACKAGE, "name": "other"}), 409)
    own = (await done(ada.get("/api/me/quotas")))["build_minutes"]

    assert problem["code"] == new["code"] == "build_minutes_reached"
    assert "ada@example.org has used 0 of 0 build minutes" in problem["detail"]
    assert own["resets_at"][:10] in problem["detail"]
    assert (own["limit"], own["is_default"], own["level"]) == (0, False, "reached")


async def test_beyond_the_disk_uploads_files_and_builds_are_refused(
    hub: Hub, ada: Client, admin: Client
) -> None:
    who = await number(ada)
    await done(ada.post("/api/servers", json={**PACKAGE, "name": "clock"}), 201)
    await done(admin.patch(f"/api/users/{who}/quotas", json={"disk_mib": 1}))
    await hub.database.run(store.put_disk, {who: DiskSizes(data_bytes=MIB)}, now())

    problems = [
        await done(ada.post("/api/servers/clock/redeploy"), 409),
        await done(
            ada.post("/api/uploads", data={"archive": BytesIO(b"PK\x03\x04")}), 409
        ),
        await done(ada.put("/api/servers/clock/files/x.txt", data=b"x"), 409),
    ]

    assert {item["code"] for item in problems} == {"disk_quota_reached"}
    assert "/data 1 MiB" in problems[0]["detail"]


async def test_an_administrator_sets_quotas_of_people_and_organisations_and_the_trail_has_both_sides(
    ada: Client, admin: Client
) -> None:
    await done(ada.post("/api/orgs", json={"name": "data"}), 201)
    who = await number(ada)

    person = await done(admin.patch(f"/api/users/{who}/quotas", json={"disk_mib": 10}))
    org = await done(admin.patch("/api/orgs/data/quotas", json={"build_minutes": None}))
    again = await done(admin.patch(f"/api/users/{who}/quotas", json={"disk_mib": "default"}))  # fmt: skip
    seen = await done(ada.get("/api/orgs/data/quotas"))
    await done(ada.patch("/api/orgs/data/quotas", json={"build_minutes": 1}), 403)
    wrong = await done(admin.patch("/api/orgs/data/quotas", json={"disk_mib": -1}), 422)  # fmt: skip
    trail = (await done(admin.get("/api/audit?action=user.set_quota")))["items"]

    assert person["disk"]["limit_bytes"] == 10 * MIB
    assert again["disk"]["is_default"]
    assert org == {**seen, "build_minutes": {**seen["build_minutes"], "is_default": False}}  # fmt: skip
    assert "disk_mib" in str(wrong)
    assert [(item["before"], item["after"]) for item in trail] == [
        ({"disk_mib": 10}, {"disk_mib": "default"}),
        ({"disk_mib": "default"}, {"disk_mib": 10}),
    ]


async def test_quotas_are_set_and_shown_from_the_command_line(
    hub: Hub, tmp_path: Path
) -> None:
    terminal = Terminal(hub, tmp_path)
    terminal.show_key(await hub.person("admin@example.org"))
    whose = ("--user", "admin@example.org")

    done = await terminal.run("quotas", "set", *whose, "--build-minutes", "100", "--disk-mib", "any")  # fmt: skip
    shown = await terminal.run("quotas", "show")
    wrong = await terminal.run("quotas", "set", *whose, "--disk-mib", "much")

    assert done.code == shown.code == 0, done.err
    assert done.out == shown.out
    assert shown.out.splitlines()[0].split() == ["build", "minutes", "0", "of", "100"]
    assert wrong.code == 2
    assert "--disk-mib takes a number, any, or default" in wrong.err
