"""/api/bundles over real HTTP: members and their names, keys, who may what, and what the gateway is told."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from psycopg2.extras import Json

from appliance.infra.database import Database
from tests.functional.hub import Hub

Client = TestClient[Any, Any]
TOOL = {"name": "now", "description": "Tells the time.", "inputSchema": {}}


async def host(client: Client, *names: str) -> None:
    for name in names:
        body = {"name": name, "package": "pypi:mcp-server-time"}
        assert (await client.post("/api/servers", json=body)).status == 201


async def make(client: Client, *servers: str, **fields: Any) -> dict[str, Any]:
    body = {"name": "all", "members": [{"server": name} for name in servers]} | fields
    response = await client.post("/api/bundles", json=body)
    assert response.status == 201, await response.text()
    return dict((await response.json())["bundle"])


async def live(database: Database, server: str, *tools: Any) -> None:
    """Give a server a deployment that is live, with these tools in its manifest."""
    await database.run(
        database.peewee.execute_sql,
        "UPDATE deployments SET state = 'live', manifest = %s"
        " WHERE server_id = (SELECT id FROM servers WHERE name = %s)",
        (Json({"tools": list(tools)}), server),
    )


async def routed(database: Database, name: str = "all") -> Any:
    """What the gateway reads of a bundle's members."""
    sql = "SELECT members FROM gateway_bundles WHERE name = %s"
    cursor = await database.run(database.peewee.execute_sql, sql, (name,))
    row = cursor.fetchone()
    return row[0] if row else None


async def test_a_new_bundle_shows_its_key_once_and_is_routed(
    maintainer: Client, database: Database
) -> None:
    await host(maintainer, "clock", "my-files")
    body = {"name": "all", "members": [{"server": "my-files"}, {"server": "clock"}]}

    response = await maintainer.post("/api/bundles", json=body)
    made = await response.json()
    shown = await (await maintainer.get("/api/bundles/all")).json()
    members = await routed(database)

    assert response.status == 201
    assert made["endpoint_key"].startswith("mcpb_")
    assert made["endpoint_key"] not in str(shown)
    assert shown == made["bundle"]
    assert shown["endpoint"].endswith("/bundles/all/mcp")
    assert [item["prefix"] for item in shown["members"]] == ["my_files", "clock"]
    assert [item["server"] for item in members] == ["my-files", "clock"]
    assert all(item["is_permitted"] for item in members)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "Not a name"}, "name"),
        ({"name": "x", "separator": "::"}, "separator"),
        ({"name": "x", "description": "x" * 5000}, "description"),
        ({"name": "x", "members": [{"server": "nobody"}]}, "members.0.server"),
        ({"name": "x", "members": [{"server": "a", "prefix": "a b"}]}, "members.0.prefix"),
        ({"name": "x", "members": [{"server": "a"}, {"server": "a"}]}, "members.1.server"),
        ({"name": "x", "members": [{"server": "a", "overrides": {"t": {"name": "a b"}}}]}, "members.0.overrides.t.name"),
        ({"name": "x", "members": [{"server": "a", "overrides": {"t": {"name": "a__u"}}}]}, "overrides.t.name"),
        ({"name": "x", "members": [{"server": "a", "prefix": "p"}, {"server": "b", "prefix": "p"}]}, "prefix"),
        ({"name": "x", "members": [{"server": "a", "prefix": "p"}, {"server": "b", "prefix": "p__q"}]}, "prefix"),
        ({"name": "x", "colour": "red"}, "colour"),
    ],
)  # fmt: skip
async def test_bad_input_names_its_field_and_makes_nothing(
    maintainer: Client, body: dict[str, Any], field: str
) -> None:
    await host(maintainer, "a", "b")

    response = await maintainer.post("/api/bundles", json=body)
    problem = await response.json()

    assert response.status == 422
    assert field in [item["field"] for item in problem["errors"]], problem
    assert (await (await maintainer.get("/api/bundles")).json())["items"] == []


async def test_a_collision_is_refused_with_the_names_of_both(
    maintainer: Client,
) -> None:
    await host(maintainer, "a", "b")
    await make(maintainer, "a")

    response = await maintainer.put("/api/bundles/all/members/b", json={"prefix": "a"})

    assert response.status == 422
    message = (await response.json())["errors"][0]["message"]
    assert "a (a)" in message
    assert "b (a)" in message


async def test_a_name_is_taken_once(maintainer: Client) -> None:
    await make(maintainer)

    response = await maintainer.post("/api/bundles", json={"name": "all"})

    assert response.status == 409
    assert (await response.json())["code"] == "bundle_name_taken"


async def test_members_come_change_and_go_in_their_order(maintainer: Client) -> None:
    await host(maintainer, "a", "b", "c")
    await make(maintainer, "a", "b")

    await maintainer.put("/api/bundles/all/members/c", json={"tools": ["t"]})
    await maintainer.put("/api/bundles/all/members/a", json={"prefix": "first"})
    changed = await (await maintainer.delete("/api/bundles/all/members/b")).json()
    again = await maintainer.delete("/api/bundles/all/members/b")
    order = {"members": [{"server": "c"}, {"server": "a"}]}
    turned = await (await maintainer.patch("/api/bundles/all", json=order)).json()

    assert [(item["server"], item["prefix"]) for item in changed["members"]] == [
        ("a", "first"),
        ("c", "c"),
    ]
    assert changed["members"][1]["tools"] == ["t"]
    assert (await again.json())["code"] == "bundle_member_not_found"
    assert [item["server"] for item in turned["members"]] == ["c", "a"]


async def test_a_change_leaves_what_it_does_not_name(maintainer: Client) -> None:
    await host(maintainer, "a")
    await make(maintainer, "a", description="Mine.")

    changed = await maintainer.patch("/api/bundles/all", json={"separator": "."})

    shown = await changed.json()
    assert (shown["separator"], shown["description"]) == (".", "Mine.")
    assert [item["server"] for item in shown["members"]] == ["a"]


async def test_the_tools_are_told_as_clients_see_them_with_warnings(
    maintainer: Client, database: Database
) -> None:
    await host(maintainer, "a", "b")
    long = TOOL | {"name": "x" * 70}
    await live(database, "a", TOOL, TOOL | {"name": "bad name"}, long)
    await live(database, "b", TOOL)
    members = [
        {"server": "a"},
        {"server": "b", "overrides": {"now": {"name": "time", "description": "D"}}},
    ]
    await make(maintainer, members=members)

    found = (await (await maintainer.get("/api/bundles/all/tools")).json())["items"]

    assert [item["name"] for item in found] == ["a__now", None, "a__" + "x" * 70, "time"]  # fmt: skip
    assert [item["is_offered"] for item in found] == [True, False, True, True]
    assert "another name" in found[1]["warning"]
    assert "64" in found[2]["warning"]
    assert found[3]["description"] == "D"


async def test_a_new_key_replaces_the_old_one(
    maintainer: Client, database: Database
) -> None:
    await make(maintainer)
    sql = "SELECT endpoint_key_hash FROM gateway_bundles"
    before = (await database.run(database.peewee.execute_sql, sql)).fetchone()

    key = (await (await maintainer.post("/api/bundles/all/key")).json())["endpoint_key"]

    assert key.startswith("mcpb_")
    assert (await database.run(database.peewee.execute_sql, sql)).fetchone() != before


async def test_a_deleted_bundle_leaves_its_members(
    maintainer: Client, database: Database
) -> None:
    await host(maintainer, "a")
    await make(maintainer, "a")

    gone = await maintainer.delete("/api/bundles/all")

    assert gone.status == 204
    assert (await maintainer.get("/api/bundles/all")).status == 404
    assert await routed(database) is None
    assert (await maintainer.get("/api/servers/a")).status == 200


async def test_nobody_bundles_what_belongs_to_somebody_else(
    hub: Hub, admin: Client, maintainer: Client, database: Database
) -> None:
    other = await hub.client(await hub.person("other@example.org"))
    await host(other, "theirs")
    await host(maintainer, "mine")
    body = {"name": "x", "members": [{"server": "theirs"}]}

    refused = await maintainer.post("/api/bundles", json=body)
    await make(maintainer, "mine")
    by_admin = await admin.put("/api/bundles/all/members/theirs", json={})
    admins = await admin.post("/api/bundles", json=body)

    assert refused.status == by_admin.status == 422
    assert "there is no server" in await refused.text()
    assert "does not belong" in await by_admin.text()
    assert admins.status == 201
    assert (await routed(database, "x"))[0]["is_permitted"]


async def test_a_member_that_changes_hands_is_not_permitted_any_more(
    maintainer: Client, database: Database
) -> None:
    await host(maintainer, "a")
    await make(maintainer, "a")
    await database.run(
        database.peewee.execute_sql,
        "UPDATE servers SET owner_id = (SELECT id FROM users WHERE role = 'admin')",
    )

    shown = await (await maintainer.get("/api/bundles/all")).json()

    assert not shown["members"][0]["is_permitted"]
    assert not (await routed(database))[0]["is_permitted"]


async def test_whoever_may_not_know_gets_404_and_readers_change_nothing(
    hub: Hub, maintainer: Client, reader: Client, stranger: Client
) -> None:
    other = await hub.client(await hub.person("other@example.org"))
    await make(maintainer)

    assert (await other.get("/api/bundles/all")).status == 404
    assert (await other.delete("/api/bundles/all")).status == 404
    assert (await reader.get("/api/bundles/all")).status == 200
    assert (await reader.patch("/api/bundles/all", json={})).status == 403
    assert (await reader.post("/api/bundles", json={"name": "r"})).status == 403
    assert (await stranger.get("/api/bundles")).status == 401


async def test_every_write_is_in_the_audit_trail(
    admin: Client, maintainer: Client
) -> None:
    await host(maintainer, "a")
    await make(maintainer)
    await maintainer.put("/api/bundles/all/members/a", json={})
    await maintainer.delete("/api/bundles/all")

    trail = await (await admin.get("/api/audit?limit=10")).json()

    actions = [item["action"] for item in trail["items"]]
    assert {"bundle.create", "bundle.set_member", "bundle.delete"} <= set(actions)


async def test_bundles_come_in_pages(maintainer: Client) -> None:
    for name in ("a", "b", "c"):
        await make(maintainer, name=name)

    first = await (await maintainer.get("/api/bundles?limit=2")).json()
    second = await (
        await maintainer.get(f"/api/bundles?limit=2&cursor={first['next_cursor']}")
    ).json()

    assert [item["name"] for item in first["items"]] == ["a", "b"]
    assert [item["name"] for item in second["items"]] == ["c"]
    assert second["next_cursor"] is None


async def test_clients_are_told_how_to_connect(maintainer: Client) -> None:
    await make(maintainer)

    response = await maintainer.get("/api/bundles/all/client-config?client=claude-code")
    told = await response.json()

    assert response.status == 200, told
    assert "/bundles/all/mcp" in told["clients"][0]["text"]
