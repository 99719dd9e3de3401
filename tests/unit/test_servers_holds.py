"""The life of a server whose deployment may not be launched, as rules."""

from dataclasses import replace
from datetime import timedelta

from appliance.runtimes.model import CANDIDATE, InstanceState
from appliance.servers import lifecycle, wording
from appliance.servers.facts import Held
from appliance.servers.lifecycle import next_step
from appliance.servers.model import Status
from tests.unit.test_servers_lifecycle import (
    LIVE,
    NOON,
    PENDING,
    REMOTE,
    a_deployment,
    a_record,
    a_server,
    an_instance,
    facts,
)

HELD = Held(PENDING.id, Status.PENDING_EVALUATION, "smoke is missing.")
LIVE_HELD = Held(LIVE.id, Status.PENDING_GOVERNANCE, "No promotion is active.")
LEASE = {PENDING.id: NOON + timedelta(minutes=5)}
TRYING = replace(an_instance(PENDING), purpose=CANDIDATE)
SERVING = {"instances": (an_instance(LIVE),), "records": (a_record(LIVE),)}


def test_held_server_of_which_nothing_runs_waits_and_says_why() -> None:
    step = next_step(facts(a_server(), PENDING, held=(HELD,)))

    assert step == lifecycle.Settled(Status.PENDING_EVALUATION, "smoke is missing.")


def test_held_deployment_leaves_the_status_to_the_one_that_serves() -> None:
    server = a_server(deployment_id=LIVE.id)

    step = next_step(facts(server, LIVE, PENDING, held=(HELD,), **SERVING))

    assert step == lifecycle.Settled(
        Status.RUNNING, "Deployment 2 is held: smoke is missing."
    )


def test_reason_of_a_hold_is_not_said_twice_nor_kept_when_it_is_lifted() -> None:
    told = "Slow. Deployment 2 is held: smoke is missing."
    server = a_server(deployment_id=LIVE.id, status_reason=told)

    again = next_step(facts(server, LIVE, PENDING, held=(HELD,), **SERVING))
    lifted = next_step(facts(server, LIVE, **SERVING))

    assert again == lifecycle.Settled(Status.RUNNING, told)
    assert lifted == lifecycle.Settled(Status.RUNNING, "Slow.")
    assert wording.without_hold(told) == "Slow."


def test_live_server_that_crashed_and_is_held_does_not_start_again() -> None:
    step = next_step(facts(a_server(), LIVE, held=(LIVE_HELD,)))

    assert step == lifecycle.Settled(
        Status.PENDING_GOVERNANCE, "No promotion is active."
    )


def test_what_may_not_go_on_running_ends() -> None:
    server = a_server(deployment_id=LIVE.id)

    step = next_step(facts(server, LIVE, ended=frozenset({LIVE.id}), **SERVING))

    assert step == lifecycle.RemoveInstances((an_instance(LIVE).name,))


def test_candidate_is_launched_while_somebody_wants_it() -> None:
    step = next_step(facts(a_server(), PENDING, held=(HELD,), leases=LEASE))

    assert step == lifecycle.Launch(PENDING, CANDIDATE)


def test_candidate_that_runs_is_recorded_and_left_alone_until_its_lease_ends() -> None:
    untold = facts(a_server(), PENDING, held=(HELD,), leases=LEASE, instances=(TRYING,))
    record = replace(a_record(PENDING), purpose=CANDIDATE)
    told = replace(untold, records=(record,))

    assert next_step(untold) == lifecycle.Record(PENDING, TRYING)
    assert next_step(told) == lifecycle.Settled(
        HELD.status, HELD.reason, LEASE[PENDING.id]
    )


def test_candidate_that_nobody_wants_any_more_is_removed() -> None:
    step = next_step(facts(a_server(), PENDING, held=(HELD,), instances=(TRYING,)))

    assert step == lifecycle.RemoveInstances((TRYING.name,))


def test_candidate_that_ended_is_not_started_again() -> None:
    ended = replace(TRYING, state=InstanceState.EXITED, exit_code=1)

    step = next_step(
        facts(a_server(), PENDING, held=(HELD,), leases=LEASE, instances=(ended,))
    )

    assert isinstance(step, lifecycle.Settled)


def test_candidate_never_becomes_the_one_that_serves() -> None:
    record = replace(a_record(PENDING), purpose=CANDIDATE)
    running = facts(a_server(), PENDING, instances=(TRYING,), records=(record,))

    asked = next_step(running)
    lifted = next_step(replace(running, lifted=frozenset({PENDING.id})))

    assert asked == lifecycle.Ask(PENDING)
    assert lifted == lifecycle.RemoveInstances((TRYING.name,))


def test_container_that_was_only_created_is_no_candidate() -> None:
    created = an_instance(PENDING, InstanceState.CREATED)

    step = next_step(
        facts(a_server(), PENDING, held=(HELD,), leases=LEASE, instances=(created,))
    )

    assert step == lifecycle.RemoveInstances((created.name,))


def test_candidate_of_a_remote_server_makes_room_before_it_serves() -> None:
    remote = a_deployment(2, PENDING.state, image="", source=REMOTE)
    record = replace(a_record(remote, container_id=""), purpose=CANDIDATE)
    running = facts(a_server(), remote, records=(record,))

    assert next_step(running) == lifecycle.Ask(remote)
    assert next_step(replace(running, lifted=frozenset({remote.id}))) == (
        lifecycle.RemoveInstances((record.name,))
    )


def test_what_is_refused_runs_not_even_for_evaluation() -> None:
    refused = replace(HELD, status=Status.ERROR, is_refused=True)

    step = next_step(facts(a_server(), PENDING, held=(refused,), leases=LEASE))

    assert step == lifecycle.Settled(Status.ERROR, HELD.reason)
