"""The pages of the policy: what counts, a form that tries and writes it, and why a server is held."""

from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest

from appliance.infra.database import Database
from appliance.policy.model import Purpose
from appliance.servers import store
from appliance.servers.gate import Gate
from appliance.servers.model import DeploymentState
from tests.fakes.executor import IdleExecutor
from tests.harness.pages import Hub, hub

SMOKE = 'version: 1\nrules:\n  - {kind: require-certification, tiers: ["*"], requirements: [smoke]}\n'


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Hub]:
    async with hub(database) as running:
        await running.host(await running.sign_in(), "time")
        yield running


async def hold(database: Database) -> None:
    """Do what the reconciler does before a launch."""

    def build() -> int:
        server = store.find("time")
        assert server is not None
        pending = store.deployment_in(server.id, DeploymentState.PENDING)
        found = pending or store.add_deployment(server, requested_by="ada")
        store.set_built(found.id, image="sha256:1", resolved={})
        return server.id

    server_id = await database.run(build)
    server = await database.run(store.get, server_id)
    pending = await database.run(
        store.deployment_in, server_id, DeploymentState.PENDING
    )
    assert pending is not None
    await Gate(database, [IdleExecutor()]).rule(server, pending, Purpose.SERVE)


async def test_policy_is_tried_and_written_and_a_held_server_says_why(
    site: Hub, database: Database
) -> None:
    empty = await site.page("/policy")
    tried = await (await site.post("/policy", text=SMOKE, deed="try")).text()
    written = await site.post("/policy", text=SMOKE, note="Begin.", deed="apply")
    await hold(database)

    shown = await site.page("/policy")
    overview = await site.page("/servers/time")
    tab = await site.page("/servers/time/decisions")
    listed = await site.page("/policy/decisions?verdict=hold-evaluation")

    assert "No policy is active" in empty
    assert 'id="dry-run"' in tried
    assert written.status in {HTTPStatus.OK, HTTPStatus.SEE_OTHER}
    assert "Version 1 counts" in shown
    assert "Begin." in shown
    for text in (overview, tab):
        assert "Why is my server held?" in text
        assert "<strong>Next:</strong> Have smoke evaluated" in text
    assert 'id="decision-' in tab
    assert 'id="decision-' in listed


async def test_what_is_wrong_is_told_and_nothing_typed_is_lost(site: Hub) -> None:
    response = await site.post(
        "/policy", text="version: 1\nrules: [{kind: mystery}]", deed="apply"
    )
    text = await response.text()

    assert response.status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "document.rules[0].kind" in text
    assert "mystery" in text
    assert "No policy is active" in text
