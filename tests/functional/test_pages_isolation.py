"""The isolation tab of a server: what holds, a form that changes it, and warnings where hardening was taken away."""

from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest

from appliance.infra.database import Database
from tests.harness.pages import Hub, hub


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Hub]:
    async with hub(database) as running:
        await running.host(await running.sign_in(), "time")
        yield running


async def test_a_form_changes_limits_and_shows_them(site: Hub) -> None:
    response = await site.post(
        "/servers/time/isolation", tier="standard", pids="64", data_bytes="2g"
    )

    assert response.status in {HTTPStatus.OK, HTTPStatus.SEE_OTHER}
    shown = await site.page("/servers/time/isolation")
    assert "64, 4096 open files each" in shown
    assert 'value="2g"' in shown


async def test_what_is_wrong_is_told_at_its_control_and_nothing_typed_is_lost(
    site: Hub,
) -> None:
    response = await site.post(
        "/servers/time/isolation", tier="vm", pids="many", data_bytes="3g"
    )
    text = await response.text()

    assert response.status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert 'id="field-pids-problem"' in text
    assert 'value="3g"' in text

    refused = await (await site.post("/servers/time/isolation", tier="vm")).text()
    assert 'id="field-tier-problem"' in refused
    assert "machines of their own are not available" in refused


async def test_hardening_that_was_taken_away_is_shown_on_every_visit(site: Hub) -> None:
    await site.post("/servers/time/isolation", **{"relax:writable-root": "on"})

    tab = await site.page("/servers/time/isolation")
    overview = await site.page("/servers/time")

    assert "what breaks into it can stay" in tab
    assert ", read-only root" not in tab
    assert "Hardening was taken away:" in overview


async def test_saving_the_configuration_keeps_the_isolation(site: Hub) -> None:
    await site.post("/servers/time/isolation", pids="77")

    await site.post("/servers/time/config", cpu_limit="0.5", memory_limit="256m")

    assert "77, 4096 open files each" in await site.page("/servers/time/isolation")
