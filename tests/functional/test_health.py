"""A server's health as people and programs meet it: over REST, with mcpctl and on its page."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from appliance.accounts.model import Role
from appliance.infra.database import Database
from appliance.runtimes.model import Transport
from appliance.servers import store
from appliance.servers.health import store as health_store
from appliance.servers.model import InstanceRecord, Status
from appliance.web.app import make_app
from tests.functional.hub import Hub, services_for, settings_for
from tests.functional.test_mcpctl import Terminal
from tests.functional.test_pages_servers import live, until
from tests.harness.pages import Hub as Site
from tests.harness.pages import hub as site_of

Client = TestClient[Any, Any]
HEALTH = "/api/servers/clock/health"


@dataclass
class Mood:
    """Whether the server behind the gateway does what it is asked."""

    is_well: bool = True

    async def answer(self, request: web.Request) -> web.Response:
        """Answer as the gateway, with a server behind it whose tool may fail."""
        message = await request.json()
        result: dict[str, Any] = {"capabilities": {"tools": {}}, "tools": []}
        if message["method"] == "tools/call" and not self.is_well:
            text = [{"type": "text", "text": "Bearer abcdefghijklmnop: no such zone"}]
            result = {"isError": True, "content": text}
        return web.json_response(
            {"jsonrpc": "2.0", "id": message["id"], "result": result}
        )


@dataclass
class Box:
    """A hub with one server that runs."""

    hub: Hub
    admin: Client
    key: str
    mood: Mood
    server_id: int

    async def get(self, path: str, client: Client | None = None) -> Any:
        response = await (client or self.admin).get(path)
        assert response.status == 200, await response.text()
        return await response.json()


@pytest.fixture
async def box(database: Database, tmp_path: Path) -> AsyncIterator[Box]:
    mood = Mood()
    app = web.Application()
    app.router.add_post("/servers/{name}/mcp", mood.answer)
    async with TestServer(app) as gateway, aiohttp.ClientSession() as session:
        settings = await asyncio.to_thread(settings_for, data_dir=tmp_path / "data")
        url = str(gateway.make_url("")).rstrip("/")
        services = await asyncio.to_thread(
            services_for, database, session, settings, gateway_url=url
        )
        server = TestServer(make_app(services))
        await server.start_server()
        hub = Hub(database, services, server)
        key = await hub.person("admin@example.org")
        client = await hub.client(key)
        made = await client.post(
            "/api/servers", json={"name": "clock", "package": "pypi:x"}
        )
        server_id = (await made.json())["server"]["id"]
        await database.run(run, server_id)
        yield Box(hub, client, key, mood, server_id)
        await hub.close()


def run(server_id: int) -> None:
    """Make a server one that runs, as the reconciler would."""
    deployment = store.deployment_in(server_id)
    assert deployment
    record = InstanceRecord(
        deployment.id, "remote", "mcp-clock", "", Transport.STDIO, ""
    )
    store.record_instance(server_id, record, started_at=None)
    store.route_to(server_id, deployment.id)
    store.set_status(server_id, Status.RUNNING)


# -- REST


async def test_a_check_shows_the_failing_answer_and_hides_what_looks_secret(
    box: Box,
) -> None:
    policy = {"canary": {"tool": "now", "arguments": {"zone": "UTC"}}}
    put = await box.admin.put(HEALTH, json=policy)
    box.mood.is_well = False

    checked = await (await box.admin.post("/api/servers/clock/check")).json()

    assert put.status == 200
    assert (checked["state"], checked["failures"]) == ("failing", 1)
    assert "no such zone" in checked["answer"]
    assert "abcdefghijklmnop" not in json.dumps(checked)
    steps = {step["name"]: step["result"] for step in checked["steps"]}
    assert steps == {
        "alive": "skipped",
        "open": "passed",
        "tools/list": "passed",
        "canary": "failed",
        "calls": "skipped",
    }
    assert (await box.get(HEALTH))["answer"] == checked["answer"]


async def test_what_was_well_is_said_with_when_it_is_asked_next(box: Box) -> None:
    checked = await (await box.admin.post("/api/servers/clock/check")).json()

    assert checked["state"] == "ready"
    assert (checked["status"], checked["liveness"]) == ("running", "remote")
    assert checked["next_check_at"] > checked["checked_at"]
    assert checked["uptime"]["share"] == 1.0


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"interval_s": 0.1}, "interval_s"),
        ({"interval_s": 5, "timeout_s": 6}, "timeout_s"),
        ({"failures": 0}, "failures"),
        ({"canary": {"tool": ""}}, "canary.tool"),
    ],
)
async def test_a_bad_policy_is_refused_by_its_field(
    box: Box, policy: dict[str, Any], field: str
) -> None:
    response = await box.admin.put(HEALTH, json=policy)

    problem = await response.json()
    assert response.status == 422
    assert [item["field"] for item in problem["errors"]] == [field]


async def test_a_policy_holds_at_once_and_without_a_redeploy(box: Box) -> None:
    before = await box.get("/api/servers/clock/deployments")

    await box.admin.put(HEALTH, json={"interval_s": 3600, "timeout_s": 10})

    after = await box.get("/api/servers/clock/deployments")
    assert len(after["items"]) == len(before["items"])
    assert (await box.get(HEALTH))["policy"]["interval_s"] == 3600


async def test_history_is_paged_and_tells_from_and_to(box: Box) -> None:
    for reason in ("one", "two", "three"):
        await box.hub.database.run(
            store.set_status, box.server_id, Status.DEGRADED, reason
        )
    place = "/api/servers/clock/status-history"

    first = await box.get(f"{place}?limit=2")
    rest = await box.get(f"{place}?cursor={first['next_cursor']}")

    found = [(item["from"], item["to"], item["reason"]) for item in first["items"]]
    assert found == [("degraded", "degraded", "three"), ("degraded", "degraded", "two")]
    assert rest["items"][0]["from"] == "running"
    assert rest["items"][-1]["from"] is None
    assert rest["next_cursor"] is None


async def test_readers_see_and_do_not_ask_and_strangers_learn_nothing(box: Box) -> None:
    reader = await box.hub.client(
        await box.hub.person("reader@example.org", Role.READER)
    )
    other = await box.hub.client(await box.hub.person("other@example.org"))

    seen = await reader.get(HEALTH)
    asked = [
        (await reader.post("/api/servers/clock/check")).status,
        (await reader.put(HEALTH, json={})).status,
        (await other.get(HEALTH)).status,
        (await other.get("/api/servers/clock/status-history")).status,
        (await other.post("/api/servers/clock/check")).status,
    ]

    assert seen.status == 200
    assert asked == [403, 403, 404, 404, 404]


async def test_nothing_that_runs_is_nothing_to_check(box: Box) -> None:
    await box.hub.database.run(store.forget_instances, box.server_id)

    response = await box.admin.post("/api/servers/clock/check")

    assert response.status == 409
    assert (await response.json())["code"] == "nothing_to_check"


async def test_saving_a_configuration_over_rest_sets_the_policy(box: Box) -> None:
    body = {"health": {"interval_s": 60, "canary": {"tool": "now"}}}

    await box.admin.put("/api/servers/clock/config", json=body)

    policy = (await box.get(HEALTH))["policy"]
    assert (policy["interval_s"], policy["canary"]["tool"]) == (60, "now")


# -- mcpctl


async def test_mcpctl_sets_checks_and_tells(box: Box, tmp_path: Path) -> None:
    terminal = Terminal(box.hub, tmp_path)
    terminal.show_key(box.key)
    box.mood.is_well = False

    changed = await terminal.run(
        "servers", "set-health", "clock", "--canary", "now", "--interval", "60"
    )
    checked = await terminal.run("servers", "check", "clock")
    history = await terminal.run("servers", "status-history", "clock")

    assert changed.code == 0, changed.err
    assert "within 60 s" in changed.out
    assert checked.code == 1
    assert "no such zone" in checked.out
    assert "running" in history.out


# -- the page


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    async with site_of(database) as running:
        yield running


async def test_the_page_says_what_is_known_and_what_is_not(site: Site) -> None:
    view = await site.host(await site.sign_in(), "clock")
    before = await site.page("/servers/clock/health")
    await site.run("clock")
    await site.database.run(
        health_store.note_change,
        view.server.id,
        before="running",
        after="degraded",
        reason="<b>why</b>",
        deployment_id=None,
    )

    after = await site.page("/servers/clock/health")

    assert "Nothing of it runs that could be asked." in before
    assert "has not been asked yet" in after
    assert "&lt;b&gt;why&lt;/b&gt;" in after
    assert after.count('title="Not there yet"') > 90


async def test_the_form_keeps_what_was_typed_and_names_what_is_wrong(
    site: Site,
) -> None:
    await site.host(await site.sign_in(), "clock")

    refused = await site.post(
        "/servers/clock/health",
        interval_s="soon",
        canary_tool="now",
        canary_arguments="[1]",
    )
    saved = await site.post(
        "/servers/clock/health", canary_tool="now", canary_arguments='{"zone": "UTC"}'
    )

    text = await refused.text()
    assert refused.status == 422
    assert 'value="soon"' in text
    assert "give a JSON object" in text
    assert saved.status == 303
    assert "zone" in await site.page("/servers/clock/health")


async def test_a_check_of_what_does_not_run_says_so_on_the_page(site: Site) -> None:
    await site.host(await site.sign_in(), "clock")

    response = await site.post("/servers/clock/check")

    assert response.status == 409
    assert "Nothing of clock runs now." in await response.text()


async def test_the_page_follows_what_changes(site: Site) -> None:
    await site.host(await site.sign_in(), "clock")

    async with live(site, "/live/servers/clock/health") as events:
        await until(events, "Nothing of it runs")
        await site.set_status("clock", Status.ERROR, "It broke.")
        told = await until(events, "It broke.")

    assert 'hx-target="#health-now"' in told
