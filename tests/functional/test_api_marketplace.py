"""/api/marketplace and /api/artifacts over real HTTP: filters, pages, who sees what, the chain, servers made of runs."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.builds.model import BuildState
from tests.fakes.runs import digest, finished
from tests.functional.hub import Hub

Client = TestClient[Any, Any]


async def host(client: Client, name: str, **fields: Any) -> int:
    body = {"name": name, "package": "pypi:mcp-server-time"} | fields
    response = await client.post("/api/servers", json=body)
    assert response.status == 201, await response.text()
    return int((await response.json())["server"]["id"])


async def built(hub: Hub, server_id: int, **changes: Any) -> int:
    """Have a build of the server end."""
    changes = {"build_id": 1000 + server_id, "server_id": server_id} | changes
    run = finished(server_id, **changes)
    return await hub.database.run(hub.services.ledger.record, run)


async def get(client: Client, path: str, status: int = 200) -> Any:
    response = await client.get(path)
    assert response.status == status, await response.text()
    return await response.json()


async def test_an_entry_tells_where_it_comes_from_what_it_runs_on_and_what_it_is_worth(
    hub: Hub, maintainer: Client
) -> None:
    server_id = await host(maintainer, "clock")
    run_id = await built(hub, server_id, server_name="clock")

    (item,) = (await get(maintainer, "/api/marketplace"))["items"]

    assert (item["id"], item["server_id"], item["server_name"]) == (
        run_id,
        server_id,
        "clock",
    )
    assert item["source"] == {
        "kind": "package",
        "package": "pypi:mcp-server-time==1.2.3",
    }
    assert item["source_revision"] == "1.2.3"
    assert item["architectures"] == ["linux/amd64", "linux/arm64"]
    assert item["manifest_digest"] == digest(100 * server_id)
    assert item["platforms"][1]["digest"] == digest(100 * server_id + 2)
    assert item["tier"] == "gold:pypi"
    assert item["health"] == {"status": "healthy", "issues": []}
    assert item["is_hosted"] is True


async def test_filters_narrow_and_join(hub: Hub, maintainer: Client) -> None:
    good = await built(hub, await host(maintainer, "clock", server_type="Router"))
    bad = await built(
        hub,
        await host(maintainer, "other"),
        status=BuildState.FAILED,
        error="npm ended.",
    )

    async def ids(query: str) -> list[int]:
        return [
            item["id"]
            for item in (await get(maintainer, f"/api/marketplace?{query}"))["items"]
        ]

    assert await ids("") == [bad, good]
    assert await ids("status=failed") == [bad]
    assert await ids("tier=GOLD:router") == [good]
    assert await ids("tier=watchlist") == [bad]
    assert await ids("server_type=router&status=failed") == []
    assert await ids("server_type=ROUTER&q=mcp-server-time") == [good]
    assert await ids("limit=1") == [bad]


async def test_pages_are_joined_by_their_cursor(hub: Hub, maintainer: Client) -> None:
    runs = [await built(hub, await host(maintainer, name)) for name in ("a", "b", "c")]

    first = await get(maintainer, "/api/marketplace?limit=2")
    second = await get(
        maintainer, f"/api/marketplace?limit=2&cursor={first['next_cursor']}"
    )

    assert [item["id"] for item in first["items"] + second["items"]] == runs[::-1]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"),
        ("tier=platinum", "tier"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("cursor=x", "cursor"),
        ("colour=red", "colour"),
        (f"q={'x' * 201}", "q"),
        (f"server_type={'x' * 65}", "server_type"),
    ],
)
async def test_bad_values_are_named(maintainer: Client, query: str, field: str) -> None:
    problem = await get(maintainer, f"/api/marketplace?{query}", 422)

    assert [item["field"] for item in problem["errors"]] == [field]


async def test_what_somebody_may_not_know_of_is_not_there(
    hub: Hub, admin: Client, maintainer: Client, reader: Client
) -> None:
    server_id = await host(admin, "secret-plan")
    run_id = await built(hub, server_id, server_name="secret-plan")

    assert (await get(maintainer, "/api/marketplace?q=secret"))["items"] == []
    assert (await get(maintainer, "/api/artifacts"))["items"] == []
    problem = await get(maintainer, f"/api/artifacts/{run_id}", 404)
    assert problem["code"] == "artifact_not_found"
    deployed = await maintainer.post(f"/api/artifacts/{run_id}/deploy", json={})
    assert deployed.status == 404
    assert len((await get(reader, "/api/marketplace?q=secret"))["items"]) == 1


async def test_strangers_are_told_nothing(hub: Hub, stranger: Client) -> None:
    run_id = await built(hub, 1)

    for path in (
        "marketplace",
        "marketplace/catalog",
        "artifacts",
        "artifacts/chain",
        f"artifacts/{run_id}",
    ):
        await get(stranger, f"/api/{path}", 401)


async def test_the_ledger_outlives_the_server(hub: Hub, admin: Client) -> None:
    run_id = await built(hub, 4711, server_name="gone")

    (item,) = (await get(admin, "/api/marketplace"))["items"]
    shown = await get(admin, f"/api/artifacts/{run_id}")

    assert item["is_hosted"] is False
    assert shown["server_name"] == "gone"


@pytest.mark.parametrize("number", ["0", "99", "x", "9" * 30])
async def test_an_artifact_that_is_not_there_is_not_found(
    admin: Client, number: str
) -> None:
    problem = await get(admin, f"/api/artifacts/{number}", 404)

    assert problem["code"] == "artifact_not_found"


async def test_the_history_of_a_server_holds_every_attempt(
    hub: Hub, maintainer: Client
) -> None:
    server_id = await host(maintainer, "clock")
    other = await host(maintainer, "other")
    runs = [
        await built(hub, server_id, status=BuildState.CANCELLED),
        await built(hub, server_id, attempt=2, status=BuildState.FAILED, error="no"),
        await built(hub, server_id, attempt=3),
    ]
    await built(hub, other)

    found = await get(maintainer, f"/api/artifacts?server_id={server_id}")

    assert [item["id"] for item in found["items"]] == runs[::-1]
    assert [item["attempt"] for item in found["items"]] == [3, 2, 1]
    assert found["items"][1]["error"] == "no"
    assert found["items"][0]["prev_hash"] == found["items"][1]["row_hash"]


async def test_the_chain_is_checked_for_those_who_see_all(
    hub: Hub, admin: Client, reader: Client, maintainer: Client
) -> None:
    for number in (1, 2, 3):
        await built(hub, number)

    whole = await get(reader, "/api/artifacts/chain")
    same = await get(admin, f"/api/artifacts/chain?known={whole['known']}")
    other = await get(admin, f"/api/artifacts/chain?known=2:{'a' * 64}")
    refused = await get(maintainer, "/api/artifacts/chain", 403)
    wrong = await get(admin, "/api/artifacts/chain?known=2", 422)

    assert (whole["is_intact"], whole["runs"], whole["breaks"]) == (True, 3, [])
    assert same["is_intact"]
    assert [(item["run_id"], item["what"]) for item in other["breaks"]] == [
        (2, "unknown")
    ]
    assert refused["code"] == "not_allowed"
    assert wrong["errors"][0]["field"] == "known"


async def test_a_server_is_made_of_an_artifact_at_the_version_that_was_built(
    hub: Hub, maintainer: Client
) -> None:
    fields = {
        "package": "pypi:mcp-server-time",
        "arguments": ["--local-timezone=UTC"],
        "server_type": "Clock",
    }
    server_id = await host(maintainer, "clock", **fields)
    run_id = await built(
        hub,
        server_id,
        server_name="clock",
        source={"package": "pypi:mcp-server-time"},
        revision="2.0.1",
    )

    first = await maintainer.post(f"/api/artifacts/{run_id}/deploy", json={})
    second = await maintainer.post(
        f"/api/artifacts/{run_id}/deploy", json={"name": "mine"}
    )
    third = await maintainer.post(
        f"/api/artifacts/{run_id}/deploy", json={"name": "mine"}
    )

    assert (first.status, second.status, third.status) == (201, 201, 409)
    made = await first.json()
    assert made["server"]["name"] == "clock-2"
    assert made["server"]["source"]["package"] == "pypi:mcp-server-time==2.0.1"
    assert made["server"]["server_type"] == "Clock"
    assert made["server"]["config"]["arguments"] == ["--local-timezone=UTC"]
    assert made["endpoint_key"].startswith("mcps_")
    assert (await second.json())["server"]["name"] == "mine"


async def test_of_a_build_that_failed_no_server_is_made(
    hub: Hub, maintainer: Client
) -> None:
    server_id = await host(maintainer, "clock")
    run_id = await built(hub, server_id, status=BuildState.FAILED, error="no")

    response = await maintainer.post(f"/api/artifacts/{run_id}/deploy", json={})

    assert response.status == 409
    assert (await response.json())["code"] == "nothing_built"


async def test_a_reader_makes_no_server(
    hub: Hub, admin: Client, reader: Client
) -> None:
    run_id = await built(hub, await host(admin, "clock"))

    response = await reader.post(f"/api/artifacts/{run_id}/deploy", json={})

    assert response.status == 403


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"package": "npm:@scope/x"}, "npm"),
        ({"package": "pypi:x"}, "pypi"),
        ({"package": None, "image": "ghcr.io/o/x:1"}, "image"),
        ({"package": None, "repo_url": "https://git.example.org/o/x.git"}, "git"),
        ({"package": None, "remote_url": "https://mcp.example.org/mcp"}, "remote"),
        ({"server_type": "Router"}, "Router"),
    ],
)
async def test_a_server_is_of_the_type_that_was_given_or_that_of_its_source(
    maintainer: Client, source: dict[str, Any], expected: str
) -> None:
    await host(maintainer, "x", **source)

    assert (await get(maintainer, "/api/servers/x"))["server_type"] == expected


async def test_published_servers_can_be_found_by_their_words(
    maintainer: Client,
) -> None:
    everything = (await get(maintainer, "/api/marketplace/catalog"))["items"]
    found = (await get(maintainer, "/api/marketplace/catalog?q=TIME+zone"))["items"]

    assert len(everything) > 20
    assert [item["name"] for item in found] == ["time"]
    assert all(bool(item["package"]) != bool(item["image"]) for item in everything)
