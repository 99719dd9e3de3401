"""Going back, cancelling and locking, on a real Postgres with everything else in memory."""

from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from appliance.builds.service import BuildService
from appliance.core.clock import now
from appliance.infra.database import proxy
from appliance.servers import deployment_store, store, watching
from appliance.servers.deployments import DeploymentService
from appliance.servers.deploys.model import Trigger
from appliance.servers.errors import (
    DeployLockedError,
    NotPendingError,
    NotRetainedError,
)
from appliance.servers.model import Deployment, DeploymentState, Status
from tests.store.test_servers_reconciler import Box, box

__all__ = ["box"]


@pytest.fixture
def deployments(box: Box) -> DeploymentService:
    return DeploymentService(box.database, cast("BuildService", box.builds))


async def deploy(box: Box, times: int = 1) -> None:
    """Deploy so often, each time to its end."""
    for _ in range(times):
        if (await box.server()).status is Status.RUNNING:
            await box.service.redeploy(box.principal, "time")
        await box.reconcile()


async def newest(box: Box) -> Deployment:
    return (await box.service.deployments(box.principal, "time"))[0]


async def test_going_back_runs_the_old_image_without_a_build(
    box: Box, deployments: DeploymentService
) -> None:
    await deploy(box, 2)
    first, second = (await box.service.deployments(box.principal, "time"))[::-1]

    await deployments.rollback(box.principal, "time", 1)
    await box.reconcile()

    await box.assert_runs_once()
    made = await newest(box)
    assert (made.number, made.state, made.image) == (
        3,
        DeploymentState.LIVE,
        first.image,
    )
    assert (made.trigger, made.made_of) == (Trigger.ROLLBACK, 1)
    assert box.builds.built == [first.id, second.id]


async def test_going_back_takes_the_source_and_what_runs_along_and_leaves_what_does_not(
    box: Box, deployments: DeploymentService
) -> None:
    await deploy(box)
    server = await box.server()
    changed = replace(server.config, cpu_limit=2.0, listed=True)
    await box.service.configure(box.principal, "time", changed)
    await box.reconcile()

    await deployments.rollback(box.principal, "time", 1)

    config = (await box.server()).config
    assert config.cpu_limit == server.config.cpu_limit
    assert config.listed


async def test_what_runs_is_compared_with_what_was_wanted(box: Box) -> None:
    await deploy(box)

    live = await newest(box)
    assert live.running_digest == live.wanted_digest == live.image
    assert live.compared_at


async def test_only_retained_deployments_can_be_gone_back_to(
    box: Box, deployments: DeploymentService
) -> None:
    await deploy(box, 7)

    shown = await deployments.page(box.principal, "time")
    assert [view.deployment.number for view in shown if view.is_retained] == [
        6,
        5,
        4,
        3,
        2,
    ]
    with pytest.raises(NotRetainedError):
        await deployments.rollback(box.principal, "time", 1)
    with pytest.raises(NotRetainedError, match="live already"):
        await deployments.rollback(box.principal, "time", 7)


async def test_images_that_can_be_gone_back_to_are_kept_from_pruning(
    box: Box, deployments: DeploymentService
) -> None:
    await deploy(box, 7)
    await deployments.rollback(box.principal, "time", 2)
    await box.reconcile()
    await deploy(box, 5)

    kept = await box.database.run(store.deployments_referred)
    rows = await deployments.page(box.principal, "time", limit=50)
    numbers = {view.deployment.number for view in rows if view.deployment.id in kept}
    # Deployment 8 runs what was built for deployment 2.
    assert numbers == {13, 12, 11, 10, 9, 8, 2}


async def test_a_cancelled_deployment_leaves_the_old_one_serving(
    box: Box, deployments: DeploymentService
) -> None:
    await deploy(box)
    await box.service.redeploy(box.principal, "time")

    view = await deployments.cancel(box.principal, "time", 2)
    await box.reconcile()

    assert view.deployment.state is DeploymentState.CANCELLED
    assert "ada@example.org" in view.deployment.reason
    await box.assert_runs_once()
    with pytest.raises(NotPendingError, match="cancelled already"):
        await deployments.cancel(box.principal, "time", 2)


async def test_a_locked_server_is_not_deployed_by_people(
    box: Box, deployments: DeploymentService
) -> None:
    await deploy(box, 2)
    await deployments.lock(box.principal, "time", "demo at five")

    with pytest.raises(DeployLockedError, match=r"ada@example.org .*: demo at five"):
        await box.service.redeploy(box.principal, "time")
    with pytest.raises(DeployLockedError):
        await deployments.rollback(box.principal, "time", 1)
    await deployments.unlock(box.principal, "time")
    await box.service.redeploy(box.principal, "time")


def calls(number: int, *, failed: int = 0, of: int = 20) -> None:
    """Write down calls of a deployment as the gateway does."""
    deployment = deployment_store.numbered(1, number)
    for index in range(of):
        proxy.execute_sql(
            "INSERT INTO invocations (started_at, duration_ms, server_id, deployment_id, principal, method, target,"
            " http_status, error_class, request_bytes, response_bytes, traceparent)"
            " VALUES (%s, 1, 1, %s, 'user:1', 'tools/call', 'x', 200, %s, 1, 1, '')",
            (
                (deployment.live_at or now()) + timedelta(milliseconds=index),
                deployment.id,
                "tool_error" if index < failed else "",
            ),
        )


async def test_a_version_whose_calls_fail_is_taken_back(
    box: Box,
) -> None:
    await deploy(box, 2)
    await box.database.run(calls, 1)
    await box.database.run(calls, 2, failed=15)

    goes_on = await box.database.run(watching.look, box.server_id, 2)
    await box.reconcile()

    assert not goes_on
    await box.assert_runs_once()
    made, bad, good = await box.service.deployments(box.principal, "time")
    assert (made.trigger, made.state) == (
        Trigger.AUTOMATIC_ROLLBACK,
        DeploymentState.LIVE,
    )
    assert made.image == good.image
    assert bad.state is DeploymentState.ROLLED_BACK
    assert "15 of its first 20 calls failed" in bad.reason
    reason = (await box.server()).status_reason
    assert reason.startswith("Deployment 2 failed: 15 of its first 20")


async def test_a_locked_version_that_fails_is_taken_back_all_the_same(
    box: Box, deployments: DeploymentService
) -> None:
    await deploy(box, 2)
    await deployments.lock(box.principal, "time", "demo at five")
    await box.database.run(calls, 2, failed=20)

    await box.database.run(watching.look, box.server_id, 2)

    assert (await newest(box)).trigger is Trigger.AUTOMATIC_ROLLBACK


@pytest.mark.parametrize(
    "way", ["good calls", "a newer one", "switched off", "too late"]
)
async def test_a_version_is_not_taken_back_for(box: Box, way: str) -> None:
    await deploy(box, 2)
    await box.database.run(calls, 2, failed=0 if way == "good calls" else 20)
    if way == "a newer one":
        await deploy(box)
    if way == "switched off":
        await set_policy(box, auto_rollback=False)
    if way == "too late":
        await set_policy(box, watch_s=0)

    await box.database.run(watching.look, box.server_id, 2)

    assert (await newest(box)).trigger is not Trigger.AUTOMATIC_ROLLBACK


async def set_policy(box: Box, **policy: object) -> None:
    config = (await box.server()).config
    changed = replace(config, deploys=replace(config.deploys, **policy))  # type: ignore[arg-type]
    await box.service.configure(box.principal, "time", changed)


async def test_a_comparison_names_what_a_deployment_changed(
    box: Box, deployments: DeploymentService
) -> None:
    await deploy(box)
    config = replace((await box.server()).config, cpu_limit=2.0)
    await box.service.configure(box.principal, "time", config)
    await box.reconcile()

    found = await deployments.compare(box.principal, "time", 2)

    assert found.before is not None
    assert found.before.number == 1
    by_field = {change.field: (change.before, change.after) for change in found.changes}
    assert by_field["config.cpu_limit"] == (1.0, 2.0)
