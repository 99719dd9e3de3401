"""What a server's page tells of a package: as of when, its lock, and the settings that it lacks."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from appliance.accounts.model import Role
from appliance.builds import store as builds
from appliance.builds.model import BuildRequest, BuiltImage, Lock
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.servers import store
from appliance.servers.model import Deployment, Status
from appliance.sources.model import PackageSource
from tests.harness.pages import Hub, hub

LOCK = Lock(
    "requirements.txt",
    "mcp==1.6.0 \\\n    --hash=sha256:00\n",
    "pypi:mcp-server-time",
    "1.2.3",
    date(2025, 4, 26),
    datetime(2025, 4, 27, tzinfo=UTC),
)
WHY = "Resolved as of 2025-04-26, because deployment 1 failed: <it ended>."


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Hub]:
    async with hub(database) as running:
        yield running


def newest(name: str) -> Deployment:
    server = store.find(name)
    assert server
    deployment = store.deployment_in(server.id)
    assert deployment
    return deployment


def build_with_lock(name: str, **resolved: Any) -> None:
    """Let the newest deployment be built and go live, as builds and the reconciler would."""
    deployment = newest(name)
    request = BuildRequest(deployment.id, deployment.server_id, name, deployment.source)
    begun = builds.begin(request)
    builds.keep_lock(begun.view.id, LOCK)
    built = BuiltImage(
        "sha256:1", {"version": "1.2.3", "lock": LOCK.digest, **resolved}
    )
    store.set_built(deployment.id, image=built.image, resolved=built.resolved)
    store.promote(deployment, {"tools": []})
    store.set_status(deployment.server_id, Status.RUNNING)


def fail_for_want_of(name: str, *settings: str) -> None:
    deployment = newest(name)
    store.fail_deployment(deployment, "It ended.", missing_settings=settings)
    store.set_status(deployment.server_id, Status.ERROR, "It ended.")


async def test_a_new_packages_day_is_taken_from_its_form(site: Hub) -> None:
    principal = await site.sign_in()
    form = {"kind": "package", "package": "pypi:mcp-server-time", "name": "time"}

    refused = await site.post("/servers/new", **form, as_of="2025-02-30")
    made = await site.post("/servers/new", **form, as_of="2025-05-01")

    assert 'id="field-as_of-problem"' in await refused.text()
    assert made.status == 200
    source = (await site.services.servers.get(principal, "time")).server.source
    assert isinstance(source, PackageSource)
    assert source.as_of == date(2025, 5, 1)


async def test_the_page_tells_as_of_when_and_why(site: Hub) -> None:
    await site.host(await site.sign_in(), "time")
    await site.database.run(
        build_with_lock, "time", as_of="2025-04-26", as_of_because=WHY
    )

    text = await site.page("/servers/time")

    assert "resolved as of 2025-04-26" in text
    assert "because deployment 1 failed: &lt;it ended&gt;." in text


async def test_the_lock_is_downloaded_under_its_name(site: Hub) -> None:
    await site.host(await site.sign_in(), "time")
    await site.database.run(build_with_lock, "time")

    response = await site.get("/servers/time/lock")

    assert 'href="/servers/time/lock"' in await site.page("/servers/time")
    assert await response.text() == LOCK.text
    assert 'filename="requirements.txt"' in response.headers["Content-Disposition"]


async def test_what_has_no_lock_offers_none(site: Hub) -> None:
    await site.host(await site.sign_in(), "time")

    assert (await site.get("/servers/time/lock")).status == 404
    assert "/servers/time/lock" not in await site.page("/servers/time")


async def test_newer_dependencies_are_taken_when_somebody_asks(site: Hub) -> None:
    await site.host(await site.sign_in(), "time")
    await site.database.run(build_with_lock, "time")

    response = await site.post("/servers/time/dependencies")

    assert response.headers["Location"] == "/servers/time/build"
    asked = await site.database.run(newest, "time")
    assert isinstance(asked.source, PackageSource)
    assert asked.source.as_of == now().date()


async def test_exactly_the_missing_settings_are_asked_for(site: Hub) -> None:
    await site.host(await site.sign_in(), "time")
    await site.database.run(fail_for_want_of, "time", "A_KEY", "B_URL")

    text = await site.page("/servers/time")

    assert text.count('name="setting.') == 2
    assert 'name="setting.A_KEY"' in text
    assert 'action="/servers/time/settings"' in text


async def test_a_setting_that_is_given_redeploys_the_server(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")
    await site.database.run(fail_for_want_of, "time", "A_PLACE")

    # What nobody asked for is not taken from the form.
    form = {"setting.A_PLACE": " here ", "setting.OTHER": "x"}
    response = await site.post("/servers/time/settings", **form)

    view = await site.services.servers.get(principal, "time")
    assert response.headers["Location"] == "/servers/time/build"
    assert view.server.config.environment == {"A_PLACE": "here"}
    assert view.server.status is Status.QUEUED
    assert view.missing_settings == ()
    assert "/servers/time/settings" not in await site.page("/servers/time")


async def test_one_of_several_settings_may_do(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")
    await site.database.run(fail_for_want_of, "time", "A_PLACE", "A_TIME")

    form = {"setting.A_PLACE": "", "setting.A_TIME": "t"}
    response = await site.post("/servers/time/settings", **form)

    view = await site.services.servers.get(principal, "time")
    assert response.status == 303
    assert view.server.config.environment == {"A_TIME": "t"}


async def test_a_form_left_empty_is_shown_again(site: Hub) -> None:
    await site.host(await site.sign_in(), "time")
    await site.database.run(fail_for_want_of, "time", "A_KEY", "B_URL")

    form = {"setting.A_KEY": "", "setting.B_URL": " "}
    response = await site.post("/servers/time/settings", **form)
    text = await response.text()

    assert response.status == 422
    assert text.count("give a value") == 2
    assert (await site.database.run(newest, "time")).number == 1


async def test_a_form_of_yesterday_changes_nothing(site: Hub) -> None:
    await site.host(await site.sign_in(), "time")

    response = await site.post("/servers/time/settings", **{"setting.A_KEY": "late"})

    assert response.headers["Location"] == "/servers/time"
    assert (await site.database.run(newest, "time")).number == 1


async def test_a_reader_is_asked_for_nothing(site: Hub) -> None:
    await site.host(await site.sign_in(), "time")
    await site.database.run(fail_for_want_of, "time", "A_KEY")
    await site.sign_in("reader@example.org", Role.READER)

    response = await site.get("/servers/time")

    assert "setting.A_KEY" not in await response.text()
    form = {"setting.A_KEY": "theirs"}
    assert (await site.post("/servers/time/settings", **form)).status in {403, 404}
    assert (await site.database.run(newest, "time")).number == 1
