"""Bundles on the pages: make one, choose and rename its tools, order, connect, delete."""

from collections.abc import AsyncIterator

import pytest

from appliance.accounts.model import Principal, Role
from appliance.bundles.service import BundleView
from appliance.infra.database import Database
from tests.harness.pages import Hub, hub


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Hub]:
    async with hub(database) as running:
        yield running


async def make(site: Hub, *servers: str) -> Principal:
    """Sign in, host servers that run, and bundle them as ``all``."""
    principal = await site.sign_in()
    form = {"name": "all", "separator": "__"}
    for name in servers:
        view = await site.host(principal, name)
        await site.run(name)
        form[f"server:{view.server.id}"] = "on"
    answer = await site.post("/bundles/new", **form)
    assert answer.status == 200, await answer.text()
    return principal


async def bundle(site: Hub, principal: Principal) -> BundleView:
    return await site.services.bundles.get(principal, "all")


async def test_nobody_has_a_bundle_at_first_and_the_page_says_what_to_do(
    site: Hub,
) -> None:
    await site.sign_in()

    text = await site.page("/bundles")

    assert "Make your first bundle" in text
    assert 'href="/bundles/new"' in text


async def test_a_new_bundle_shows_its_key_this_once(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")

    form = {"name": "all", "separator": "__", f"server:{view.server.id}": "on"}
    made = await (await site.post("/bundles/new", **form)).text()

    assert "mcpb_" in made
    assert "/bundles/all/mcp" in made
    assert "time" in await site.page("/bundles")
    shown = await site.page("/bundles/all/connect")
    assert "/bundles/all/mcp" in shown
    prefix = (await bundle(site, principal)).bundle.endpoint_key_prefix
    assert shown.count("mcpb_") == shown.count(prefix)


async def test_a_refused_form_keeps_what_was_typed(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "time")
    name = f"server:{view.server.id}"

    answer = await site.post(
        "/bundles/new", name="Bad Name", separator="__", description="D", **{name: "on"}
    )
    text = await answer.text()

    assert answer.status == 422
    assert 'value="Bad Name"' in text
    assert "lower-case letters" in text
    assert f'name="{name}" checked' in " ".join(text.split())


async def test_a_tool_is_renamed_and_told_anew(site: Hub) -> None:
    principal = await make(site, "time")
    member = (await bundle(site, principal)).bundle.members[0]

    answer = await site.post(
        f"/bundles/all/members/{member.server_id}",
        **{
            "prefix": "t",
            "which": "chosen",
            "offer:get_current_time": "on",
            "name:get_current_time": "now",
            "words:get_current_time": "The time",
        },
    )
    changed = (await bundle(site, principal)).bundle.members[0].config
    tools = await site.page("/bundles/all/tools")

    assert answer.status == 303
    assert (changed.prefix, changed.tools) == ("t", ("get_current_time",))
    assert "<code>now</code>" in tools
    assert "The time" in tools
    assert "time__get_current_time" not in tools


async def test_a_tool_that_is_not_ticked_is_not_offered(site: Hub) -> None:
    principal = await make(site, "time")
    member = (await bundle(site, principal)).bundle.members[0]
    assert "time__get_current_time" in await site.page("/bundles/all/tools")

    form = {"prefix": "time", "which": "chosen", "name:get_current_time": ""}
    await site.post(f"/bundles/all/members/{member.server_id}", **form)

    assert "No tools to show" in await site.page("/bundles/all/tools")
    assert "get_current_time" in await site.page("/bundles/all")


async def test_a_refused_member_shows_what_was_typed_and_why(site: Hub) -> None:
    principal = await make(site, "time", "clock")
    first, second = (await bundle(site, principal)).bundle.members

    answer = await site.post(
        f"/bundles/all/members/{second.server_id}", prefix=first.config.prefix
    )
    text = await answer.text()

    assert answer.status == 422
    assert "mistaken for each other" in text
    assert f'value="{first.config.prefix}"' in text


async def test_members_are_added_moved_and_taken_out(site: Hub) -> None:
    principal = await make(site, "time", "clock")
    more = await site.host(principal, "files")

    await site.post("/bundles/all/members", server=str(more.server.id), prefix="f")
    path = f"/bundles/all/members/{more.server.id}"
    await site.post(f"{path}/move", to="up")
    order = [item.server for item in (await bundle(site, principal)).bundle.members]
    await site.post(f"{path}/remove")
    left = [item.server for item in (await bundle(site, principal)).bundle.members]

    assert order == ["time", "files", "clock"]
    assert left == ["time", "clock"]


async def test_a_new_key_is_shown_and_a_deleted_bundle_is_gone(site: Hub) -> None:
    await make(site)

    rotated = await site.post("/bundles/all/key")
    gone = await site.post("/bundles/all/delete")

    assert "mcpb_" in await rotated.text()
    assert gone.headers["Location"] == "/bundles"
    assert (await site.get("/bundles/all")).status == 404


async def test_a_call_that_cannot_be_made_says_why_below_its_form(site: Hub) -> None:
    await make(site, "time")

    answer = await site.post(
        "/bundles/all/call", tool="time__get_current_time", **{"a.timezone": "UTC"}
    )
    unknown = await site.post("/bundles/all/call", tool="nothing")

    assert "gateway" in await answer.text()  # none runs in this test
    assert "no tool of that name" in await unknown.text()


async def test_what_a_server_says_of_itself_is_only_text(site: Hub) -> None:
    await make(site, "time")
    evil = "<script>alert(1)</script>"
    tool = {"name": evil, "description": evil, "inputSchema": {}}
    await site.run("time", {"tools": [tool]})

    for tab in ("", "/tools"):
        assert evil not in await site.page(f"/bundles/all{tab}")


async def test_a_reader_sees_no_buttons_that_change_something(site: Hub) -> None:
    await make(site, "time")
    await site.sign_in("reader@example.org", Role.READER)

    text = await site.page("/bundles/all")

    assert "Save time" not in text
    assert "Delete" not in text
    assert (await site.post("/bundles/all/delete")).status == 403
    assert (await site.get("/bundles/new")).status == 403
