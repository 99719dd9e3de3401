"""Where a server may go, as people see and change it: over REST, on its page, and by mcpctl."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.accounts.model import Role
from appliance.infra.database import Database
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal
from tests.harness import pages

Client = TestClient[Any, Any]
PLACE = "/api/servers/weather/egress"
WEATHER = {
    "name": "weather",
    "package": "npm:somebodys-weather",
    "environment": {"API_BASE": "https://api.weather.example/v1"},
}


def deny(database: Database, destination: str, port: int, protocol: str) -> None:
    """Write what the egress process would."""
    database.run_blocking(
        lambda: database.peewee.execute_sql(
            "INSERT INTO egress_attempts SELECT id, false, %s, %s, %s, 'it is not allowed', 3, 0, 0, now(), now() FROM servers",
            (protocol, port, destination),
        )
    )


def counted(database: Database) -> list[tuple[Any, ...]]:
    """Return what the egress process would read."""
    found: list[tuple[Any, ...]] = database.run_blocking(
        lambda: database.peewee.execute_sql(
            "SELECT mode, hosts, private, learn FROM egress_rules"
        ).fetchall()
    )
    return found


async def test_a_server_may_reach_what_it_declares_until_somebody_chooses(
    admin: Client, database: Database
) -> None:
    assert (await admin.post("/api/servers", json=WEATHER)).status == 201

    shown = await (await admin.get(PLACE)).json()

    assert (shown["mode"], shown["is_chosen"]) == ("allow-list", False)
    assert shown["hosts"] == ["api.weather.example:443"]
    assert shown["declared"][0]["why"] == "the setting API_BASE has it"
    assert shown["enforced"] is False
    assert "mcp-host up" in shown["problem"]
    assert counted(database) == [("allow-list", ["api.weather.example:443"], [], False)]


async def test_a_choice_counts_at_once_without_a_redeploy_and_is_in_the_trail(
    admin: Client, database: Database
) -> None:
    await admin.post("/api/servers", json=WEATHER)

    response = await admin.put(PLACE, json={"hosts": ["*.Example.com:443"]})
    server = await (await admin.get("/api/servers/weather")).json()
    trail = await (await admin.get("/api/audit?action=server.egress")).json()

    assert response.status == 200
    assert (await response.json())["is_chosen"] is True
    assert counted(database) == [("allow-list", ["*.example.com:443"], [], False)]
    assert server["deployment"]["number"] == 1
    assert trail["items"][0]["details"]["egress"]["after"]["hosts"] == [
        "*.example.com:443"
    ]
    assert (await (await admin.delete(PLACE)).json())["is_chosen"] is False
    assert counted(database)[0][1] == ["api.weather.example:443"]


async def test_what_was_denied_is_listed_proposed_and_allowed(
    admin: Client, database: Database
) -> None:
    await admin.post("/api/servers", json=WEATHER)
    deny(database, "tiles.weather.example", 8443, "tcp")
    deny(database, "8.8.8.8", 53, "udp")

    denied = await (await admin.get(f"{PLACE}/denied")).json()
    allowed = await (await admin.post(f"{PLACE}/allow", json={})).json()
    again = await (await admin.get(f"{PLACE}/denied")).json()

    assert {item["destination"] for item in denied["items"]} == {
        "tiles.weather.example",
        "8.8.8.8",
    }
    assert denied["proposed"] == ["tiles.weather.example:8443"]
    assert allowed["hosts"] == ["api.weather.example:443", "tiles.weather.example:8443"]
    assert again["proposed"] == []
    assert (await admin.delete(f"{PLACE}/denied")).status == 204
    assert (await (await admin.get(f"{PLACE}/denied")).json())["items"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"hosts": ["no-port.example"]}, 422),
        ({"hosts": ["x.example:0"]}, 422),
        ({"mode": "wide-open"}, 422),
        ({"hosts": ["a.example:1"], "private": ["b.example:1"]}, 422),
    ],
)
async def test_what_is_wrong_is_told(
    admin: Client, body: dict[str, Any], status: int
) -> None:
    await admin.post("/api/servers", json=WEATHER)

    assert (await admin.put(PLACE, json=body)).status == status


async def test_only_administrators_let_a_server_into_the_private_network(
    hub: Hub,
) -> None:
    await hub.person("admin@example.org")
    maintainer = await hub.client(await hub.person("m@example.org", Role.MEMBER))
    await maintainer.post("/api/servers", json=WEATHER)
    private = {"hosts": ["10.0.0.5:5432"], "private": ["10.0.0.5:5432"]}

    refused = await maintainer.put(PLACE, json=private)
    by_config = await maintainer.post(
        "/api/servers", json={**WEATHER, "name": "other", "egress": private}
    )

    assert (refused.status, by_config.status) == (403, 403)
    assert (
        await maintainer.put(PLACE, json={"hosts": ["10.0.0.5:5432"]})
    ).status == 200


@pytest.fixture
async def site(database: Database) -> AsyncIterator[pages.Hub]:
    async with pages.hub(database) as running:
        await running.host(await running.sign_in(), "time")
        yield running


async def test_the_page_shows_what_was_denied_and_allows_it(
    site: pages.Hub, database: Database
) -> None:
    deny(database, "api.time.example", 0, "dns")

    shown = await site.page("/servers/time/egress")
    response = await site.post(
        "/servers/time/egress/allow", host="api.time.example:443"
    )
    after = await site.page("/servers/time/egress")

    assert "It asked for 1 host that it may not reach." in shown
    assert "Not enforced." in shown
    assert response.status == 303
    assert ">api.time.example:443</textarea>" in after
    assert "It asked for" not in after


async def test_the_form_keeps_what_was_typed_and_says_what_is_wrong(
    site: pages.Hub,
) -> None:
    refused = await site.post(
        "/servers/time/egress", egress_mode="allow-list", egress_hosts="example.com"
    )
    text = await refused.text()
    saved = await site.post(
        "/servers/time/egress",
        egress_mode="allow-list",
        egress_hosts="10.0.0.5:5432 private\n*.example.com:443",
        egress_learn="yes",
    )

    assert refused.status == 422
    assert 'id="field-egress_hosts-problem"' in text
    assert ">example.com</textarea>" in text
    assert saved.status == 303
    assert "10.0.0.5:5432 private" in await site.page("/servers/time/egress")


async def test_a_new_servers_form_says_what_a_known_server_needs(
    site: pages.Hub,
) -> None:
    fetch = await site.page("/servers/new?catalog=fetch")
    memory = await site.page("/servers/new?catalog=memory")

    assert "It needs the open internet" in fetch
    assert '<option value="open" selected' in fetch
    assert "It works without the network" in memory


async def test_mcpctl_shows_changes_and_allows(
    hub: Hub, tmp_path: Any, database: Database
) -> None:
    terminal = Terminal(hub, tmp_path)
    terminal.show_key(await hub.person("admin@example.org"))
    await terminal.run(
        "servers", "create", "clock", "--package", "pypi:mcp-server-time"
    )
    deny(database, "a.example", 8443, "tcp")

    listed = await terminal.run("egress", "denied", "clock")
    allowed = await terminal.run("egress", "allow", "clock", "--proposed")
    learns = await terminal.run("egress", "learn", "clock", "on")
    opened = await terminal.run("egress", "set", "clock", "--mode", "open", "--json")
    reset = await terminal.run("egress", "set", "clock", "--default")

    assert "a.example:8443" in listed.out
    assert "mcpctl egress allow clock --proposed" in listed.out
    assert (allowed.code, learns.code, reset.code) == (0, 0, 0)
    assert opened.json()["mode"] == "open"
    assert opened.json()["learn"] is True
    assert opened.json()["hosts"] == ["a.example:8443"]
    assert "nobody chose" in reset.out
