"""/api/keys: what narrowed keys and keys of organisations open, over HTTP, on the page and in the terminal."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.infra.database import Database
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal
from tests.harness.pages import Hub as Site
from tests.harness.pages import hub as site_of

Client = TestClient[Any, Any]
REMOTE = {"remote_url": "https://mcp.example.org/mcp"}


async def make(client: Client, status: int = 201, **fields: Any) -> Any:
    response = await client.post("/api/keys", json={"name": "ci", **fields})
    assert response.status == status, await response.text()
    return await response.json()


async def host(client: Client, name: str, **fields: Any) -> int:
    made = await client.post("/api/servers", json={**REMOTE, "name": name, **fields})
    assert made.status == 201, await made.text()
    return int((await made.json())["server"]["id"])


async def statuses(client: Client, *asked: tuple[str, str]) -> list[int]:
    return [(await client.request(method, path)).status for method, path in asked]


async def test_a_narrowed_key_opens_its_server_and_nothing_besides(
    hub: Hub, maintainer: Client
) -> None:
    mine, other = await host(maintainer, "mine"), await host(maintainer, "other")
    made = await make(maintainer, servers=["mine"], actions=["see", "call"])
    narrowed = await hub.client(made["key"])

    assert made["scope"] == {"actions": ["call", "see"], "servers": [mine]}
    listed = await (await narrowed.get("/api/servers")).json()
    assert [item["name"] for item in listed["items"]] == ["mine"]
    assert await statuses(
        narrowed,
        ("GET", f"/api/servers/{mine}"),
        ("POST", f"/api/servers/{mine}/start"),
        ("GET", f"/api/servers/{other}"),
    ) == [200, 403, 404]


async def test_an_administrators_reader_key_only_looks(hub: Hub, admin: Client) -> None:
    reads = await hub.client((await make(admin, role="reader"))["key"])
    server = await host(admin, "seen")

    assert await statuses(
        reads,
        ("GET", f"/api/servers/{server}"),
        ("DELETE", f"/api/servers/{server}"),
        ("GET", "/api/users"),
    ) == [200, 403, 403]
    refused = await reads.post("/api/keys", json={"name": "more"})
    assert (refused.status, (await refused.json())["code"]) == (403, "not_allowed")


async def test_what_a_key_cannot_be_narrowed_to_is_named(maintainer: Client) -> None:
    for fields, named in (
        ({"servers": ["nosuch"]}, "servers"),
        ({"actions": []}, "actions"),
        ({"role": "reader", "actions": ["call"]}, "actions"),
        ({"org": "nosuch"}, "org"),
        ({"org_role": "owner"}, "org_role"),
    ):
        problem = await make(maintainer, 422, **fields)
        assert named in str(problem), problem


async def test_an_organisations_key_acts_there_and_has_no_account(
    hub: Hub, maintainer: Client
) -> None:
    await maintainer.post("/api/orgs", json={"name": "data"})
    ours = await host(maintainer, "ours", org="data")
    own = await host(maintainer, "own")
    service = await hub.client((await make(maintainer, org="data"))["key"])

    assert await statuses(
        service,
        ("GET", f"/api/servers/{ours}"),
        ("GET", f"/api/servers/{own}"),
        ("DELETE", f"/api/servers/{ours}"),
        ("GET", "/api/sessions"),
        ("GET", "/api/me"),
    ) == [200, 404, 403, 403, 200]
    listed = await (await maintainer.get("/api/keys?org=data")).json()
    assert [item["org_role"] for item in listed["items"]] == ["deployer"]


async def test_a_key_is_replaced_over_the_api_and_in_the_terminal(
    hub: Hub, maintainer: Client, terminal: Terminal
) -> None:
    made = await make(maintainer)
    answer = await maintainer.post(
        f"/api/keys/{made['id']}/rotate", json={"overlap_hours": 1}
    )
    new = await answer.json()

    for key in (made["key"], new["key"]):
        assert (await (await hub.client(key)).get("/api/me")).status == 200
    again = await maintainer.post(f"/api/keys/{made['id']}/rotate", json={})
    assert (again.status, (await again.json())["code"]) == (409, "key_replaced")
    done = await terminal.run("keys", "create", "laptop", "--role", "reader", "--json")
    turned = await terminal.run("keys", "rotate", str(done.json()["id"]))
    listed = await terminal.run("keys", "list")
    assert turned.out.startswith("mcph_")
    assert "replaced by" in listed.out


@pytest.fixture
async def terminal(hub: Hub, maintainer: Client, tmp_path: Path) -> Terminal:  # noqa: ARG001 - whoever comes first is administrator
    """``mcpctl`` of somebody else."""
    made = Terminal(hub, tmp_path)
    made.show_key(await hub.person("terminal@example.org"))
    return made


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    async with site_of(database) as running:
        yield running


async def test_the_page_narrows_and_replaces_keys(site: Site) -> None:
    await site.sign_in()

    made = await (await site.post("/settings/keys", name="ci", role="reader")).text()
    key_id = re.findall(r"/settings/keys/(\d+)/rotate", made)[0]
    turned = await (await site.post(f"/settings/keys/{key_id}/rotate")).text()

    assert len(set(re.findall(r"mcph_[A-Za-z0-9_-]{20,}", made + turned))) == 2
    assert "(replaced)" in turned
    refused = await site.post("/settings/keys", name="ci", servers="nosuch")
    assert refused.status == 422
    assert "there is no server nosuch" in await refused.text()


async def test_a_token_opens_the_api_for_a_while(
    hub: Hub, maintainer: Client, terminal: Terminal
) -> None:
    made = await maintainer.post("/api/tokens", json={"role": "reader"})
    token = (await made.json())["token"]
    reads = await hub.client(token)
    from_terminal = await terminal.run("keys", "token", "--minutes", "5")
    other = await hub.client(from_terminal.out.strip())
    nobody = await hub.client(token[:-4] + "AAAA")

    assert (await (await reads.get("/api/me")).json())["via"] == "token"
    assert (await reads.post("/api/servers", json=REMOTE)).status == 403
    assert (await reads.post("/api/tokens", json={})).status == 403
    assert (await other.get("/api/servers")).status == 200
    refused = await nobody.get("/api/me")
    assert (refused.status, (await refused.json())["code"]) == (401, "unknown_token")
