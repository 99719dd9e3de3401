"""The page Alerts: what is wrong, what somebody did about it, and who is told."""

from collections.abc import AsyncIterator, Sequence

import pytest

from appliance.alerts.model import Condition, Severity
from appliance.alerts.service import AlertService
from appliance.infra.database import Database
from tests.harness.pages import Hub, hub

FULL = Condition("box:disk", Severity.CRITICAL, "The disk is <full>.", "Make room.", 0)


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Hub]:
    async with hub(database) as running:
        yield running


async def test_what_is_wrong_is_shown_until_somebody_knows(
    site: Hub, database: Database
) -> None:
    await site.sign_in()
    assert "Nothing is wrong" in await site.page("/alerts")

    async def look() -> Sequence[Condition]:
        return [FULL]

    service = AlertService(database, site.services.alerts._ways, {"box": look})
    await service.look()
    (alert,) = await service.page(ended=False)
    shown, counted = await site.page("/alerts"), await site.page("/alerts/count")
    await site.post(f"/alerts/{alert.id}/acknowledge")
    await site.post(f"/alerts/{alert.id}/silence", hours="1")
    known = await site.page("/alerts")

    assert "The disk is &lt;full&gt;." in shown
    assert "Acknowledge</button>" in shown
    assert ">1<" in counted
    assert "Acknowledge</button>" not in known
    assert "nobody is told of it until" in known


async def test_a_channel_is_added_with_a_secret_shown_once_and_a_wrong_one_refused(
    site: Hub,
) -> None:
    await site.sign_in()
    there = {"kind": "webhook", "address": "http://127.0.0.1:1/x"}

    added = await (await site.post("/alerts/channels", **there)).text()
    again = await site.page("/alerts")
    refused = await site.post("/alerts/channels", kind="email", address="ops")
    text = await refused.text()
    tried = await (await site.post("/alerts/channels/1/test")).text()

    assert "mcpa_" in added
    assert "mcpa_" not in again
    assert there["address"] in again
    assert refused.status == 422
    assert "give an e-mail address" in text
    assert 'value="ops"' in text
    assert "The address is one of this box" in tried
