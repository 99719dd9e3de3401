"""Invocations over real HTTP, in the API, on the pages and with mcpctl: what is shown, and to whom."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.accounts.model import Role
from appliance.infra.database import Database
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal
from tests.harness.invocations import add_calls
from tests.harness.pages import Hub as Site
from tests.harness.pages import hub as site_of

Client = TestClient[Any, Any]
CLOCK = {"name": "clock", "package": "pypi:mcp-server-time"}


async def made(client: Client, **fields: Any) -> int:
    response = await client.post("/api/servers", json={**CLOCK, **fields})
    assert response.status == 201, await response.text()
    return int((await response.json())["server"]["id"])


async def ok(client: Client, path: str) -> Any:
    response = await client.get(path)
    assert response.status == 200, await response.text()
    return await response.json()


# -- the API


async def test_calls_are_listed_newest_first_in_pages(
    admin: Client, database: Database
) -> None:
    server = await made(admin)
    ids = await add_calls(database, 5, server_id=server)

    first = await ok(admin, "/api/servers/clock/invocations?limit=3")
    rest = await ok(
        admin,
        f"/api/servers/clock/invocations?limit=3&cursor={first['next_cursor']}",
    )

    assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None
    assert first["items"][0] | {"id": 0, "started_at": ""} == {
        "id": 0,
        "started_at": "",
        "duration_ms": 1.0,
        "server_id": server,
        "bundle_id": None,
        "deployment_id": None,
        "principal": "hub",
        "caller": "the hub",
        "method": "tools/call",
        "target": "echo",
        "http_status": 200,
        "outcome": "ok",
        "error_class": "",
        "rpc_code": None,
        "request_bytes": 20,
        "response_bytes": 30,
        "traceparent": "",
    }


async def test_one_call_is_shown_in_full(admin: Client, database: Database) -> None:
    server = await made(admin)
    (one,) = await add_calls(database, 1, server_id=server, principal="user:1")

    found = await ok(admin, f"/api/servers/clock/invocations/{one}")

    assert (found["request"], found["response"]) == ('{"ask":1}', '{"answer":2}')
    assert found["caller"].endswith("@example.org")


async def test_calls_are_summed_up(admin: Client, database: Database) -> None:
    server = await made(admin)
    await add_calls(database, 3, server_id=server)
    await add_calls(database, 1, server_id=server, error_class="tool_error")

    found = await ok(admin, "/api/servers/clock/invocations/summary?hours=1")

    assert found["total"]["calls"] == 4
    assert found["total"]["error_rate"] == 0.25
    assert [item["target"] for item in found["tools"]] == ["echo"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("cursor=nonsense", "cursor"),
        ("cursor=1-99999999999999999999", "cursor"),
        ("cursor=99999999999999999999-1", "cursor"),
        ("since=yesterday", "since"),
        ("since=2026-01-01T00:00:00", "since"),
        ("status=9", "status"),
        ("outcome=perhaps", "outcome"),
        ("limit=0", "limit"),
        ("colour=red", "colour"),
    ],
)
async def test_a_question_that_makes_no_sense_names_the_field(
    admin: Client, query: str, field: str
) -> None:
    await made(admin)

    response = await admin.get(f"/api/servers/clock/invocations?{query}")
    problem = await response.json()

    assert response.status == 422, problem
    assert [item["field"] for item in problem["errors"]] == [field]


async def test_nobody_sees_calls_of_a_server_that_they_may_not_see(
    hub: Hub, admin: Client, database: Database
) -> None:
    server = await made(admin)
    (one,) = await add_calls(database, 1, server_id=server)
    stranger = await hub.client(await hub.person("stranger@example.org"))
    reader = await hub.client(await hub.person("reader@example.org", Role.READER))
    paths = [
        f"/api/servers/clock/invocations{tail}" for tail in ("", "/summary", f"/{one}")
    ]

    assert [(await stranger.get(path)).status for path in paths] == [404, 404, 404]
    assert [(await reader.get(path)).status for path in paths] == [200, 200, 200]


async def test_a_call_of_another_server_is_not_found_by_its_number(
    hub: Hub, admin: Client, database: Database
) -> None:
    server = await made(admin)
    (one,) = await add_calls(database, 1, server_id=server)
    other = await hub.client(await hub.person("other@example.org"))
    await made(other, name="own")

    for number in (one, 2**62, "x"):
        response = await other.get(f"/api/servers/own/invocations/{number}")
        assert response.status == 404
        assert (await response.json())["code"] == "invocation_not_found"


async def test_calls_of_a_server_that_is_gone_are_nobodys(
    admin: Client, database: Database
) -> None:
    (one,) = await add_calls(database, 1, server_id=4711)

    assert (await admin.get("/api/servers/4711/invocations")).status == 404
    assert (await admin.get(f"/api/servers/4711/invocations/{one}")).status == 404


async def test_a_server_says_what_its_traces_keep_and_its_clients_may_ask(
    admin: Client,
) -> None:
    limits = {"calls_per_second": 5.0, "timeout_s": 30.0}
    await made(admin, trace_bodies=False, limits=limits)

    config = (await ok(admin, "/api/servers/clock"))["config"]

    assert (config["trace_bodies"], config["limits"]) == (False, limits)


async def test_a_limit_out_of_bounds_is_named(admin: Client) -> None:
    response = await admin.post(
        "/api/servers", json={**CLOCK, "limits": {"concurrency": 0}}
    )

    assert response.status == 422
    assert "limits.concurrency" in await response.text()


# -- mcpctl


async def test_mcpctl_lists_shows_and_sums_up(
    hub: Hub, admin: Client, database: Database, tmp_path: Path
) -> None:
    server = await made(admin)
    (one,) = await add_calls(
        database, 1, server_id=server, error_class="tool_error", response="\x1b[2J{"
    )
    terminal = Terminal(hub, tmp_path)
    terminal.show_key(await hub.person("boss@example.org", Role.ADMIN))

    listed = await terminal.run("invocations", "list", "clock", "--outcome", "error")
    shown = await terminal.run("invocations", "show", "clock", str(one))
    summed = await terminal.run("invocations", "summary", "clock", "--json")

    assert listed.code == 0, listed.err
    assert "echo" in listed.out
    assert "tool_error" in listed.out
    assert '"ask": 1' in shown.out
    assert "\x1b" not in shown.out
    assert json.loads(summed.out)["total"]["errors"] == 1


# -- pages


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    async with site_of(database) as running:
        yield running


async def test_the_page_shows_figures_and_calls(site: Site, database: Database) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    ids = await add_calls(
        database, 2, server_id=view.server.id, target="<b>now</b>", principal="user:1"
    )

    text = await site.page("/servers/time/invocations")

    assert "&lt;b&gt;now&lt;/b&gt;" in text
    assert "<b>now" not in text
    assert "ada@example.org" in text
    assert "p99" in text
    assert f'href="/servers/time/invocations/{ids[0]}"' in text
    assert 'action="/servers/time/invocations"' in text
    assert 'hx-trigger="every 5s"' in text


async def test_the_page_says_so_when_there_is_nothing(site: Site) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")

    assert "No calls yet" in await site.page("/servers/time/invocations")
    assert "No call matches" in await site.page("/servers/time/invocations?q=nothing")
    assert "No calls yet" in await site.page("/servers/time/invocations?cursor=broken")


async def test_a_change_of_the_filter_gets_the_calls_alone(
    site: Site, database: Database
) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    await add_calls(database, 1, server_id=view.server.id)
    await add_calls(database, 1, server_id=view.server.id, target="other")

    response = await site.get(
        "/servers/time/invocations?q=ECH", **{"HX-Request": "true"}
    )
    text = await response.text()

    assert response.headers["HX-Replace-Url"] == "/servers/time/invocations?q=ECH"
    assert text.lstrip().startswith('<div id="results"')
    calls = text[text.index('id="calls"') :]
    assert "echo" in calls
    assert "other" not in calls


async def test_a_link_narrows_the_list_and_another_widens_it(
    site: Site, database: Database
) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    await add_calls(database, 1, server_id=view.server.id, principal="user:1")
    await add_calls(database, 1, server_id=view.server.id, target="other")

    wide = await site.page("/servers/time/invocations?hours=1")
    narrow = await site.page("/servers/time/invocations?hours=1&principal=user%3A1")

    assert 'href="/servers/time/invocations?hours=1&amp;principal=user%3A1"' in wide
    assert 'href="/servers/time/invocations?hours=1&amp;tool=echo"' in wide
    assert 'type="hidden" name="principal" value="user:1"' in narrow
    assert 'href="/servers/time/invocations?hours=1">Show others too' in narrow
    calls = narrow[narrow.index('id="calls"') :]
    assert "echo" in calls
    assert "other<" not in calls


async def test_the_page_tells_when_nothing_is_recorded(database: Database) -> None:
    async with site_of(database, gw_traces=False) as site:
        principal = await site.sign_in()
        await site.host(principal, "time")

        assert "GW_TRACES is off" in await site.page("/servers/time/invocations")


async def test_pages_of_calls_follow_each_other(site: Site, database: Database) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    ids = await add_calls(database, 51, server_id=view.server.id)

    first = await site.page("/servers/time/invocations")
    address = first.split('class="button quiet small next"')[1].split('"')[1]
    second = await site.page(address.replace("&amp;", "&"))

    assert f'id="call-{ids[0]}"' not in first
    assert f'id="call-{ids[0]}"' in second
    assert 'hx-trigger="every 5s"' not in second.split('id="results"')[1]


async def test_one_call_is_shown_with_both_sides(
    site: Site, database: Database
) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    (one,) = await add_calls(
        database,
        1,
        server_id=view.server.id,
        response='{"cut": "</code><script>',
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )

    text = await site.page(f"/servers/time/invocations/{one}")

    assert "&#34;ask&#34;: 1" in text
    assert "&lt;script&gt;" in text
    assert "0af7651916cd43dd8448eb211c80319c" in text
    missing = await site.get("/servers/time/invocations/999")
    assert missing.status == 404


async def test_calls_leave_as_lines_of_json(site: Site, database: Database) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    ids = await add_calls(database, 201, server_id=view.server.id)

    response = await site.get("/servers/time/invocations.jsonl?q=echo")
    lines = (await response.text()).splitlines()

    assert [json.loads(line)["id"] for line in lines] == ids[::-1]
    assert json.loads(lines[0])["request"] == '{"ask":1}'
    assert "time-invocations.jsonl" in response.headers["Content-Disposition"]
