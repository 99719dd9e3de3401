"""Organisations on the pages: found one, invite, join, share a server, take it back, leave."""

import html
import re
from collections.abc import AsyncIterator

import pytest

from appliance.accounts.model import MemberRole, Role
from appliance.infra.database import Database
from tests.harness.pages import Hub, hub


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Hub]:
    async with hub(database) as running:
        yield running


async def found(site: Hub) -> str:
    """Found the organisation ``data`` and return the address of its page."""
    answer = await site.post("/settings/orgs", name="data", title="Data team")
    assert answer.status == 303, await answer.text()
    return answer.headers["Location"]


async def test_somebody_is_invited_joins_and_leaves_by_the_pages(site: Hub) -> None:
    await site.sign_in()
    place = await found(site)
    assert "Nothing belongs to it yet" in await site.page(place)

    answer = await site.post(
        f"{place}/invitations", role="deployer", days="7", note="Ben"
    )
    shown = html.unescape(await answer.text())
    link = re.search(r"/invitation\?token=mcpv_\S+?(?=[\"<\s])", shown)
    assert link
    assert "mcpv_" not in await site.page(place)

    ben = await site.sign_in("ben@example.org", Role.MEMBER)
    assert (await site.get(place)).status == 404
    assert "invites you as deployer" in await site.page(link[0])
    joined = await site.post("/invitation", token=link[0].partition("token=")[2])
    assert joined.headers["Location"] == place
    text = await site.page(place)
    assert "You are deployer" in text
    assert "Add somebody of this box" not in text
    left = await site.post(f"{place}/members/{ben.user_id}/remove")

    assert left.headers["Location"] == "/settings/orgs"
    assert (await site.get(place)).status == 404


async def test_a_server_is_made_for_an_organisation_taken_and_given_back(
    site: Hub,
) -> None:
    await site.sign_in()
    place = await found(site)
    assert "Belongs to" in await site.page("/servers/new")

    made = await site.post(
        "/servers/new",
        kind="remote",
        name="clock",
        remote_url="https://mcp.example.org/mcp",
        org="data",
    )
    assert made.status == 200, await made.text()
    assert 'href="/servers/clock"' in await site.page(place)
    config = await site.page("/servers/clock/config")
    assert "Data team" in config or ">data</a>" in config

    taken = await site.post("/servers/clock/transfer", to="user:ada@example.org")
    after = html.unescape(await site.page(taken.headers["Location"]))
    assert 'value="org:data"' in after
    assert "Undo" in after
    assert 'href="/servers/clock"' not in await site.page(place)
    await site.post("/servers/clock/transfer", to="org:data")

    assert 'href="/servers/clock"' in await site.page(place)


async def test_a_refused_form_shows_what_is_wrong_and_what_was_typed(site: Hub) -> None:
    owner = await site.sign_in()
    place = await found(site)

    taken = await site.post("/settings/orgs", name="data", title="Typed")
    unknown = await site.post(f"{place}/members", email="x@example.org", role="reader")
    last = await site.post(f"{place}/members/{owner.user_id}/remove")
    quota = await site.post(place, title="Data", server_quota="-1")
    disk = await site.post(place, title="Data", server_quota="", disk_mib="much")
    await site.post(place, title="Data", server_quota="", disk_mib="70")

    assert taken.status == 409
    assert 'value="Typed"' in await taken.text()
    assert unknown.status == 422
    assert "nobody here has this address" in await unknown.text()
    assert last.status == 409
    assert "only owner" in await last.text()
    assert quota.status == 422
    assert 'value="-1"' in await quota.text()
    assert disk.status == 422
    assert "give a number, any, or default" in await disk.text()
    assert 'value="70"' in await site.page(place)


async def test_a_deployer_gets_the_buttons_of_a_deployer(site: Hub) -> None:
    ada = await site.sign_in()
    place = await found(site)
    await site.host(ada, "clock")
    await site.post("/servers/clock/transfer", to="org:data")
    ben = await site.sign_in("ben@example.org", Role.MEMBER)
    await site.services.orgs.members.add(ada, "data", ben.email, MemberRole.DEPLOYER)

    page = await site.page("/servers/clock")
    config = await site.page("/servers/clock/config")

    assert 'action="/servers/clock/redeploy"' in page
    assert 'action="/servers/clock/delete"' not in page
    assert "<fieldset disabled>" in config
    assert 'action="/servers/clock/transfer"' not in config
    assert (await site.post("/servers/clock/delete")).status == 403
    assert place in config
