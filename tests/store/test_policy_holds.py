"""The gate on a real Postgres, with everything else in memory, killed at every single call."""

import asyncio
from typing import Any

import pytest

from appliance.policy import document_store
from appliance.policy import store as policy_store
from appliance.policy.document import parse
from appliance.policy.model import Purpose, StoredDecision, Verdict
from appliance.runtimes.model import CANDIDATE, InstanceState
from appliance.servers import candidate_store, crashes, store, vm_store
from appliance.servers.gate import Gate
from appliance.servers.model import DeploymentState, Status
from appliance.servers.policies import is_reproduced
from appliance.servers.reviewing import PolicyReview
from tests.harness.governed import certify
from tests.store.test_servers_reconciler import Box, box, killed_everywhere

__all__ = ["box"]
SMOKE = {"kind": "require-certification", "requirements": ["smoke"]}


async def policy(box: Box, *rules: dict[str, Any]) -> None:
    """Let these rules count from now on."""

    def write() -> None:
        body = parse({"version": 1, "rules": list(rules)}).as_dict()
        made = document_store.add(body, note="", by="ada")
        document_store.activate(made.version, by="ada")

    await box.database.run(write)


async def review(box: Box) -> None:
    gate = Gate(box.database, [box.executor])
    await PolicyReview(box.database, gate)(None, {"all": True})  # type: ignore[arg-type]


async def decisions(box: Box) -> list[StoredDecision]:
    return await box.database.run(policy_store.page, servers=[box.server_id])


async def deployment_id(box: Box, state: DeploymentState) -> int:
    found = await box.database.run(store.deployment_in, box.server_id, state)
    assert found is not None
    return found.id


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_around_every_call_a_held_server_is_held_and_a_released_one_launches_once(
    box: Box, *, after: bool
) -> None:
    await policy(box, SMOKE)

    await killed_everywhere(box, after=after)
    held = await box.server()
    starts = box.executor.starts
    await certify(box.database, box.server_id, "smoke")
    await killed_everywhere(box, after=after)

    assert (held.status, starts) == (Status.PENDING_EVALUATION, 0)
    assert "smoke" in held.status_reason
    await box.assert_runs_once()
    assert box.executor.starts == 1
    made = await decisions(box)
    assert [item.decision.verdict for item in made if item.purpose is Purpose.SERVE][
        -1
    ] is Verdict.HOLD_EVALUATION
    assert all([await box.database.run(is_reproduced, item) for item in made])
    assert await box.database.run(policy_store.holds_of, [box.server_id]) == {}


async def test_what_serves_goes_on_while_the_next_version_is_held(box: Box) -> None:
    await box.reconcile()
    await policy(box, SMOKE)
    await box.service.redeploy(box.principal, "time")

    await box.reconcile()
    await box.reconcile()

    server = await box.server()
    (held,) = (await box.database.run(policy_store.holds_of, [server.id]))[server.id]
    assert server.status is Status.RUNNING
    assert server.status_reason.count("is held") == 1
    assert server.deployment_id == await deployment_id(box, DeploymentState.LIVE)
    assert held.deployment_id == await deployment_id(box, DeploymentState.PENDING)


async def test_crash_of_what_lost_its_certification_is_held_and_not_restarted(
    box: Box,
) -> None:
    await box.reconcile()
    await policy(box, SMOKE)
    box.executor.crash()

    await box.reconcile()
    await asyncio.sleep(crashes.backoff(1).total_seconds())
    await box.reconcile()

    assert (await box.server()).status is Status.PENDING_EVALUATION
    assert box.executor.starts == 1


@pytest.mark.parametrize("on_expiry", ["keep", "stop"])
async def test_what_runs_ends_at_expiry_only_where_its_tier_says_so(
    box: Box, on_expiry: str
) -> None:
    await policy(box, {**SMOKE, "on_expiry": on_expiry})
    await box.reconcile()
    await certify(box.database, box.server_id, "smoke")
    await box.reconcile()
    await certify(box.database, box.server_id, "smoke", status="fail")

    await review(box)
    await box.reconcile()

    running = [item.state for item in box.executor.there.values()]
    assert running == ([InstanceState.RUNNING] if on_expiry == "keep" else [])
    status = (await box.server()).status
    assert status is (
        Status.RUNNING if on_expiry == "keep" else Status.PENDING_EVALUATION
    )


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_around_every_call_a_candidate_never_serves(
    box: Box, *, after: bool
) -> None:
    await policy(box, SMOKE)
    await box.reconcile()
    pending = await deployment_id(box, DeploymentState.PENDING)
    await box.database.run(candidate_store.add, box.server_id, pending, "run 1", 60)

    await killed_everywhere(box, after=after)
    (candidate,) = box.executor.there.values()
    beside = await box.server()
    await certify(box.database, box.server_id, "smoke")
    await killed_everywhere(box, after=after)

    assert candidate.purpose == CANDIDATE
    assert (beside.deployment_id, beside.status) == (None, Status.PENDING_EVALUATION)
    await box.assert_runs_once()
    (serving,) = box.executor.there.values()
    assert serving.purpose == "serve"
    assert box.executor.starts == 2
    kept = await box.database.run(vm_store.of_server, box.server_id)
    assert [(item.purpose, item.ended_at is None) for item in kept] == [
        ("serve", True)
    ] or len(kept) == 2


async def test_candidate_that_nobody_wants_any_more_is_removed(box: Box) -> None:
    await policy(box, SMOKE)
    await box.reconcile()
    pending = await deployment_id(box, DeploymentState.PENDING)
    lease = await box.database.run(
        candidate_store.add, box.server_id, pending, "run 1", 60
    )
    await box.reconcile()
    assert len(box.executor.there) == 1

    await box.database.run(candidate_store.remove, lease.id)
    await box.reconcile()

    assert box.executor.there == {}
    assert (await box.server()).status is Status.PENDING_EVALUATION


async def test_source_that_is_denied_is_not_even_built(box: Box) -> None:
    await policy(box, {"kind": "deny-source", "sources": ["pypi:mcp-server-*"]})

    await box.reconcile()

    assert box.builds.built == []
    assert (await box.server()).status is Status.ERROR
    (made,) = await decisions(box)
    assert (made.purpose, made.decision.verdict) == (Purpose.BUILD, Verdict.REFUSE)
