"""The audit trail as people use it: over the API, on its page, with mcpctl."""

import itertools
import json
from pathlib import Path
from typing import Any

from aiohttp import hdrs
from aiohttp.test_utils import TestClient

from appliance.observability.denials import PER_ADDRESS
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal

Client = TestClient[Any, Any]


async def denied(admin: Client) -> list[dict[str, Any]]:
    found = await admin.get("/api/audit?outcome=denied&limit=200")
    items: list[dict[str, Any]] = (await found.json())["items"]
    return items


async def test_refused_attempts_are_in_the_trail_and_looking_around_is_not(
    admin: Client, maintainer: Client, stranger: Client
) -> None:
    made = await admin.post("/api/servers", json={"package": "pypi:mcp-server-time"})
    server = (await made.json())["server"]["name"]
    key = {hdrs.AUTHORIZATION: "Bearer mcph_wrong"}

    statuses = [
        (await maintainer.get("/api/jobs")).status,
        (await maintainer.post(f"/api/servers/{server}/stop")).status,
        (await maintainer.get(f"/api/servers/{server}")).status,
        (await stranger.get("/api/me")).status,
        (await stranger.get("/api/me", headers=key)).status,
        (await stranger.post("/api/keys", headers=key, json={})).status,
    ]

    assert statuses == [403, 404, 404, 401, 401, 401]
    told = [
        (item["actor"], item["via"], item["object_type"], item["details"]["path"])
        for item in await denied(admin)
    ]
    assert told == [
        ("anonymous", "none", "request", "/api/keys"),
        ("anonymous", "none", "request", "/api/me"),
        ("maintainer@example.org", "api_key", "server", f"/api/servers/{server}/stop"),
        ("maintainer@example.org", "api_key", "request", "/api/jobs"),
    ]
    assert "mcph_wrong" not in await (await admin.get("/api/audit")).text()


async def test_a_flood_of_wrong_keys_fills_no_disk(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    for number in range(3 * PER_ADDRESS):
        key = {hdrs.AUTHORIZATION: f"Bearer mcph_{number}"}
        await stranger.get("/api/me", headers=key)
    await hub.services.audit.sum_up()

    found = await denied(admin)

    assert found[0]["action"] == "request.denied_more"
    assert len(found) <= 2 * PER_ADDRESS + 1  # a minute may have ended meanwhile
    assert found[0]["details"]["attempts"] + len(found) - 1 == 3 * PER_ADDRESS


async def test_a_write_says_why_when_its_request_does(admin: Client) -> None:
    headers = {"X-Audit-Reason": "ticket%2012 %C3%A4\t Bearer abcdefghijkl"}
    await admin.post("/api/keys", json={"name": "x"}, headers=headers)

    found = await (await admin.get("/api/audit?q=TICKET")).json()

    assert [item["reason"] for item in found["items"]] == [
        "ticket 12 ä Bearer [redacted]"
    ]


async def test_a_changed_configuration_is_told_as_it_was_and_is_without_its_values(
    admin: Client,
) -> None:
    given: dict[str, Any] = {"package": "pypi:mcp-server-time", "name": "clock"}
    given |= {"environment": {"GREETING": "first-w0rd", "SAME": "kept-w0rd"}}
    await admin.post("/api/servers", json=given)
    changed = {"environment": {"GREETING": "next-w0rd", "SAME": "kept-w0rd"}}
    response = await admin.put(
        "/api/servers/clock/config", json={**changed, "trace_bodies": False}
    )

    assert response.status < 300, await response.text()
    text = await (await admin.get("/api/audit?q=GREETING")).text()
    (line,) = json.loads(text)["items"]
    assert line["before"] == {
        "environment.GREETING": "[redacted]",
        "trace_bodies": True,
    }
    assert line["after"] == line["before"] | {"trace_bodies": False}
    assert "w0rd" not in text


async def test_readers_of_the_box_read_the_trail_and_members_do_not(
    reader: Client, maintainer: Client
) -> None:
    paths = ("/api/audit", "/api/audit/chain", "/api/audit/export")

    assert [(await reader.get(path)).status for path in paths] == [200] * 3
    assert [(await maintainer.get(path)).status for path in paths] == [403] * 3


async def test_the_export_is_json_lines_that_are_chained(admin: Client) -> None:
    for name in ("a", "b"):
        await admin.post("/api/keys", json={"name": name})

    response = await admin.get("/api/audit/export")
    lines = [json.loads(line) for line in (await response.text()).splitlines()]

    assert response.headers[hdrs.CONTENT_TYPE] == "application/jsonl"
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert all(
        later["prev_hash"] == line["row_hash"]
        for line, later in itertools.pairwise(lines)
    )


async def test_a_moment_without_its_zone_names_the_parameter(admin: Client) -> None:
    response = await admin.get("/api/audit?since=2026-11-21T09:00:00")

    assert response.status == 422
    assert (await response.json())["errors"][0]["field"] == "since"


async def test_mcpctl_lists_exports_and_verifies(hub: Hub, tmp_path: Path) -> None:
    terminal = Terminal(hub, tmp_path)
    terminal.show_key(await hub.person("admin@example.org"))
    file = tmp_path / "audit.jsonl"

    terminal._environment["MCPCTL_REASON"] = "tidying"
    await terminal.run("servers", "create", "--package", "pypi:mcp-server-time")
    why = await terminal.run("audit", "list", "--since", "1h", "--text", "tidying")
    listed = await terminal.run("audit", "list", "--action", "key")
    exported = await terminal.run("audit", "export", "-o", str(file))
    whole = await terminal.run("audit", "verify", "--json")
    again = await terminal.run("audit", "verify", "--known", whole.json()["known"])
    wrong = await terminal.run("audit", "verify", "--known", f"1:{'f' * 64}")

    assert "server.create" in why.out
    assert "key.create" in listed.out
    assert exported.code == 0, exported.err
    assert json.loads(file.read_text().splitlines()[0])["seq"] == 1
    assert (whole.code, again.code, wrong.code) == (0, 0, 1)
    assert "written down" in wrong.out


async def test_changes_of_keys_bundles_and_deploy_policy_show_what_was_before(
    admin: Client,
) -> None:
    remote = {"remote_url": "https://mcp.example.org/mcp", "name": "clock"}
    await admin.post("/api/servers", json=remote)
    made = await (await admin.post("/api/keys", json={"name": "ci"})).json()
    key = f"/api/keys/{made['id']}"
    await admin.put(f"{key}/limits", json={"calls_per_second": 5})
    await admin.post(f"{key}/rotate", json={"overlap_hours": 1})
    await admin.delete(key)
    await admin.post("/api/bundles", json={"name": "tools"})
    await admin.put("/api/bundles/tools/members/clock", json={"prefix": "c"})
    await admin.put("/api/servers/clock/deploy-policy", json={"retain": 7})

    found = (await (await admin.get("/api/audit?limit=50")).json())["items"]
    trail = {item["action"]: (item["before"], item["after"]) for item in found}

    assert trail["key.limit"] == ({"calls_per_second": None}, {"calls_per_second": 5.0})
    before, after = trail["key.rotate"]
    assert (before["replaced_by"], before["expires_at"]) == (None, None)
    assert after["replaced_by"] is not None
    assert after["expires_at"] is not None
    assert trail["key.revoke"][0]["name"] == "ci"
    before, after = trail["bundle.set_member"]
    assert (before["order"], after["order"]) == ([], ["clock"])
    assert after["member.clock"]["prefix"] == "c"
    assert set(trail["server.deploy_policy"][0]) == {"deploys"}
    assert made["key"] not in json.dumps(found)
