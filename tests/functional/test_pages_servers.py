"""Servers on the pages: list, form, tabs, actions, live regions."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from appliance.accounts.model import Role
from appliance.builds import store as builds
from appliance.builds.board import Board
from appliance.builds.model import BuildLine, BuildRequest, BuildState
from appliance.builds.progress import PlainProgress
from appliance.core import labels
from appliance.infra.database import Database
from appliance.servers import store
from appliance.servers.model import DesiredState, Status
from appliance.servers.pinning.policy import PinningMode
from appliance.web import server_form
from tests.engine import docker
from tests.fakes.mcp_box import IMAGE, ensure_image
from tests.harness.pages import OWNER, Hub, hub


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Hub]:
    async with hub(database) as running:
        yield running


# -- the list


async def test_the_list_shows_status_in_words_and_where_a_server_comes_from(
    site: Hub,
) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")
    await site.run("time")

    text = await site.page("/servers")

    assert "Running" in text
    assert "pypi:mcp-server-time" in text


async def test_the_filter_is_in_the_address(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")
    await site.host(principal, "fetch")
    await site.run("time")

    assert "fetch" not in await site.page("/servers?status=running")
    assert ">time</a>" not in await site.page("/servers?q=fet")
    assert "No server matches" in await site.page("/servers?q=nothing")
    assert ">time</a>" in await site.page("/servers?status=nonsense")


async def test_a_change_of_the_filter_gets_the_list_alone_and_the_new_address(
    site: Hub,
) -> None:
    await site.sign_in()

    response = await site.get("/servers?q=time", **{"HX-Request": "true"})
    text = await response.text()

    assert response.headers["HX-Replace-Url"] == "/servers?q=time"
    assert text.lstrip().startswith('<div id="server-list"')
    assert "<html" not in text


async def test_pages_of_the_list_follow_each_other_without_gap(
    site: Hub,
) -> None:
    principal = await site.sign_in()
    for number in range(51):
        await site.host(principal, f"server-{number:02}")

    first = await site.page("/servers")
    second = await site.page("/servers?after=server-49")

    assert 'href="/servers?after=server-49"' in first
    assert ">server-50</a>" in second
    assert 'href="/servers"' in second


async def test_the_overview_counts_sessions_with_containers_of_their_own(
    site: Hub,
) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    await asyncio.to_thread(ensure_image)
    marks = {
        labels.OWNER: OWNER,
        labels.SERVER: str(view.server.id),
        labels.INSTANCE: "mcp-time-1",
        labels.SESSION: "5e55105e55105e55",
    }
    options = [f"--label={name}={value}" for name, value in marks.items()]

    made = await asyncio.to_thread(docker, "create", *options, IMAGE, "true")

    try:
        assert "1 with a container of its own" in await site.page("/servers/time")
    finally:
        await asyncio.to_thread(docker, "rm", made)


async def test_a_maintainer_sees_own_servers_only(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "secret")
    await site.sign_in("ben@example.org", Role.MEMBER)

    assert "secret" not in await site.page("/servers")
    for tab in (
        "",
        "/tools",
        "/build",
        "/logs",
        "/invocations",
        "/connect",
        "/deployments",
        "/config",
    ):
        assert (await site.get(f"/servers/secret{tab}")).status == 404
    for tab in ("overview", "build", "logs"):
        assert (await site.get(f"/live/servers/secret/{tab}")).status == 404


async def test_a_reader_sees_servers_and_no_way_to_change_them(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")
    await site.run("time")
    await site.sign_in("rea@example.org", Role.READER)

    assert "Redeploy" not in await site.page("/servers/time")
    assert (await site.post("/servers/time/stop")).status == 403


# -- a new server


async def test_creating_shows_the_key_once_with_snippets(site: Hub) -> None:
    await site.sign_in()

    response = await site.post(
        "/servers/new", kind="package", package="pypi:mcp-server-time", name="time"
    )
    text = await response.text()

    assert response.status == 200
    assert text.count("mcps_") > 3
    assert "http://gateway.example.org:4444/servers/time/mcp" in text
    assert "mcps_" in await site.page("/servers/time")
    assert "Bearer YOUR_KEY" in await site.page("/servers/time/connect")


async def test_a_name_is_taken_from_the_source(site: Hub) -> None:
    await site.sign_in()

    await site.post(
        "/servers/new",
        kind="package",
        package="npm:@modelcontextprotocol/server-everything",
    )

    assert "modelcontextprotocol-server-everything" in await site.page("/servers")


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"kind": "package", "package": ""}, "package"),
        ({"kind": "package", "package": "cargo:x"}, "package"),
        ({"kind": "git", "repo_url": "file:///etc"}, "repo_url"),
        ({"kind": "image", "image": "UPPER CASE"}, "image"),
        ({"kind": "remote", "remote_url": "ftp://example.org/mcp"}, "remote_url"),
        ({"kind": "package", "package": "pypi:x", "name": "Not A Name"}, "name"),
        (
            {"kind": "package", "package": "pypi:x", "environment": "NOVALUE"},
            "environment",
        ),
        ({"kind": "package", "package": "pypi:x", "environment": "1=x"}, "environment"),
        ({"kind": "package", "package": "pypi:x", "cpu_limit": "many"}, "cpu_limit"),
        (
            {"kind": "package", "package": "pypi:x", "memory_limit": "1k"},
            "memory_limit",
        ),
        ({"kind": "package", "package": "pypi:x", "port": "99999"}, "port"),
    ],
)
async def test_a_wrong_field_is_told_beside_its_control_and_nothing_typed_is_lost(
    site: Hub, form: dict[str, str], field: str
) -> None:
    await site.sign_in()

    response = await site.post("/servers/new", **{"arguments": "--kept", **form})
    text = await response.text()

    assert response.status == 422
    assert f'id="field-{field}-problem"' in text
    assert "--kept" in text
    assert "Host your first server" in await site.page("/servers")


async def test_a_name_that_is_taken_is_told(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")

    response = await site.post(
        "/servers/new", kind="package", package="pypi:x", name="time"
    )

    assert response.status == 409
    assert "exists already" in await response.text()


async def test_what_people_name_and_servers_say_is_escaped(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")
    hostile = "<script>alert(1)</script>"
    tool = {
        "name": "x",
        "description": hostile,
        "inputSchema": {"properties": {hostile: {"description": hostile}}},
    }
    await site.run("time", {"serverInfo": {"name": hostile}, "tools": [tool]})
    await site.set_status("time", Status.DEGRADED, hostile)

    for tab in ("", "/tools"):
        text = await site.page(f"/servers/time{tab}")
        assert hostile not in text
        assert "&lt;script&gt;" in text


async def test_a_server_named_new_has_a_page(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "new")

    assert f'href="/servers/{view.server.id}"' in await site.page("/servers")
    assert "<h1>new</h1>" in await site.page(f"/servers/{view.server.id}")


# -- one server


async def test_an_error_says_why_and_what_next(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")
    await site.set_status(
        "time", Status.ERROR, "PyPI has no package named x. Check the name."
    )

    text = await site.page("/servers/time")

    assert "PyPI has no package named x. Check the name." in text
    assert "What next:" in text
    assert 'action="/servers/time/start"' in text


async def test_actions_write_what_is_wanted(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")

    stopped = await site.post("/servers/time/stop")
    wanted = (await site.services.servers.get(principal, "time")).server.desired_state
    redeployed = await site.post("/servers/time/redeploy")

    assert (stopped.status, wanted) == (303, DesiredState.STOPPED)
    assert redeployed.headers["Location"] == "/servers/time/build"
    assert (
        await site.services.servers.get(principal, "time")
    ).server.desired_state is DesiredState.RUNNING


async def test_deleting_names_the_server_first_and_then_wants_it_gone(
    site: Hub,
) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")

    assert "Delete time?" in await site.page("/servers/time")
    await site.post("/servers/time/delete")

    assert (
        await site.services.servers.get(principal, "time")
    ).server.desired_state is DesiredState.DELETED
    assert "Redeploy" not in await site.page("/servers/time")


async def test_a_new_key_is_shown_once(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")

    text = await (await site.post("/servers/time/key")).text()

    assert "Bearer mcps_" in text
    assert "Bearer YOUR_KEY" in await site.page("/servers/time/connect")


async def test_the_configuration_is_changed_and_the_server_redeployed(
    site: Hub,
) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")
    form = {
        "arguments": "--a\n--b=c d",
        "environment": "A=1\nB=x=y",
        "cpu_limit": "0.5",
        "memory_limit": "1g",
    }

    response = await site.post("/servers/time/config", **form)
    view = await site.services.servers.get(principal, "time")

    assert response.status == 303
    assert view.server.config.arguments == ("--a", "--b=c d")
    assert view.server.config.environment == {"A": "1", "B": "x=y"}
    assert (view.server.config.cpu_limit, view.server.config.memory_limit_bytes) == (
        0.5,
        1024**3,
    )
    assert view.newest
    assert view.newest.number == 2


async def test_listing_a_server_and_holding_back_its_tools_redeploys_nothing(
    site: Hub,
) -> None:
    principal = await site.sign_in()
    before = await site.host(principal, "time")
    changes = {"listed": "yes", "pinning": "quarantine"}
    form = server_form.config_values(before.server.config) | changes
    del form[
        "path"
    ]  # whose name the helper below has for itself; without it, it stays the default

    response = await site.post("/servers/time/config", **form)
    view = await site.services.servers.get(principal, "time")

    assert response.headers["Location"] == "/servers/time/config"
    assert view.server.config.listed
    assert view.server.config.pinning is PinningMode.QUARANTINE
    assert view.newest == before.newest


async def test_a_wrong_configuration_changes_nothing(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")

    response = await site.post(
        "/servers/time/config", cpu_limit="-1", arguments="--typed"
    )
    text = await response.text()

    assert response.status == 422
    assert "--typed" in text
    assert (
        await site.services.servers.get(principal, "time")
    ).server.config.arguments == ()


# -- tools


async def test_a_tool_is_a_form_made_of_its_schema(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")
    await site.run("time")

    text = await site.page("/servers/time/tools")

    assert "Call get_current_time" in text
    assert 'name="a.timezone"' in text
    assert "IANA name" in text


async def test_a_call_with_a_missing_argument_names_it(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")
    await site.run("time")

    response = await site.post("/servers/time/call", tool="get_current_time")

    assert "timezone" in await response.text()


async def test_a_call_that_cannot_be_made_says_why_in_place(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")
    await site.run("time")

    response = await site.client.post(
        "/servers/time/call",
        data={"csrf_token": site.csrf, "tool": "get_current_time", "a.timezone": "UTC"},
        headers={"HX-Request": "true"},
    )
    text = await response.text()

    assert response.status == 200
    assert 'role="alert"' in text
    assert "<html" not in text


# -- live regions


@asynccontextmanager
async def live(
    site: Hub, path: str, *, after: str = ""
) -> AsyncIterator[AsyncIterator[tuple[str, str]]]:
    """Follow a stream as ``(event, data)``."""
    async with site.client.get(path, headers={"Last-Event-ID": after}) as response:
        assert response.status == 200

        async def events() -> AsyncIterator[tuple[str, str]]:
            name, lines = "", []
            async for raw in response.content:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data:"):
                    lines.append(line.removeprefix("data: "))
                elif not line and lines:
                    yield name, "\n".join(lines)
                    name, lines = "", []

        yield events()


async def until(events: AsyncIterator[tuple[str, str]], wanted: str) -> str:
    """Return the first event whose data hold ``wanted``."""
    async with asyncio.timeout(10):
        async for _, data in events:
            if wanted in data:
                return data
    raise AssertionError("the stream ended")


async def test_a_servers_page_tells_what_is_and_then_what_changes(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")

    async with live(site, "/live/servers/time/overview") as events:
        first = await until(events, "Queued")
        await site.set_status("time", Status.ERROR, "It broke.")
        second = await until(events, "It broke.")

    assert 'hx-target="#server-head"' in first
    assert 'hx-target="#overview"' in second
    # What is drawn is not touched: the browser asks for it.
    assert "data-charts" not in second
    assert f'data-charts="/api/servers/{view.server.id}/' in await site.page(
        "/servers/time"
    )


async def test_a_deployments_page_follows_what_becomes_of_it(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    assert view.newest
    place = "/live/servers/time/deployment?number=1"

    page = await site.page("/servers/time/deployments/1")
    async with live(site, place) as events:
        await until(events, "This page follows by itself.")
        await site.services.deployments.cancel(principal, "time", 1)
        last = await until(events, "cancelled it.")

    assert f'hx-sse:connect="{place}"' in page
    assert "This page follows by itself." not in last


async def test_the_list_shows_servers_that_come_change_and_go(site: Hub) -> None:
    principal = await site.sign_in()

    async with live(site, "/live/servers") as events:
        await until(events, "Host your first server")
        view = await site.host(principal, "time")
        await until(events, ">time</a>")
        await site.set_status("time", Status.BUILDING)
        await until(events, "Building")
        await site.database.run(store.destroy, view.server.id)
        await until(events, "Host your first server")


async def test_a_stream_ends_with_its_server(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")

    async with live(site, "/live/servers/time/overview") as events:
        await until(events, "Queued")
        await site.database.run(store.destroy, view.server.id)
        async with asyncio.timeout(10):
            names = [name async for name, _ in events]

    assert names[-1] == "gone"


async def test_a_builds_lines_come_once_and_in_order(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    assert view.newest
    request = BuildRequest(view.newest.id, view.server.id, "time", view.server.source)
    begun = await site.database.run(builds.begin, request)

    async def print_lines(first: int, last: int) -> None:
        lines = [
            BuildLine(number, f"line {number}") for number in range(first, last + 1)
        ]
        await site.database.run(builds.append, begun.view.id, view.server.id, lines)

    await print_lines(1, 3)
    seen: list[dict[str, Any]] = []
    async with live(site, "/live/servers/time/build") as events, asyncio.timeout(10):
        async for name, data in events:
            if name != "log":
                continue
            seen += json.loads(data)["lines"]
            if len(seen) == 3:
                await print_lines(4, 5)
            if len(seen) == 5:
                break

    assert [line["n"] for line in seen] == [1, 2, 3, 4, 5]


async def test_a_reader_who_comes_back_gets_the_lines_that_they_have_not_seen(
    site: Hub,
) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    assert view.newest
    request = BuildRequest(view.newest.id, view.server.id, "time", view.server.source)
    begun = await site.database.run(builds.begin, request)
    lines = [BuildLine(number, f"line {number}") for number in range(1, 5)]
    await site.database.run(builds.append, begun.view.id, view.server.id, lines)

    async with (
        live(site, "/live/servers/time/build", after=f"{begun.view.id}.2") as events,
        asyncio.timeout(10),
    ):
        data = await until(events, "line 4")

    assert json.loads(data) == {
        "reset": False,
        "lines": [{"n": 3, "text": "line 3"}, {"n": 4, "text": "line 4"}],
    }


@pytest.mark.parametrize(
    "after", ["nonsense", "1", "1.x", "9" * 40 + ".1", "2026-11-21T06:00:00", "²."]
)
@pytest.mark.parametrize("tab", ["build", "logs"])
async def test_a_strange_place_to_go_on_from_is_a_fresh_start(
    site: Hub, tab: str, after: str
) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")

    async with live(site, f"/live/servers/time/{tab}", after=after) as events:
        await until(events, "Queued")


async def test_a_whole_build_log_can_be_taken_away(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    assert view.newest
    request = BuildRequest(view.newest.id, view.server.id, "time", view.server.source)
    begun = await site.database.run(builds.begin, request)
    lines = [BuildLine(number, f"line {number}") for number in range(1, 5002)]
    await site.database.run(builds.append, begun.view.id, view.server.id, lines)

    response = await site.get("/servers/time/build.txt")
    text = await response.text()

    assert 'filename="time-build.txt"' in response.headers["Content-Disposition"]
    assert text.splitlines() == [line.text for line in lines]


async def test_the_head_of_a_build_follows_its_state(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    assert view.newest
    request = BuildRequest(view.newest.id, view.server.id, "time", view.server.source)
    begun = await site.database.run(builds.begin, request)

    async with live(site, "/live/servers/time/build") as events:
        await until(events, "<progress")
        await site.database.run(
            builds.end,
            begun.view,
            BuildState.FAILED,
            "No such package.",
        )
        await until(events, "No such package.")

    assert "No such package." in await site.page("/servers/time/build")


async def test_every_platform_of_a_build_shows_how_far_it_is(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    assert view.newest
    request = BuildRequest(view.newest.id, view.server.id, "time", view.server.source)
    begun = await site.database.run(builds.begin, request)
    board, progress = Board(("linux/amd64", "linux/arm64")), PlainProgress()

    async with live(site, "/live/servers/time/build") as events:
        await until(events, "<progress")
        board.building("linux/amd64")
        progress.feed("#4 [1/3] FROM base")
        progress.feed("#4 DONE 2.5s")
        progress.feed("#5 [2/3] RUN make <all>")
        board.progressed("linux/amd64", progress)
        await site.database.run(
            builds.append, begun.view.id, view.server.id, [], board.rows()
        )
        await until(events, "1 of 3")

    page = await site.page("/servers/time/build")
    for told in ("linux/arm64", "Waiting", "RUN make &lt;all&gt;", "2.5 s"):
        assert told in page
    answer = await (await site.get("/api/servers/time/builds/latest")).json()
    own, other = answer["platforms"]
    assert (own["state"], own["step"], own["steps"]) == ("building", 1, 3)
    assert own["log"][0] == {
        "name": "[1/3] FROM base",
        "state": "done",
        "seconds": 2.5,
    }
    assert (other["state"], other["started_at"]) == ("waiting", None)


@pytest.mark.parametrize("tab", ["overview", "build", "logs"])
async def test_a_stream_leaves_nothing_behind_when_its_reader_goes(
    site: Hub, tab: str
) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")

    async with live(site, f"/live/servers/time/{tab}") as events:
        await until(events, "Queued")
        assert site.services.events._subscriptions
    await site.set_status(
        "time", Status.ERROR, "It broke."
    )  # a write that finds nobody

    async with asyncio.timeout(10):
        while site.services.events._subscriptions:
            await asyncio.sleep(0.05)


async def test_an_unknown_tab_has_no_stream(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")

    assert (await site.get("/live/servers/time/nonsense")).status == 404


async def test_health_is_told_in_words(site: Hub) -> None:
    await site.sign_in()

    assert "Everything works." in await site.page("/health")
    assert "health-dot ok" in await site.page("/health/dot")


async def test_a_reader_is_offered_nothing_that_they_may_not_do(site: Hub) -> None:
    principal = await site.sign_in()
    await site.sign_in("rea@example.org", Role.READER)

    assert "No servers yet" in await site.page("/servers")
    assert "/servers/new" not in await site.page("/palette")
    await site.host(principal, "time")
    await site.run("time")
    assert "/servers/new" not in await site.page("/servers")
    assert "Call get_current_time" not in await site.page("/servers/time/tools")


async def test_a_stream_of_a_session_that_ended_says_so_to_its_reader(
    site: Hub,
) -> None:
    response = await site.get("/live/servers", **{"HX-Request": "true"})

    assert response.status == 401


async def test_a_stream_ends_after_a_while_so_that_its_reader_is_asked_for_again(
    site: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.sign_in()
    monkeypatch.setattr("appliance.web.pages.live.LASTS_S", 0.3)

    async with live(site, "/live/servers") as events, asyncio.timeout(10):
        seen = [data async for _, data in events]

    assert len(seen) == 1
