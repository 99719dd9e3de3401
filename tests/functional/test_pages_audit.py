"""The page of the audit trail."""

from collections.abc import AsyncIterator

import pytest

from appliance.infra.database import Database
from tests.harness.pages import Hub, hub


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Hub]:
    async with hub(database) as running:
        await running.sign_in()
        yield running


async def test_the_page_narrows_says_why_and_what_changed(site: Hub) -> None:
    await site.services.audit.record(
        type("Somebody", (), {"user_id": 1, "name": "<eve>"})(),
        "box.change",
        object_type="box",
        before={"a": 1},
        after={"a": "<2>"},
        reason="<because>",
    )

    everything = await site.page("/activity/audit")
    narrowed = await site.page("/activity/audit?q=because&outcome=allowed&since=x")
    nothing = await site.page("/activity/audit?action=server&until=2020-01-01T00:00")

    assert "session.create" in everything or "user.create" in everything
    assert "&lt;eve&gt;" in narrowed
    assert "“&lt;because&gt;”" in narrowed
    assert "1 → " in narrowed
    assert "<2>" not in narrowed
    assert "user.create" not in narrowed
    assert "No line is like that" in nothing


async def test_the_button_gives_what_the_page_shows(site: Hub) -> None:
    response = await site.get("/activity/audit.jsonl?action=user")

    lines = (await response.text()).splitlines()
    assert lines
    assert all('"action":"user.' in line for line in lines)
