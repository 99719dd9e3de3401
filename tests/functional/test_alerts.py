"""/api/alerts and mcpctl alerts, as administrators use them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.alerts.model import Condition, Severity
from appliance.alerts.service import AlertService
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal

Client = TestClient[Any, Any]
FULL = Condition("box:disk", Severity.CRITICAL, "The disk is <full>.", "Make room.", 0)


@pytest.fixture
async def wrong(hub: Hub, admin: Client) -> Client:
    """An administrator of a box on which something is wrong."""

    async def look() -> Sequence[Condition]:
        return [FULL]

    service = hub.services.alerts
    await AlertService(hub.database, service._ways, {"box": look}).look()
    return admin


async def done(asked: Any, status: int = 200) -> Any:
    """Return what a request is answered."""
    response = await asked
    text = await response.text()
    assert response.status == status, text
    return await response.json() if response.content_type.endswith("json") else text


async def test_an_alert_is_listed_acknowledged_and_silenced(wrong: Client) -> None:
    (alert,) = (await done(wrong.get("/api/alerts")))["items"]
    path = f"/api/alerts/{alert['id']}"

    known = await done(wrong.post(f"{path}/acknowledge"))
    silent = await done(wrong.post(f"{path}/silence", json={"hours": 2, "reason": "x"}))
    loud = await done(wrong.post(f"{path}/silence", json={"hours": 0}))
    trail = await done(wrong.get("/api/audit?object_type=alert"))

    assert (alert["key"], alert["severity"]) == ("box:disk", "critical")
    assert known["acknowledged_by"]
    assert silent["silenced_until"]
    assert loud["silenced_until"] is None
    actions = [item["action"] for item in trail["items"]]
    assert actions == ["alert.unsilence", "alert.silence", "alert.acknowledge"]
    await done(wrong.post("/api/alerts/999999/acknowledge"), 404)


@pytest.mark.parametrize(
    ("kind", "address"),
    [("webhook", "ftp://x.example"), ("webhook", "https://u:p@x.example/"), ("email", "ops")],
)  # fmt: skip
async def test_a_channel_to_nowhere_is_refused_by_its_field(
    admin: Client, kind: str, address: str
) -> None:
    body = {"kind": kind, "address": address}

    problem = await done(admin.post("/api/alerts/channels", json=body), 422)

    assert "address" in str(problem)


async def test_a_test_says_why_it_did_not_arrive(admin: Client) -> None:
    for body, why in (
        ({"kind": "webhook", "address": "http://127.0.0.1:1/x"}, "this box"),
        ({"kind": "email", "address": "ops@example.org"}, "SMTP_HOST"),
    ):
        made = await done(admin.post("/api/alerts/channels", json=body), 201)
        path = f"/api/alerts/channels/{made['channel']['id']}"

        response = await admin.post(f"{path}/test")

        assert response.status >= 400
        assert why in (await response.json())["detail"]
        await done(admin.delete(path), 204)


async def test_whoever_does_not_administer_sees_none(hub: Hub, admin: Client) -> None:  # noqa: ARG001 - the first is administrator
    member = await hub.client(await hub.person("ada@example.org"))

    await done(member.get("/api/alerts"), 403)


async def test_mcpctl_lists_acknowledges_and_says_who_is_told(
    hub: Hub, wrong: Client, tmp_path: Path
) -> None:
    terminal = Terminal(hub, tmp_path)
    terminal.show_key(wrong._session.headers["Authorization"].removeprefix("Bearer "))
    (alert,) = (await done(wrong.get("/api/alerts")))["items"]

    listed = await terminal.run("alerts", "list")
    known = await terminal.run("alerts", "acknowledge", str(alert["id"]))
    added = await terminal.run("alerts", "channels", "add", "webhook", "https://ops.example.org/x")  # fmt: skip
    tried = await terminal.run("alerts", "channels", "list", "--json")

    assert "box:disk" in listed.out
    assert "known to" in known.out
    assert "mcpa_" in added.out
    (channel,) = tried.json()["items"]
    assert channel["address"] == "https://ops.example.org/x"
