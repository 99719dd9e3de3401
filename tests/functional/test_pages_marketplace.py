"""The marketplace on the pages: first use, search, filters, a run in full, servers made of runs and of published packages."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from appliance.accounts.model import Role
from appliance.artifacts.model import RunRecord
from appliance.artifacts.wellknown import KNOWN
from appliance.builds.model import BuildState
from appliance.infra.database import Database
from appliance.web.deploying import names
from appliance.web.pages.marketplace import credentials, missing
from appliance.web.server_form import known_form
from tests.fakes.runs import AMD, digest, finished, images, published, record
from tests.harness.pages import Hub, hub


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Hub]:
    async with hub(database) as running:
        yield running


async def built(site: Hub, number: int = 1, **changes: Any) -> int:
    """Have a build end."""
    run = finished(number, **changes)
    return await site.database.run(site.services.ledger.record, run)


async def test_first_use_says_what_to_do_and_offers_published_servers(
    site: Hub,
) -> None:
    await site.sign_in()

    text = await site.page("/marketplace")

    assert "Nothing was built yet" in text
    assert text.count('href="/servers/new?catalog=') == len(KNOWN)
    assert "BRAVE_API_KEY" in text


async def test_an_entry_shows_tier_platforms_source_and_digest(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "clock")
    run_id = await built(site, server_id=view.server.id, server_name="clock")

    text = await site.page("/marketplace")

    assert f'href="/marketplace/{run_id}"' in text
    for part in (
        "clock",
        "Gold",
        "amd64",
        "arm64",
        "pypi:mcp-server-time==1.2.3",
        digest(100)[:19],
    ):
        assert part in text
    assert "no longer hosted" not in text


async def test_a_failure_shows_its_reason_and_what_is_missing(site: Hub) -> None:
    await site.sign_in()
    await built(site, status=BuildState.FAILED, error="npm ended with <1>.")

    text = await site.page("/marketplace")

    assert "Watchlist" in text
    assert "npm ended with &lt;1&gt;." in text
    assert "no longer hosted" in text


async def test_typing_narrows_the_list_and_the_address(site: Hub) -> None:
    await site.sign_in()
    await built(site, 1, server_name="clock")
    await built(site, 2, server_name="weather")

    answer = await site.get("/marketplace?q=WEATH&tier=", **{"HX-Request": "true"})
    text = await answer.text()

    assert answer.headers["HX-Replace-Url"] == "/marketplace?q=WEATH"
    assert "weather" in text
    assert "clock" not in text
    assert "<html" not in text


@pytest.mark.parametrize(
    "query", ["tier=gold", "status=succeeded", "server_type=PACKAGE", "q=clock+pypi"]
)
async def test_filters_of_the_address_hold(site: Hub, query: str) -> None:
    await site.sign_in()
    await built(
        site,
        1,
        server_name="clock",
        source={"remote_url": "https://x.example/mcp"},
        status=BuildState.FAILED,
    )
    good = await built(site, 2, server_name="clock")

    # Both servers are gone, so each has its source's type.
    text = await site.page(f"/marketplace?{query.replace('PACKAGE', 'PYPI')}")

    assert text.count('id="artifact-') == 1
    assert f'id="artifact-{good}"' in text


async def test_nonsense_in_the_address_is_as_if_it_were_not_there(site: Hub) -> None:
    await site.sign_in()
    await built(site)

    text = await site.page("/marketplace?status=x&tier=y&cursor=z")

    assert 'id="artifact-1"' in text


async def test_no_match_says_so(site: Hub) -> None:
    await site.sign_in()
    await built(site)

    text = await site.page("/marketplace?q=nothingofthekind")

    assert "Nothing that was built matches" in text


async def test_pages_go_on(site: Hub) -> None:
    await site.sign_in()
    for number in range(1, 28):
        await built(site, number)

    first = await site.page("/marketplace")
    second = await site.page("/marketplace?cursor=3")

    assert (first.count('id="artifact-'), second.count('id="artifact-')) == (25, 2)
    assert "cursor=3" in first
    assert "First page" in second


async def test_a_run_is_shown_in_full(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "clock")
    run_id = await built(site, server_id=view.server.id, server_name="clock")
    artifact = await site.services.ledger.get(principal, run_id)

    text = await site.page(f"/marketplace/{run_id}")

    for part in (
        digest(100),
        digest(102)[:19],
        "registry.example.org/mcp/time:7",
        artifact.row_hash,
        "healthy",
        "20 s",
    ):
        assert part in text
    assert f'action="/servers/{view.server.id}/redeploy"' in text


async def test_one_click_hosts_a_server_and_shows_its_key(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "clock")
    run_id = await built(site, server_id=view.server.id, server_name="clock")

    made = await site.post(f"/marketplace/{run_id}/deploy")
    server = (await site.services.servers.get(principal, "clock-2")).server

    assert made.status == 200
    assert "mcps_" in await made.text()
    assert server.server_type == "pypi"


async def test_who_may_not_know_of_a_run_is_told_that_there_is_none(site: Hub) -> None:
    principal = await site.sign_in()
    view = await site.host(principal, "clock")
    run_id = await built(site, server_id=view.server.id, server_name="clock")
    await site.sign_in("bob@example.org", Role.MEMBER)

    assert (await site.get(f"/marketplace/{run_id}")).status == 404
    assert (await site.post(f"/marketplace/{run_id}/deploy")).status == 404
    assert "clock" not in await site.page("/marketplace?q=pypi")


async def test_a_reader_sees_no_button(site: Hub) -> None:
    await site.sign_in()
    run_id = await built(site)
    await site.sign_in("reader@example.org", Role.READER)

    text = await site.page("/marketplace") + await site.page(f"/marketplace/{run_id}")

    assert "/deploy" not in text
    assert "/servers/new" not in text
    assert (await site.post(f"/marketplace/{run_id}/deploy")).status == 403


async def test_the_form_of_each_published_server_is_filled_in_and_can_be_sent(
    site: Hub,
) -> None:
    principal = await site.sign_in()

    for known in KNOWN:
        text = await site.page(f"/servers/new?catalog={known.name}")
        filled = known_form(known) | {"name": known.name}
        form = {name: value for name, value in filled.items() if name != "path"}
        made = await site.post("/servers/new", **form)

        assert known.source in text
        assert all(setting.name in text for setting in known.settings)
        assert all(argument in text for argument in known.arguments)
        assert made.status == 200, known.name
        view = await site.services.servers.get(principal, known.name)
        assert view.server.config.arguments == known.arguments


async def test_a_published_server_that_is_not_known_is_an_empty_form(site: Hub) -> None:
    await site.sign_in()

    assert "Say where it comes from" in await site.page("/servers/new?catalog=nobody")


def test_names_of_published_servers_are_used_once() -> None:
    assert len({item.name for item in KNOWN}) == len(KNOWN)


def test_a_second_server_gets_a_number_that_still_fits() -> None:
    assert names("clock")[:3] == ["clock", "clock-2", "clock-3"]
    assert all(len(name) <= 63 for name in names("x" * 63))


def test_what_is_wanted_and_not_there_is_missing() -> None:
    assert missing(record(images=images(AMD), published=published(AMD))) == [
        "linux/arm64"
    ]


def test_credentials_of_a_platform_are_told_where_they_differ() -> None:
    run: RunRecord = record()
    refreshed = replace(
        run.platforms[1], auth_refresh_attempted=True, auth_refresh_succeeded=True
    )

    found = credentials(replace(run, platforms=(run.platforms[0], refreshed)))

    assert found == [
        ("All platforms", "healthy"),
        ("linux/arm64", "healthy, refresh succeeded"),
    ]
    assert credentials(record(published=None)) == []
