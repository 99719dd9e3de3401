"""Deployments over REST, from mcpctl and on the pages: history, comparison, going back, cancelling, locks, policy."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.infra.database import Database
from appliance.servers import deployment_store, store
from appliance.servers.model import DeploymentState
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal
from tests.harness import pages


def go_live(name: str, image: str) -> None:
    """Have the pending deployment of a server take over, as the reconciler does."""
    server = store.find(name)
    assert server
    pending = store.deployment_in(server.id, DeploymentState.PENDING)
    assert pending
    if pending.image is None:
        store.set_built(pending.id, image=image, resolved={"version": image})
    store.promote(store.get_deployment(pending.id), {"tools": []})
    deployment_store.compared(pending.id, wanted=image, running=image)


async def host_versions(hub: Any, client: Any) -> None:
    """Host ``clock`` in two versions, the second with another environment."""
    made = await client.post(
        "/api/servers", json={"name": "clock", "package": "pypi:mcp-server-time"}
    )
    assert made.status == 201, await made.text()
    await hub.database.run(go_live, "clock", "sha256:one")
    changed = await client.put(
        "/api/servers/clock/config", json={"environment": {"LEVEL": "debug"}}
    )
    assert changed.status == 202, await changed.text()
    await hub.database.run(go_live, "clock", "sha256:two")


async def read(client: Any, path: str, status: int = 200) -> Any:
    response = await client.get(f"/api/servers/clock/{path}")
    assert response.status == status, await response.text()
    return await response.json()


async def post(client: Any, path: str, status: int, **body: Any) -> Any:
    response = await client.post(f"/api/servers/clock/{path}", json=body or None)
    assert response.status == status, await response.text()
    return await response.json()


async def test_the_history_says_what_each_attempt_was_and_what_it_changed(
    hub: Hub,
) -> None:
    client = await hub.client(await hub.person("ada@example.org"))
    await host_versions(hub, client)

    listed = await read(client, "deployments")
    assert [
        (item["number"], item["state"], item["trigger"], item["is_retained"])
        for item in listed["items"]
    ] == [(2, "live", "configure", False), (1, "superseded", "create", True)]
    assert listed["items"][0]["runs_as_wanted"] is True
    only = await read(client, "deployments?trigger=create&limit=1")
    assert [item["number"] for item in only["items"]] == [1]
    first = await read(client, "deployments?limit=1")
    assert first["next_cursor"] == 2
    difference = await read(client, "deployments/2/diff")
    assert {
        "field": "config.environment.LEVEL",
        "before": None,
        "after": "debug",
    } in difference["changes"]
    assert await read(client, "deployments/1/log") == {"items": []}
    assert (await read(client, "deployments/9", 404))["code"] == "no_deployment"


async def test_going_back_and_cancelling(hub: Hub) -> None:
    client = await hub.client(await hub.person("ada@example.org"))
    await host_versions(hub, client)

    made = await post(client, "deployments/1/rollback", 202)
    assert (made["trigger"], made["made_of"], made["image"]) == (
        "rollback",
        1,
        "sha256:one",
    )
    assert (await read(client, "deployments/3"))["state"] == "pending"
    ended = await post(client, "deployments/3/cancel", 202)
    assert (ended["state"], ended["reason"]) == (
        "cancelled",
        "ada@example.org cancelled it.",
    )
    again = await post(client, "deployments/3/cancel", 409)
    assert again["code"] == "deployment_not_pending"
    live = await post(client, "deployments/2/rollback", 409)
    assert live["code"] == "deployment_not_retained"


async def test_a_lock_refuses_people_and_webhooks_and_says_who_and_why(
    hub: Hub,
) -> None:
    client = await hub.client(await hub.person("ada@example.org"))
    await host_versions(hub, client)

    await post(client, "deploy-lock", 200, reason="demo until five")
    refused = await post(client, "redeploy", 409)
    assert refused["code"] == "deploy_locked"
    assert "ada@example.org" in refused["detail"]
    assert "demo until five" in refused["detail"]
    assert (await post(client, "deployments/1/rollback", 409))[
        "code"
    ] == "deploy_locked"
    secret = (await post(client, "webhook/secret", 201))["secret"]
    called = await client.post(
        "/api/servers/clock/webhook", headers={"X-Webhook-Secret": secret}
    )
    assert called.status == 409
    assert "demo until five" in (await called.json())["detail"]
    (delivery,) = (await read(client, "webhook"))["deliveries"]
    assert delivery["outcome"] == "ignored"
    assert "demo until five" in delivery["detail"]
    assert (await client.delete("/api/servers/clock/deploy-lock")).status == 204
    assert not (await read(client, "deploy-lock"))["is_locked"]
    unlocked, locked = [
        line
        for line in await hub.services.audit.list(action="server")
        if line.action.endswith("lock_deploys")
    ]
    assert locked.action == "server.lock_deploys"
    assert unlocked.action == "server.unlock_deploys"
    assert locked.after == unlocked.before
    assert locked.after == {
        "is_locked": True,
        "locked_by": "ada@example.org",
        "reason": "demo until five",
    }
    await post(client, "redeploy", 202)


async def test_the_policy_holds_at_once_and_its_bounds_are_kept(hub: Hub) -> None:
    client = await hub.client(await hub.person("ada@example.org"))
    await host_versions(hub, client)

    kept = await client.put("/api/servers/clock/deploy-policy", json={"drain_s": 5})
    wrong = await client.put("/api/servers/clock/deploy-policy", json={"retain": 0})

    assert (await kept.json())["drain_s"] == 5
    assert wrong.status == 422
    assert "deploys.retain" in await wrong.text()
    assert (await read(client, "deployments"))["items"][0]["number"] == 2


async def test_others_see_no_deployments(hub: Hub) -> None:
    client = await hub.client(await hub.person("ada@example.org"))
    await host_versions(hub, client)
    other = await hub.client(await hub.person("bob@example.org"))

    for path in ("deployments", "deployments/1", "deployments/1/diff", "deploy-lock"):
        response = await other.get(f"/api/servers/clock/{path}")
        assert response.status == 404
    response = await other.post("/api/servers/clock/deployments/1/rollback")
    assert response.status == 404


async def test_deployments_in_a_terminal(hub: Hub, tmp_path: Path) -> None:
    key = await hub.person("ada@example.org")
    await host_versions(hub, await hub.client(key))
    mine = Terminal(hub, tmp_path)
    mine.show_key(key)

    listed = await mine.run("deployments", "list", "clock")
    shown = await mine.run("deployments", "show", "clock", "2")
    compared = await mine.run("deployments", "diff", "clock", "2")
    locked = await mine.run("deployments", "lock", "clock", "demo")
    refused = await mine.run("deployments", "rollback", "clock", "1")
    await mine.run("deployments", "unlock", "clock")
    back = await mine.run("deployments", "rollback", "clock", "1")
    ended = await mine.run("deployments", "cancel", "clock", "3")
    policy = await mine.run("deployments", "policy", "clock", "--retain", "9")

    assert "superseded" in listed.out
    assert "what was deployed" in shown.out
    assert "config.environment.LEVEL" in compared.out
    assert "demo" in locked.out
    assert refused.code != 0
    assert "demo" in refused.err
    assert back.out == "Deployment 3 goes back to 1.\n"
    assert ended.out == "Deployment 3 is cancelled.\n"
    assert "9" in policy.out


@pytest.fixture
async def site(database: Database) -> AsyncIterator[pages.Hub]:
    async with pages.hub(database) as running:
        yield running


async def test_a_person_goes_back_locks_and_unlocks_on_the_page(
    site: pages.Hub,
) -> None:
    await site.host(await site.sign_in(), "clock")
    await site.database.run(go_live, "clock", "sha256:one")
    await site.post("/servers/clock/redeploy")
    await site.database.run(go_live, "clock", "sha256:two")

    history = await site.page("/servers/clock/deployments")
    assert "Go back to deployment 1?" in history
    one = await site.page("/servers/clock/deployments/2")
    assert "Compared with deployment 1" in one
    assert "what was deployed" in one

    await site.post("/servers/clock/deploy-lock", reason="demo until five")
    locked = await site.page("/servers/clock/deployments")
    assert "demo until five" in locked
    refused = await site.post("/servers/clock/deployments/1/rollback")
    assert refused.status == 409
    assert "demo until five" in await refused.text()
    await site.post("/servers/clock/deploy-lock/remove")

    await site.post("/servers/clock/deployments/1/rollback")
    filtered = await site.page("/servers/clock/deployments?trigger=rollback")
    assert "of #1" in filtered
    assert (
        "Creation"
        not in filtered.partition('id="deployments"')[2].partition("</table>")[0]
    )
    await site.post("/servers/clock/deployments/3/cancel")
    assert "cancelled it." in await site.page("/servers/clock/deployments/3")
    saved = await site.post("/servers/clock/deploy-policy", retain="0")
    assert "give 1 to 50 deployments" in await saved.text()
