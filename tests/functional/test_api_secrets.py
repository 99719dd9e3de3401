"""Secrets over REST, from mcpctl and in the browser: values go in, and none comes out."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.accounts.access import Sight
from appliance.infra.database import Database
from appliance.secrets import store as secret_store
from appliance.servers import store
from appliance.servers.deploys.model import Trigger
from appliance.servers.model import Deployment, DeploymentState
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal
from tests.harness import pages

Client = TestClient[Any, Any]
CANARY = "canary-5e1f-value"
TIME = {"name": "time", "package": "pypi:mcp-server-time"}
PLACE = "/api/servers/time/secrets"


async def newest(database: Database) -> Deployment:
    """Return the newest deployment of the only server."""
    found = await database.run(
        lambda: store.deployment_in(store.page(
            sight=Sight(everything=True), query="", status=None, after="", limit=1
        )[0].id)
    )  # fmt: skip
    assert found
    return found


async def everything(database: Database) -> str:
    """Return all that stands in the database's tables, as text."""

    def read() -> str:
        names = database.peewee.execute_sql(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).fetchall()
        return "".join(
            str(database.peewee.execute_sql(f'SELECT to_jsonb(t) FROM "{name}" t').fetchall())  # noqa: S608
            for (name,) in names
        )  # fmt: skip

    return await database.run(read)


async def live(database: Database) -> Deployment:
    """Make the newest deployment the live one."""
    found = await newest(database)

    def write() -> None:
        store.set_built(found.id, image="sha256:" + "ab" * 32, resolved={})
        store.promote(store.get_deployment(found.id), {"tools": []})

    await database.run(write)
    return found


@pytest.fixture
async def hosted(admin: Client, hub: Hub) -> Client:
    made = await admin.post("/api/servers", json=TIME)
    assert made.status == 201, await made.text()
    await live(hub.database)
    return admin


async def test_a_value_goes_in_and_never_comes_out(hosted: Client, hub: Hub) -> None:
    put = await hosted.put(f"{PLACE}/API_KEY", json={"value": CANARY})
    again = await hosted.put(f"{PLACE}/API_KEY", json={"value": "second-value"})
    listed = await hosted.get(PLACE)
    history = await hosted.get(f"{PLACE}/API_KEY")
    server = await hosted.get("/api/servers/time")
    audit = await hosted.get("/api/audit")

    assert (put.status, again.status) == (200, 200)
    (item,) = (await listed.json())["items"]
    assert {name: item[name] for name in ("name", "version", "delivery", "keeper", "path", "created_by")} == {
        "name": "API_KEY", "version": 2, "delivery": "env", "keeper": "local",
        "path": "/run/secrets/API_KEY", "created_by": "admin@example.org",
    }  # fmt: skip
    assert [item["version"] for item in (await history.json())["versions"]] == [2, 1]
    answers = [await answer.text() for answer in (put, again, listed, history, server, audit)]  # fmt: skip
    assert CANARY not in "".join(answers)
    assert "server.secret_set" in answers[-1]
    assert CANARY not in await everything(hub.database)


async def test_a_new_value_starts_the_same_image_anew(hosted: Client, hub: Hub) -> None:
    before = await newest(hub.database)

    await hosted.put(f"{PLACE}/API_KEY", json={"value": CANARY})

    after = await newest(hub.database)
    assert (after.number, after.state) == (before.number + 1, DeploymentState.PENDING)
    assert after.image == "sha256:" + "ab" * 32
    assert after.trigger is Trigger.SECRETS
    assert "API_KEY was set" in after.reason


async def test_a_stopped_server_stays_so(hosted: Client, hub: Hub) -> None:
    await hosted.post("/api/servers/time/stop")
    before = await newest(hub.database)

    put = await hosted.put(f"{PLACE}/API_KEY", json={"value": CANARY})

    assert put.status == 200
    assert (await newest(hub.database)).id == before.id


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("API-KEY", {"value": CANARY}, "name"),
        ("PATH", {"value": CANARY}, "name"),
        ("API_KEY", {"value": ""}, "value"),
        ("API_KEY", {"value": CANARY + "x" * 65536}, "value"),
        ("API_KEY", {"value": [CANARY]}, "value"),
        ("API_KEY", {"value": CANARY, "delivery": "post"}, "delivery"),
        ("API_KEY", {"value": f"{CANARY}\0"}, "value"),
    ],
)
async def test_what_is_wrong_is_named_and_not_repeated(
    hosted: Client, name: str, body: dict[str, Any], field: str
) -> None:
    refused = await hosted.put(f"{PLACE}/{name}", json=body)

    answer = await refused.json()
    assert refused.status == 422, answer
    assert [item["field"] for item in answer["errors"]] == [field]
    assert CANARY not in json.dumps(answer)


async def test_delivery_is_changed_without_the_value(hosted: Client) -> None:
    missing = await hosted.put(f"{PLACE}/API_KEY", json={"delivery": "file"})
    await hosted.post(PLACE, json={"name": "API_KEY", "value": CANARY})

    changed = await hosted.put(f"{PLACE}/API_KEY", json={"delivery": "file"})
    taken = await hosted.post(PLACE, json={"name": "API_KEY", "value": "other-value"})

    assert missing.status == 404
    assert (await changed.json())["delivery"] == "file"
    assert (await changed.json())["version"] == 1
    assert taken.status == 422


async def test_a_removed_secret_is_gone_and_a_stranger_learns_nothing(
    hosted: Client, maintainer: Client, reader: Client
) -> None:
    await hosted.put(f"{PLACE}/API_KEY", json={"value": CANARY})

    unknown = [
        (await maintainer.get(PLACE)).status,
        (await maintainer.put(f"{PLACE}/API_KEY", json={"value": "x" * 8})).status,
        (await maintainer.delete(f"{PLACE}/API_KEY")).status,
    ]
    seen = (await reader.get(PLACE)).status
    forbidden = (await reader.delete(f"{PLACE}/API_KEY")).status
    removed = (await hosted.delete(f"{PLACE}/API_KEY")).status
    gone = (await hosted.delete(f"{PLACE}/API_KEY")).status

    assert unknown == [404, 404, 404]
    assert (seen, forbidden, removed, gone) == (200, 403, 204, 404)


async def test_a_variable_that_looks_secret_is_moved_and_leaves_no_trace(
    hosted: Client, hub: Hub
) -> None:
    changed = await hosted.put(
        "/api/servers/time/config",
        json={"environment": {"GITHUB_TOKEN": CANARY, "TZ": "UTC"}},
    )
    assert changed.status == 202, await changed.text()
    listed = await (await hosted.get(PLACE)).json()
    assert listed["in_clear"] == ["GITHUB_TOKEN"]

    moved = await hosted.post(f"{PLACE}/move", json={"names": ["GITHUB_TOKEN"]})

    answer = await moved.json()
    assert moved.status == 200, answer
    assert [item["name"] for item in answer["items"]] == ["GITHUB_TOKEN"]
    assert answer["in_clear"] == []
    assert (await newest(hub.database)).config.environment == {"TZ": "UTC"}
    # Deployments of before have forgotten it, too.
    assert CANARY not in await everything(hub.database)


async def test_settings_that_look_secret_become_secrets(
    hosted: Client, hub: Hub
) -> None:
    given = await hosted.post(
        "/api/servers/time/settings",
        json={"settings": {"API_KEY": CANARY, "REGION": "north"}},
    )

    assert given.status == 202, await given.text()
    assert (await newest(hub.database)).config.environment == {"REGION": "north"}
    listed = await (await hosted.get(PLACE)).json()
    assert [item["name"] for item in listed["items"]] == ["API_KEY"]
    assert CANARY not in await everything(hub.database)


async def test_what_a_registry_s_entry_calls_secret_is_kept_as_such(
    admin: Client, hub: Hub
) -> None:
    entry = {
        "name": "org.example/weather",
        "version": "1.0.0",
        "description": "Weather",
        "packages": [
            {
                "registryType": "pypi",
                "identifier": "weather",
                "version": "1.0.0",
                "transport": {"type": "stdio"},
                "environmentVariables": [
                    {"name": "PLAIN", "isRequired": True},
                    {"name": "ACCESS", "isRequired": True, "isSecret": True},
                ],
            }
        ],
    }
    made = await admin.post(
        "/api/servers",
        json={
            "name": "time",
            "server_json": entry,
            "inputs": {"PLAIN": "p", "ACCESS": CANARY},
            "secrets": {"MORE": "more-of-it"},
        },
    )

    assert made.status == 201, await made.text()
    assert (await newest(hub.database)).config.environment == {"PLAIN": "p"}
    listed = await (await admin.get(PLACE)).json()
    assert [item["name"] for item in listed["items"]] == ["ACCESS", "MORE"]
    assert CANARY not in await everything(hub.database)


async def test_a_remote_server_gets_no_secrets(admin: Client) -> None:
    await admin.post(
        "/api/servers", json={"name": "time", "remote_url": "https://example.org/mcp"}
    )

    refused = await admin.put(f"{PLACE}/API_KEY", json={"value": CANARY})

    assert refused.status == 422
    assert "runs elsewhere" in await refused.text()


async def test_only_administrators_see_to_the_master_key(
    hosted: Client, maintainer: Client
) -> None:
    await hosted.put(f"{PLACE}/API_KEY", json={"value": CANARY})
    before = await (await hosted.get("/api/secrets/master-key")).json()

    refused = await maintainer.post("/api/secrets/master-key")
    rotated = await hosted.post("/api/secrets/master-key")

    after = await rotated.json()
    assert refused.status == 403
    assert rotated.status == 202
    assert after["current"] != before["current"]
    assert after["waiting"] == 1
    assert before["in_use"] == {before["current"]: 1}


# -- mcpctl


async def test_mcpctl_sets_from_standard_input_and_shows_no_value(
    hosted: Client, hub: Hub, tmp_path: Path
) -> None:
    terminal = Terminal(hub, tmp_path)
    terminal.show_key(hosted._session.headers["Authorization"].split()[1])
    key = "-----BEGIN KEY-----\nabc\n-----END KEY-----\n"

    made = await terminal.run("secrets", "set", "time", "API_KEY", stdin=f"{CANARY}\n")
    lines = await terminal.run(
        "secrets", "set", "time", "CERT", "--as", "file", stdin=key
    )
    listed = await terminal.run("secrets", "list", "time")
    history = await terminal.run("secrets", "history", "time", "API_KEY")
    rotated = await terminal.run("secrets", "rotate-master", "--yes", "--json")
    removed = await terminal.run("secrets", "remove", "time", "CERT", "--yes")

    codes = [item.code for item in (made, lines, listed, history, rotated, removed)]
    assert codes == [0] * 6, (made.err, lines.err, rotated.err)
    assert "API_KEY" in listed.out
    assert CANARY not in listed.out + history.out + made.out
    assert rotated.json()["waiting"] == 2
    server = await hub.database.run(lambda: store.find("time"))
    assert server
    keeper = hub.services.secrets._secrets.keeper
    values = {
        kept.place.name: await hub.database.run(keeper.open, kept)
        for kept in await hub.database.run(secret_store.remembered, server.id)
    }
    assert values == {"API_KEY": CANARY, "CERT": key}


# -- the browser


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[pages.Hub]:
    async with pages.hub(database, data_dir=tmp_path / "data") as running:
        yield running


async def test_the_tab_takes_values_and_shows_none(site: pages.Hub) -> None:
    await site.host(await site.sign_in(), "time")
    await site.run("time")
    pem = "-----BEGIN KEY-----\r\nabcdefgh\r\n-----END KEY-----\r\n"

    empty = await site.page("/servers/time/secrets")
    made = await site.post("/servers/time/secrets", name="KEY", secret_value=pem)
    refused = await site.post("/servers/time/secrets", name="1KEY", secret_value=CANARY)
    shown = await site.page("/servers/time/secrets?name=KEY")

    assert "None yet." in empty
    assert made.status == 303
    assert refused.status == 422
    text = await refused.text()
    assert "not starting with a digit" in text
    assert CANARY not in text
    assert "/run/secrets/KEY" in shown
    assert "abcdefgh" not in shown
    assert 'value="KEY"' in shown
    keeper = site.services.secrets._secrets.keeper
    server = await site.database.run(lambda: store.find("time"))
    assert server
    # A browser writes CR LF; keys end their lines with LF.
    assert await site.database.run(keeper.read, server.id, "KEY") == pem.replace("\r", "")  # fmt: skip
    removed = await site.post("/servers/time/secrets/remove", name="KEY")
    assert removed.status == 303


async def test_the_tab_offers_to_move_what_stands_in_clear(site: pages.Hub) -> None:
    await site.host(await site.sign_in(), "time")
    saved = await site.post(
        "/servers/time/config",
        environment=f"API_TOKEN={CANARY}",
        cpu_limit="1",
        memory_limit="512m",
    )
    assert saved.status == 303, await saved.text()

    warned = await site.page("/servers/time/secrets")
    config = await site.page("/servers/time/config")
    moved = await site.post("/servers/time/secrets/move")

    assert "Move to secrets" in warned
    assert "Move to secrets" in config
    assert moved.status == 303
    after = await site.page("/servers/time/secrets")
    assert "Move to secrets" not in after
    assert CANARY not in await site.page("/servers/time/config")


async def test_a_new_server_s_form_takes_secrets(site: pages.Hub) -> None:
    await site.sign_in()
    form = {"kind": "package", "package": "pypi:mcp-server-time", "name": "time"}

    refused = await site.post("/servers/new", **form, secrets=f"1={CANARY}")
    made = await site.post("/servers/new", **form, secrets=f"API_KEY={CANARY}\r\n")

    text = await refused.text()
    assert (refused.status, CANARY in text) == (422, False)
    assert "not starting with a digit" in text
    assert made.status in {200, 303}, await made.text()
    assert "/run/secrets/API_KEY" in await site.page("/servers/time/secrets")
