"""/api/orgs: who belongs to what, what they may do with it, and that nobody else learns of it. Invented names only."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.accounts.model import Role
from appliance.infra.database import Database
from tests.functional.hub import Hub

Client = TestClient[Any, Any]
REMOTE = "https://mcp.example.org/mcp"


@pytest.fixture
async def ada(hub: Hub, admin: Client) -> Client:  # noqa: ARG001 - whoever comes first is administrator
    """Owns the organisation ``data``."""
    client = await hub.client(await hub.person("ada@example.org"))
    await done(
        client.post("/api/orgs", json={"name": "data", "title": "Data team"}), 201
    )
    return client


@pytest.fixture
async def ben(hub: Hub, admin: Client) -> Client:  # noqa: ARG001 - whoever comes first is administrator
    """Somebody in no organisation."""
    return await hub.client(await hub.person("ben@example.org"))


async def done(asked: Any, status: int = 200) -> Any:
    """Return what a request is answered."""
    response = await asked
    text = await response.text()
    assert response.status == status, text
    return await response.json() if text else None


async def host(client: Client, name: str, **fields: Any) -> int:
    body = {"remote_url": REMOTE, "name": name, **fields}
    made = await done(client.post("/api/servers", json=body), 201)
    return int(made["server"]["id"])


async def add(owner: Client, email: str, role: str) -> int:
    body = {"email": email, "role": role}
    return int((await done(owner.post("/api/orgs/data/members", json=body)))["user_id"])


async def test_whoever_founds_an_organisation_owns_it(ada: Client) -> None:
    shown = await done(ada.get("/api/orgs/data"))
    members = (await done(ada.get("/api/orgs/data/members")))["items"]

    assert (shown["role"], shown["title"], shown["members"]) == (
        "owner",
        "Data team",
        1,
    )
    assert [(item["email"], item["role"]) for item in members] == [
        ("ada@example.org", "owner")
    ]
    taken = await done(ada.post("/api/orgs", json={"name": "data"}), 409)
    assert taken["code"] == "org_name_taken"


async def test_nobody_else_learns_of_an_organisation_or_of_what_it_has(
    ada: Client, ben: Client
) -> None:
    server = await host(ada, "ours", org="data")

    for asked in (
        ben.get("/api/orgs/data"),
        ben.get("/api/orgs/data/members"),
        ben.patch("/api/orgs/data", json={"title": "Mine"}),
        ben.delete("/api/orgs/data"),
        ben.get("/api/orgs/data/invitations"),
        ben.post(
            "/api/orgs/data/members", json={"email": "ben@example.org", "role": "owner"}
        ),
        ben.get(f"/api/servers/{server}"),
        ben.post(f"/api/servers/{server}/start"),
        ben.post(f"/api/servers/{server}/transfer", json={}),
    ):
        await done(asked, 404)
    assert (await done(ben.get("/api/orgs")))["items"] == []
    assert (await done(ben.get("/api/servers")))["items"] == []
    body = {"remote_url": REMOTE, "name": "x", "org": "data"}
    refused = await done(ben.post("/api/servers", json=body), 422)
    unknown = await done(ben.post("/api/servers", json=body | {"org": "nosuch"}), 422)
    assert refused["errors"][0]["message"] == "there is no organisation data"
    assert unknown["errors"][0]["message"] == "there is no organisation nosuch"


@pytest.mark.parametrize(
    ("role", "start", "rename", "add_server", "invite", "give"),
    [
        ("reader", 403, 403, 403, 403, 403),
        ("deployer", 202, 403, 403, 403, 403),
        ("maintainer", 202, 200, 201, 403, 403),
        ("owner", 202, 200, 201, 201, 200),
    ],
)
async def test_members_may_do_what_their_role_says(  # noqa: PLR0913, PLR0917 - one column each
    ada: Client,
    ben: Client,
    role: str,
    start: int,
    rename: int,
    add_server: int,
    invite: int,
    give: int,
) -> None:
    server = await host(ada, "ours", org="data")
    await add(ada, "ben@example.org", role)

    await done(ben.get("/api/servers/ours"))
    await done(ben.post("/api/servers/ours/start"), start)
    await done(ben.post("/api/servers/ours/key"), rename)
    new = {"remote_url": REMOTE, "name": "another", "org": "data"}
    await done(ben.post("/api/servers", json=new), add_server)
    await done(ben.post("/api/orgs/data/invitations", json={"role": "reader"}), invite)
    await done(ben.post(f"/api/servers/{server}/transfer", json={}), give)


async def test_a_reader_of_the_box_stays_one_in_every_organisation(
    hub: Hub, ada: Client
) -> None:
    reader = await hub.client(await hub.person("eve@example.org", Role.READER))
    await host(ada, "ours", org="data")
    await add(ada, "eve@example.org", "owner")

    await done(reader.get("/api/servers/ours"))
    await done(reader.post("/api/servers/ours/start"), 403)
    await done(reader.delete("/api/orgs/data"), 403)


async def test_an_organisation_always_keeps_an_owner(ada: Client, ben: Client) -> None:
    me = (await done(ada.get("/api/orgs/data/members")))["items"][0]["user_id"]
    place = f"/api/orgs/data/members/{me}"

    last = await done(ada.delete(place), 409)
    lowered = await done(ada.patch(place, json={"role": "reader"}), 409)
    await add(ada, "ben@example.org", "owner")
    await done(ada.delete(place), 204)

    assert last["code"] == lowered["code"] == "last_owner"
    await done(ada.get("/api/orgs/data"), 404)
    assert (await done(ben.get("/api/orgs/data")))["members"] == 1


async def test_an_invitation_is_good_once_and_kept_as_a_hash(
    hub: Hub, ada: Client, ben: Client, database: Database
) -> None:
    body = {"role": "deployer", "note": "for Ben"}
    made = await done(ada.post("/api/orgs/data/invitations", json=body), 201)
    token = {"token": made["token"]}

    assert made["link"].endswith(f"/invitation?token={made['token']}")
    looked = await done(ben.post("/api/invitations/look", json=token))
    assert (looked["org"], looked["role"]) == ("data", "deployer")
    joined = await done(ben.post("/api/invitations/accept", json=token))
    assert (joined["name"], joined["role"]) == ("data", "deployer")
    third = await hub.client(await hub.person("cid@example.org"))
    again = await done(third.post("/api/invitations/accept", json=token), 404)

    assert again["code"] == "invitation_not_found"
    assert (await done(ada.get("/api/orgs/data/invitations")))["items"] == []
    kept = await database.run(
        lambda: database.peewee.execute_sql(
            "SELECT row_to_json(org_invitations)::text FROM org_invitations"
        ).fetchone()
    )
    assert made["token"] not in kept[0]


async def test_an_invitation_that_was_revoked_or_ran_out_is_good_for_nothing(
    ada: Client, ben: Client, database: Database
) -> None:
    place = "/api/orgs/data/invitations"
    revoked, old = [
        await done(ada.post(place, json={"role": "reader"}), 201) for _ in "12"
    ]
    await done(ada.delete(f"{place}/{revoked['id']}"), 204)
    await database.run(
        lambda: database.peewee.execute_sql(
            "UPDATE org_invitations SET expires_at = now() WHERE id = %s", (old["id"],)
        )
    )

    for made in (revoked, old):
        token = {"token": made["token"]}
        await done(ben.post("/api/invitations/accept", json=token), 404)
    await done(ada.delete(f"{place}/{old['id']}"), 404)


async def test_an_organisation_is_deleted_only_when_nothing_belongs_to_it(
    ada: Client,
) -> None:
    await host(ada, "ours", org="data")
    track = {"name": "main", "stages": [{"name": "canary"}], "org": "data"}
    await done(ada.post("/api/promotions/tracks", json=track), 201)

    full = await done(ada.delete("/api/orgs/data"), 409)
    await done(ada.post("/api/servers/ours/transfer", json={}))
    less = await done(ada.delete("/api/orgs/data"), 409)
    await done(ada.delete("/api/promotions/tracks/main"), 204)
    await done(ada.delete("/api/orgs/data"), 204)

    assert full["code"] == less["code"] == "org_not_empty"
    assert full["detail"] == "data still owns 1 server; the track main."
    assert less["detail"] == "data still owns the track main."
    assert (await done(ada.get("/api/servers/ours")))["org_id"] is None


async def test_a_transfer_is_undone_by_transferring_back(
    admin: Client, ada: Client, ben: Client
) -> None:
    server = await host(ada, "mine")
    await add(ada, "ben@example.org", "reader")

    await done(ben.get("/api/servers/mine"), 404)
    given = await done(ada.post("/api/servers/mine/transfer", json={"org": "data"}))
    assert (await done(ben.get("/api/servers/mine")))["org"] == "data"
    back = {"user": given["before"]["name"]}
    taken = await done(ada.post(f"/api/servers/{server}/transfer", json=back))
    await done(ben.get("/api/servers/mine"), 404)

    assert (taken["before"], taken["after"]) == (given["after"], given["before"])
    trail = (await done(admin.get("/api/audit?limit=4")))["items"]
    assert [(item["action"], item["object_name"]) for item in trail] == [
        ("org.gave", "data"),
        ("server.transfer", "mine"),
        ("org.received", "data"),
        ("server.transfer", "mine"),
    ]


async def test_only_an_administrator_gives_something_to_another_person(
    admin: Client, ada: Client, ben: Client
) -> None:
    await host(ada, "mine")
    to_ben = {"user": "ben@example.org"}

    await done(ada.post("/api/servers/mine/transfer", json=to_ben), 403)
    await done(admin.post("/api/servers/mine/transfer", json=to_ben))

    await done(ada.get("/api/servers/mine"), 404)
    await done(ben.get("/api/servers/mine"))


async def test_a_quota_tells_what_is_used_and_what_is_allowed(
    admin: Client, ada: Client
) -> None:
    await done(ada.patch("/api/orgs/data", json={"server_quota": 9}), 403)
    await done(admin.patch("/api/orgs/data", json={"server_quota": 1}))
    await host(ada, "ours", org="data")
    await host(ada, "mine")

    body = {"remote_url": REMOTE, "name": "second", "org": "data"}
    created = await done(ada.post("/api/servers", json=body), 409)
    moved = await done(
        ada.post("/api/servers/mine/transfer", json={"org": "data"}), 409
    )

    assert created["code"] == moved["code"] == "quota_reached"
    assert "1 of 1 servers" in created["detail"]
    await done(ada.patch("/api/orgs/data", json={"title": "Still theirs to change"}))


async def test_an_organisations_bundle_holds_only_what_belongs_to_it(
    ada: Client, ben: Client
) -> None:
    await host(ada, "ours", org="data")
    await host(ada, "mine")
    await add(ada, "ben@example.org", "reader")
    body: dict[str, Any] = {
        "name": "all",
        "org": "data",
        "members": [{"server": "mine"}],
    }

    refused = await done(ada.post("/api/bundles", json=body), 422)
    body["members"] = [{"server": "ours"}]
    await done(ada.post("/api/bundles", json=body), 201)
    own = {"name": "own", "members": [{"server": "ours"}]}
    await done(ben.post("/api/bundles", json=own), 201)

    assert [item["field"] for item in refused["errors"]] == ["members.0.server"]
    assert (await done(ben.get("/api/bundles/all")))["org"] == "data"
    await done(ben.delete("/api/bundles/all"), 403)
    await done(ada.post("/api/servers/ours/transfer", json={}))
    for bundle in ("all", "own"):
        left = (await done(ben.get(f"/api/bundles/{bundle}")))["members"]
        assert [item["is_permitted"] for item in left] == [False]
