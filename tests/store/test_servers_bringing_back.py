"""The job that goes back to the version before on a real Postgres, killed at every single transaction."""

from functools import partial
from typing import Any, cast

import pytest

from appliance.infra.database import Database
from appliance.jobs.model import JobContext
from appliance.policy import store as policy_store
from appliance.servers import store
from appliance.servers.bringing_back import BringBack
from appliance.servers.deploys import lock_store
from appliance.servers.deploys.model import Trigger
from appliance.servers.gate import Gate
from appliance.servers.model import Deployment, DeploymentState
from tests.fakes.box import KilledError, Mortal, MortalDatabase
from tests.harness.governed import certify
from tests.store.test_policy_holds import SMOKE, policy
from tests.store.test_servers_reconciler import Box, box

__all__ = ["box"]
CONTEXT = cast("JobContext", None)  # the job asks it nothing


async def deployments(box: Box) -> list[Deployment]:
    """Return them all, newest first."""
    return await box.database.run(store.deployments, box.server_id)


async def second_version(box: Box, *, first_is_certified: bool = True) -> None:
    """Let a second version take the first one's place, while certifications are asked for."""
    await box.reconcile()
    await policy(box, SMOKE)
    if first_is_certified:
        await certify(box.database, box.server_id, "smoke")
    await box.service.redeploy(box.principal, "time")
    await box.reconcile()
    await certify(box.database, box.server_id, "smoke")
    await box.reconcile()
    await box.assert_runs_once()


async def lose_certification(box: Box) -> None:
    await certify(box.database, box.server_id, "smoke", status="fail")


async def asked(box: Box) -> dict[str, Any]:
    """Return what the job is told when the second version's promotion is rolled back."""
    second, first = (await deployments(box))[:2]
    digests = [
        await box.database.run(policy_store.digest_of, item.id)
        for item in (second, first)
    ]
    assert None not in digests
    return {
        "server_id": box.server_id,
        "digest": digests[0],
        "to_digest": digests[1],
        "promotion_id": 7,
        "by": "ada",
    }


async def bring_back(
    box: Box, payload: dict[str, Any], mortal: Mortal | None = None
) -> None:
    """Run the job once, as a process that may be about to die."""
    database = cast("Database", MortalDatabase(box.database, mortal or Mortal()))
    await BringBack(database, Gate(database, [box.executor]))(CONTEXT, payload)


async def test_what_may_no_longer_launch_makes_room_for_the_version_before_without_a_build(
    box: Box,
) -> None:
    await second_version(box)
    await lose_certification(box)

    await bring_back(box, await asked(box))
    await box.reconcile()

    third, second, first = await deployments(box)
    await box.assert_runs_once()
    assert third.state is DeploymentState.LIVE
    assert (third.trigger, third.requested_by) == (Trigger.ROLLBACK, "ada")
    assert third.reason == "Promotion 7 of deployment 2 was rolled back."
    assert (third.image, third.made_of) == (first.image, first.number)
    assert third.image != second.image
    assert box.builds.built == [first.id, second.id]


async def test_what_may_still_launch_goes_on(box: Box) -> None:
    await second_version(box)

    await bring_back(box, await asked(box))

    assert [item.number for item in await deployments(box)] == [2, 1]


async def test_what_is_live_goes_on_where_the_version_before_may_not_launch_either(
    box: Box,
) -> None:
    await second_version(box, first_is_certified=False)
    await lose_certification(box)

    await bring_back(box, await asked(box))

    assert [item.number for item in await deployments(box)] == [2, 1]


@pytest.mark.parametrize("wrong", ["digest", "to_digest"])
async def test_nothing_happens_where_another_version_is_live_or_the_one_before_is_not_kept(
    box: Box, wrong: str
) -> None:
    await second_version(box)
    await lose_certification(box)

    await bring_back(box, {**await asked(box), wrong: "sha256:" + "f" * 64})

    assert [item.number for item in await deployments(box)] == [2, 1]


async def test_a_stopped_server_stays_stopped(box: Box) -> None:
    await second_version(box)
    await lose_certification(box)
    payload = await asked(box)
    await box.service.stop(box.principal, "time")

    await bring_back(box, payload)

    assert [item.number for item in await deployments(box)] == [2, 1]


async def test_a_locked_server_keeps_what_is_live(box: Box) -> None:
    await second_version(box)
    await lose_certification(box)
    lock = partial(lock_store.put, box.server_id, reason="Freeze.", locked_by="ada")
    await box.database.run(lock)

    await bring_back(box, await asked(box))

    assert [item.number for item in await deployments(box)] == [2, 1]


async def test_twice_is_harmless_before_and_after_the_version_before_is_live(
    box: Box,
) -> None:
    await second_version(box)
    await lose_certification(box)
    payload = await asked(box)

    await bring_back(box, payload)
    await bring_back(box, payload)
    await box.reconcile()
    await bring_back(box, payload)

    assert [item.number for item in await deployments(box)] == [3, 2, 1]
    await box.assert_runs_once()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_around_every_transaction_it_goes_back_once(
    box: Box, *, after: bool
) -> None:
    await second_version(box)
    await lose_certification(box)
    payload = await asked(box)

    deaths = 0
    while True:
        try:
            await bring_back(box, payload, Mortal(at=deaths + 1, after=after))
        except KilledError:
            deaths += 1
        else:
            break
    await box.reconcile()

    states = [item.state for item in await deployments(box)]
    # Told apart, decided about both, and written; the last one may be done by the process that died.
    assert deaths >= 6 - after
    assert states[0] is DeploymentState.LIVE
    assert states[1:] == [DeploymentState.SUPERSEDED] * 2
    await box.assert_runs_once()
