"""/v0.1 and /.well-known over real HTTP: a registry and a catalog of what the box hosts, for those who may know of it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient

from appliance.servers import store
from appliance.servers.model import DeploymentState
from tests.functional.hub import Hub

Client = TestClient[Any, Any]
MANIFEST = {
    "protocolVersion": "2025-11-25",
    "serverInfo": {"name": "clock-server", "title": "Clock", "version": "1.2.3+4"},
    "capabilities": {"tools": {}},
    "tools": [{"name": "secret_tool", "inputSchema": {}}],
}
OFFICIAL = "io.modelcontextprotocol.registry/official"
OLDER = ["/.well-known/mcp.json", "/.well-known/mcp/server-card.json"]


async def _host(
    hub: Hub, owner: Client, name: str, *, listed: bool = False, live: bool = True
) -> None:
    made = await owner.post(
        "/api/servers", json={"name": name, "package": "pypi:x", "listed": listed}
    )
    assert made.status == 201, await made.text()
    server_id = (await made.json())["server"]["id"]

    def go_live() -> None:
        deployment = store.deployment_in(server_id, DeploymentState.PENDING)
        assert deployment is not None
        store.promote(deployment, MANIFEST)

    if live:
        await hub.database.run(go_live)


@pytest.fixture
async def hosted(hub: Hub, admin: Client, maintainer: Client) -> None:
    """One listed server and one that is not, and one that never ran."""
    await _host(hub, admin, "open", listed=True)
    await _host(hub, maintainer, "closed")
    await _host(hub, admin, "unborn", listed=True, live=False)


async def _names(client: Client, **query: str) -> list[str]:
    response = await client.get("/v0.1/servers", params=query)
    assert response.status == 200, await response.text()
    return [
        item["server"]["name"].partition("/")[2]
        for item in (await response.json())["servers"]
    ]


@pytest.mark.usefixtures("hosted")
async def test_strangers_see_what_is_listed_and_others_what_their_key_opens(
    stranger: Client, maintainer: Client, reader: Client, admin: Client
) -> None:
    assert await _names(stranger) == ["open"]
    assert await _names(maintainer) == ["closed", "open"]
    assert await _names(reader) == ["closed", "open"]
    assert await _names(admin) == ["closed", "open"]


@pytest.mark.usefixtures("hosted")
async def test_an_entry_is_what_editors_read(stranger: Client) -> None:
    response = await stranger.get("/v0.1/servers", params={"limit": "1"})
    page = await response.json()

    entry = page["servers"][0]
    assert entry["server"]["$schema"].endswith("/2025-12-11/server.schema.json")
    assert entry["server"]["name"] == "localhost/open"
    assert entry["server"]["version"] == "1.2.3+4"
    assert entry["server"]["remotes"][0]["type"] == "streamable-http"
    assert entry["server"]["remotes"][0]["url"].endswith("/servers/open/mcp")
    assert entry["_meta"][OFFICIAL]["status"] == "active"
    assert entry["_meta"][OFFICIAL]["isLatest"] is True
    assert page["metadata"] == {"count": 1}
    assert "secret_tool" not in str(page)


async def test_pages_follow_each_other(
    hub: Hub, admin: Client, stranger: Client
) -> None:
    for name in ("a", "b", "c"):
        await _host(hub, admin, name, listed=True)

    first = await (await stranger.get("/v0.1/servers", params={"limit": "2"})).json()
    cursor = first["metadata"]["nextCursor"]
    second = await _names(stranger, limit="2", cursor=cursor)

    assert len(first["servers"]) == 2
    assert second == ["c"]


@pytest.mark.usefixtures("hosted")
async def test_lists_are_filtered_by_name_by_time_and_by_version(
    admin: Client,
) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    earlier = (datetime.now(UTC) - timedelta(hours=1)).isoformat()

    assert await _names(admin, search="OPE") == ["open"]
    assert await _names(admin, search="localhost/clo") == ["closed"]
    assert await _names(admin, search="100%") == []
    assert await _names(admin, updated_since=later) == []
    assert await _names(admin, updated_since=earlier) == ["closed", "open"]
    assert await _names(admin, version="latest") == ["closed", "open"]
    assert await _names(admin, version="9.9") == []


@pytest.mark.usefixtures("hosted")
@pytest.mark.parametrize("version", ["latest", "1.2.3+4"])
async def test_a_version_is_shown_by_number_and_as_the_latest(
    stranger: Client, version: str
) -> None:
    name = quote("localhost/open", safe="")

    versions = await stranger.get(f"/v0.1/servers/{name}/versions")
    one = await stranger.get(f"/v0.1/servers/{name}/versions/{quote(version)}")

    assert len((await versions.json())["servers"]) == 1
    assert (await one.json()) == (await versions.json())["servers"][0]


@pytest.mark.usefixtures("hosted")
@pytest.mark.parametrize(
    "path",
    [
        "localhost%2Fclosed/versions",
        "localhost%2Funborn/versions",
        "localhost%2Fnobody/versions",
        "elsewhere%2Fopen/versions",
        "open/versions/latest",
        "localhost%2Fopen/versions/9.9",
    ],
)
async def test_what_is_not_shown_is_not_there(stranger: Client, path: str) -> None:
    response = await stranger.get(f"/v0.1/servers/{path}")

    assert response.status == 404
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.usefixtures("hosted")
async def test_pages_of_any_origin_may_ask_with_a_key_and_without(
    stranger: Client,
) -> None:
    origin = {"Origin": "vscode-file://vscode-app"}

    asked = await stranger.options(
        "/v0.1/servers", headers=origin | {"Access-Control-Request-Method": "GET"}
    )
    read = await stranger.get("/v0.1/servers?limit=1", headers=origin)

    assert asked.status == 204
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert read.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in read.headers


async def test_only_what_everybody_sees_may_be_cached(
    stranger: Client, admin: Client
) -> None:
    public = await stranger.get("/v0.1/servers")
    private = await admin.get("/v0.1/servers")

    assert public.headers["Cache-Control"] == "public, max-age=300"
    assert private.headers["Cache-Control"] == "private, no-store"
    assert "Authorization" in public.headers["Vary"]


async def test_the_rest_of_the_api_is_closed_to_other_origins(admin: Client) -> None:
    response = await admin.get("/api/servers", headers={"Origin": "https://x.example"})

    assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_limit_out_of_bounds_is_refused(stranger: Client) -> None:
    response = await stranger.get("/v0.1/servers", params={"limit": "0"})

    assert response.status == 422


@pytest.mark.usefixtures("hosted")
async def test_the_catalog_names_the_cards_on_the_gateway(
    stranger: Client, maintainer: Client
) -> None:
    response = await stranger.get("/.well-known/ai-catalog.json")
    found = await response.json(content_type=None)
    more = await (await maintainer.get("/.well-known/ai-catalog.json")).json(
        content_type=None
    )

    assert response.content_type == "application/ai-catalog+json"
    assert [item["identifier"] for item in found["entries"]] == [
        "urn:air:localhost:mcp:open"
    ]
    assert found["entries"][0]["url"].endswith("/servers/open/mcp/server-card")
    assert len(more["entries"]) == 2


@pytest.mark.usefixtures("hosted")
@pytest.mark.parametrize("path", OLDER)
async def test_the_older_drafts_addresses_tell_of_one_or_of_several(
    stranger: Client, maintainer: Client, path: str
) -> None:
    one = await (await stranger.get(path)).json()
    several = await (await maintainer.get(path)).json()

    assert one["serverInfo"]["name"] == "open"
    assert [card["serverInfo"]["name"] for card in several["servers"]] == [
        "closed",
        "open",
    ]


@pytest.mark.parametrize("path", OLDER)
async def test_a_box_without_listed_servers_has_no_card(
    stranger: Client, path: str
) -> None:
    assert (await stranger.get(path)).status == 404
