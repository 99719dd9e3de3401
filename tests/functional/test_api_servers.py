"""/api/servers over real HTTP: what people ask for, and what they may not."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.fakes.executor import SESSION

Client = TestClient[Any, Any]
CLOCK = {"name": "clock", "package": "pypi:mcp-server-time"}


async def _create(client: Client, **fields: Any) -> dict[str, Any]:
    response = await client.post("/api/servers", json={**CLOCK, **fields})
    assert response.status == 201, await response.text()
    return dict(await response.json())


async def test_a_new_server_is_queued_and_its_key_is_shown_once(admin: Client) -> None:
    response = await admin.post("/api/servers", json=CLOCK)
    made = await response.json()

    assert response.status == 201
    assert response.headers["Location"] == f"/api/servers/{made['server']['id']}"
    assert made["endpoint_key"].startswith("mcps_")
    assert made["server"]["status"] == "queued"
    assert made["server"]["source"] == {
        "kind": "package",
        "package": "pypi:mcp-server-time",
    }
    assert made["server"]["endpoint"].endswith("/servers/clock/mcp")
    shown = await (await admin.get("/api/servers/clock")).json()
    assert shown == made["server"]
    assert made["endpoint_key"] not in str(shown)


async def test_a_server_without_a_name_gets_one_from_its_source(admin: Client) -> None:
    response = await admin.post(
        "/api/servers", json={"package": "npm:@modelcontextprotocol/server-memory"}
    )

    assert (await response.json())["server"][
        "name"
    ] == "modelcontextprotocol-server-memory"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"package": "mcp-server-time"}, "package"),
        ({"package": "pypi:x", "image": "y"}, "source"),
        ({}, "source"),
        ({"package": "pypi:x", "name": "Not a name"}, "name"),
        ({"package": "pypi:x", "memory_limit": "1 byte"}, "memory_limit"),
        ({"package": "pypi:x", "cpu_limit": -1}, "cpu_limit"),
        ({"package": "pypi:x", "port": 70000, "path": "mcp"}, "port"),
        ({"package": "pypi:x", "environment": {"1X": "y"}}, "environment.1X"),
        ({"package": "pypi:x", "environment": {"X": 3}}, "environment.X"),
        ({"package": "pypi:x", "transport": "carrier-pigeon"}, "transport"),
        ({"package": "pypi:x", "session_mode": "alone"}, "session_mode"),
        ({"package": "pypi:x", "colour": "red"}, "colour"),
        ({"package": "pypi:x", "server_type": "a\x00b"}, "server_type"),
    ],
)
async def test_bad_input_names_its_field_and_makes_nothing(
    admin: Client, body: dict[str, Any], field: str
) -> None:
    response = await admin.post("/api/servers", json=body)
    problem = await response.json()

    assert response.status == 422
    assert response.content_type == "application/problem+json"
    assert field in [item["field"] for item in problem["errors"]]
    assert (await (await admin.get("/api/servers")).json())["items"] == []


async def test_a_taken_name_is_a_conflict(admin: Client) -> None:
    await _create(admin)

    response = await admin.post("/api/servers", json=CLOCK)

    assert response.status == 409
    assert (await response.json())["code"] == "server_name_taken"


async def test_lists_page_by_cursor(admin: Client) -> None:
    for name in ("a", "b", "c"):
        await _create(admin, name=name)

    first = await (await admin.get("/api/servers?limit=2")).json()
    second = await (
        await admin.get(f"/api/servers?limit=2&cursor={first['next_cursor']}")
    ).json()

    assert [item["name"] for item in first["items"]] == ["a", "b"]
    assert [item["name"] for item in second["items"]] == ["c"]
    assert second["next_cursor"] is None


async def test_lists_filter_by_name_and_status(admin: Client) -> None:
    await _create(admin, name="clock-one")
    await _create(admin, name="files")

    by_name = await (await admin.get("/api/servers?q=clock")).json()
    by_status = await (await admin.get("/api/servers?status=running")).json()

    assert [item["name"] for item in by_name["items"]] == ["clock-one"]
    assert by_status["items"] == []


@pytest.mark.parametrize(
    "query", ["status=well", "limit=0", "limit=201", "colour=red", "limit=x"]
)
async def test_a_wrong_query_names_its_parameter(admin: Client, query: str) -> None:
    response = await admin.get(f"/api/servers?{query}")

    assert response.status == 422
    assert (await response.json())["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("action", "wanted"),
    [("stop", "stopped"), ("start", "running"), ("redeploy", "running")],
)
async def test_actions_write_what_is_wanted_and_return_at_once(
    admin: Client, action: str, wanted: str
) -> None:
    await _create(admin)

    response = await admin.post(f"/api/servers/clock/{action}")

    assert response.status == 202
    assert (await response.json())["desired_state"] == wanted


async def test_a_server_being_deleted_takes_no_more_orders(admin: Client) -> None:
    await _create(admin)

    deleted = await admin.delete("/api/servers/clock")
    started = await admin.post("/api/servers/clock/start")

    assert deleted.status == 202
    assert (await deleted.json())["desired_state"] == "deleted"
    assert (started.status, (await started.json())["code"]) == (409, "server_deleted")


async def test_a_changed_configuration_is_redeployed(admin: Client) -> None:
    await _create(admin)

    response = await admin.put(
        "/api/servers/clock/config",
        json={"arguments": ["--local-timezone", "UTC"], "memory_limit": "1g"},
    )
    deployments = await (await admin.get("/api/servers/clock/deployments")).json()

    assert response.status == 202
    assert (await response.json())["config"]["memory_limit"] == 1024**3
    assert [item["config"]["arguments"] for item in deployments["items"]] == [
        ["--local-timezone", "UTC"],
        [],
    ]


async def test_what_the_gateway_reads_changes_without_a_redeploy(
    admin: Client,
) -> None:
    await _create(admin, memory_limit="1g")
    body = {
        "memory_limit": "1g",
        "listed": True,
        "tools": ["echo"],
        "trace_bodies": False,
        "limits": {"calls_per_second": 5},
    }

    response = await admin.put("/api/servers/clock/config", json=body)
    deployments = await (await admin.get("/api/servers/clock/deployments")).json()
    trail = await (await admin.get("/api/audit")).json()
    jobs = await (await admin.get("/api/jobs")).json()

    assert response.status == 202, await response.text()
    assert (await response.json())["config"]["listed"] is True
    assert len(deployments["items"]) == 1
    assert trail["items"][0]["action"] == "server.configure"
    # Other tools are another manifest.
    assert "servers.refresh_manifest" in {item["kind"] for item in jobs["items"]}


async def test_a_rotated_key_is_new(admin: Client) -> None:
    made = await _create(admin)

    response = await admin.post("/api/servers/clock/key")
    key = (await response.json())["endpoint_key"]

    assert key.startswith("mcps_")
    assert key != made["endpoint_key"]
    assert (await (await admin.get("/api/servers/clock")).json())[
        "endpoint_key_prefix"
    ] == key[:11]
    trail = await (await admin.get("/api/audit?action=server.rotate_key")).json()
    (line,) = trail["items"]
    assert line["before"] == {"endpoint_key_prefix": made["endpoint_key"][:11]}
    assert line["after"] == {"endpoint_key_prefix": key[:11]}


async def test_a_server_that_does_not_run_cannot_be_called(admin: Client) -> None:
    await _create(admin)

    response = await admin.post(
        "/api/servers/clock/invoke", json={"tool": "get_current_time"}
    )

    assert response.status == 409
    assert (await response.json())["code"] == "server_not_running"


async def test_snippets_hold_the_endpoint_and_no_key(admin: Client) -> None:
    made = await _create(admin)

    found = await (await admin.get("/api/servers/clock/client-config")).json()

    server = found["mcp_json"]["mcpServers"]["clock"]
    assert server["url"] == made["server"]["endpoint"]
    assert server["headers"] == {"Authorization": f"Bearer {found['key_placeholder']}"}
    assert made["endpoint_key"] not in str(found)
    assert len(found["clients"]) > 15


async def test_one_snippet_may_be_asked_for_and_an_unknown_client_is_refused(
    admin: Client,
) -> None:
    await _create(admin)
    path = "/api/servers/clock/client-config"

    one = await (await admin.get(path, params={"client": "codex"})).json()
    refused = await admin.get(path, params={"client": "netscape"})

    assert [item["client"] for item in one["clients"]] == ["codex"]
    assert refused.status == 422
    assert (await refused.json())["errors"][0]["field"] == "client"


async def test_before_it_is_live_a_server_has_no_tools_and_no_manifest(
    admin: Client,
) -> None:
    await _create(admin)

    tools = await (await admin.get("/api/servers/clock/tools")).json()
    manifest = await (await admin.get("/api/servers/clock/manifest")).json()
    capabilities = await (await admin.get("/api/servers/clock/capabilities")).json()

    assert tools == {"items": []}
    assert manifest == {"manifest": None, "read_at": None}
    assert capabilities["capabilities"] == {}


async def test_what_was_never_built_has_no_build(admin: Client) -> None:
    await _create(admin)

    response = await admin.get("/api/servers/clock/builds/latest")

    assert (response.status, (await response.json())["code"]) == (404, "no_build")


async def test_containers_of_sessions_are_shown_to_those_who_may_see_the_server(
    admin: Client, maintainer: Client
) -> None:
    await _create(admin)

    found = await (await admin.get("/api/servers/clock/sessions")).json()

    assert [item["session"] for item in found["items"]] == [SESSION.session]
    assert (await maintainer.get("/api/servers/clock/sessions")).status == 404


@pytest.mark.parametrize(
    "server", ["nothing", "999", "9" * 30, "a b", "%00", "..%2f..%2fetc"]
)
async def test_a_server_that_is_not_there_is_404_or_unreadable(
    admin: Client, server: str
) -> None:
    response = await admin.get(f"/api/servers/{server}")

    assert response.status in {400, 404}
    assert response.content_type == "application/problem+json"


async def test_what_others_own_is_not_there(admin: Client, maintainer: Client) -> None:
    await _create(admin)

    shown = await maintainer.get("/api/servers/clock")
    deleted = await maintainer.delete("/api/servers/clock")
    listed = await (await maintainer.get("/api/servers")).json()

    assert (shown.status, deleted.status) == (404, 404)
    assert listed["items"] == []


async def test_a_reader_sees_everything_and_changes_nothing(
    admin: Client, reader: Client
) -> None:
    await _create(admin)

    shown = await reader.get("/api/servers/clock")
    refused = [
        await reader.post("/api/servers", json={"package": "pypi:x"}),
        await reader.post("/api/servers/clock/stop"),
        await reader.post("/api/servers/clock/key"),
        await reader.delete("/api/servers/clock"),
    ]

    assert shown.status == 200
    assert [response.status for response in refused] == [403] * 4


async def test_every_write_is_in_the_audit_trail(admin: Client) -> None:
    await _create(admin)
    await admin.post("/api/servers/clock/stop")

    found = await (await admin.get("/api/audit?object_type=server")).json()

    assert [item["action"] for item in found["items"]] == [
        "server.stop",
        "server.create",
    ]
    assert {item["actor"] for item in found["items"]} == {"admin@example.org"}
    assert all(item["request_id"] and item["address"] for item in found["items"])
