"""The life of a server as rules: facts in, one step out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from appliance.runtimes.model import Instance, InstanceState, Transport
from appliance.servers import crashes as rules
from appliance.servers import leaving, lifecycle
from appliance.servers.facts import Facts
from appliance.servers.health.model import Health, HealthState
from appliance.servers.lifecycle import next_step
from appliance.servers.model import (
    Deployment,
    DeploymentState,
    DesiredState,
    InstanceRecord,
    Server,
    ServerConfig,
    Status,
)
from appliance.sources.model import Ecosystem, PackageSource, RemoteSource, Source

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PACKAGE = PackageSource(Ecosystem.PYPI, "mcp-server-time")
REMOTE = RemoteSource("https://example.org/mcp")


def a_server(**changes: object) -> Server:
    server = Server(
        id=1,
        name="time",
        owner_id=1,
        server_type="Custom",
        source=PACKAGE,
        config=ServerConfig(),
        desired_state=DesiredState.RUNNING,
        status=Status.RUNNING,
        status_reason="",
        status_since=NOON,
        deployment_id=None,
        endpoint_key_prefix="mcps_",
        crashes=0,
        last_crash_at=None,
        created_at=NOON,
    )
    return replace(server, **changes)  # type: ignore[arg-type]


def a_deployment(
    number: int,
    state: DeploymentState,
    *,
    image: str | None = "sha256:1",
    source: Source = PACKAGE,
    reason: str = "",
) -> Deployment:
    return Deployment(
        id=number * 10,
        server_id=1,
        number=number,
        state=state,
        reason=reason,
        source=source,
        config=ServerConfig(),
        image=image,
        resolved={},
        manifest=None,
        requested_by="ada@example.org",
        created_at=NOON,
        finished_at=None,
    )


def an_instance(
    deployment: Deployment, state: InstanceState = InstanceState.RUNNING
) -> Instance:
    return Instance(
        name=f"mcp-time-{deployment.id}",
        container_id=f"c{deployment.id}",
        server_id=1,
        deployment_id=deployment.id,
        state=state,
    )


def a_record(deployment: Deployment, container_id: str | None = None) -> InstanceRecord:
    return InstanceRecord(
        deployment_id=deployment.id,
        executor="docker",
        name=f"mcp-time-{deployment.id}",
        container_id=f"c{deployment.id}" if container_id is None else container_id,
        transport=Transport.STDIO,
        address="",
        id=5,
    )


def facts(server: Server, *deployments: Deployment, **more: object) -> Facts:
    pending = next(
        (item for item in deployments if item.state is DeploymentState.PENDING), None
    )
    live = next(
        (item for item in deployments if item.state is DeploymentState.LIVE), None
    )
    newest = max(deployments, key=lambda item: item.number, default=None)
    base = Facts(
        server=server,
        pending=pending,
        live=live,
        newest=newest,
        instances=(),
        records=(),
        now=NOON,
    )
    return replace(base, **more)  # type: ignore[arg-type]


PENDING = a_deployment(2, DeploymentState.PENDING)
UNBUILT = a_deployment(2, DeploymentState.PENDING, image=None)
LIVE = a_deployment(1, DeploymentState.LIVE)


def test_a_new_server_is_built_first() -> None:
    assert next_step(facts(a_server(), UNBUILT)) == lifecycle.Build(UNBUILT)


def test_a_built_deployment_is_launched() -> None:
    assert next_step(facts(a_server(), PENDING)) == lifecycle.Launch(PENDING)


def test_a_container_left_created_by_a_crash_is_launched_again() -> None:
    created = an_instance(PENDING, InstanceState.CREATED)

    assert next_step(
        facts(a_server(), PENDING, instances=(created,))
    ) == lifecycle.Launch(PENDING)


def test_a_running_instance_that_the_gateway_does_not_know_is_recorded() -> None:
    running = an_instance(PENDING)

    step = next_step(facts(a_server(), PENDING, instances=(running,)))

    assert step == lifecycle.Record(PENDING, running)


def test_a_recorded_instance_is_probed_before_it_counts_as_live() -> None:
    server = a_server(deployment_id=PENDING.id, status=Status.STARTING)

    step = next_step(
        facts(
            server,
            PENDING,
            instances=(an_instance(PENDING),),
            records=(a_record(PENDING),),
        )
    )

    assert step == lifecycle.Probe(PENDING, 5)


def test_a_new_instance_that_ended_before_answering_fails_its_deployment() -> None:
    ended = an_instance(PENDING, InstanceState.EXITED)

    step = next_step(facts(a_server(), PENDING, instances=(ended,)))

    assert step == lifecycle.FailDeployment(PENDING, ended)


def test_an_http_server_that_moved_to_another_port_is_recorded_again() -> None:
    moved = replace(an_instance(LIVE), address="http://127.0.0.1:2/mcp")
    old = replace(
        a_record(LIVE),
        transport=Transport.STREAMABLE_HTTP,
        address="http://127.0.0.1:1/mcp",
    )

    step = next_step(
        facts(a_server(deployment_id=LIVE.id), LIVE, instances=(moved,), records=(old,))
    )

    assert step == lifecycle.Record(LIVE, moved)


def test_a_live_server_that_runs_needs_nothing() -> None:
    server = a_server(deployment_id=LIVE.id)

    step = next_step(
        facts(server, LIVE, instances=(an_instance(LIVE),), records=(a_record(LIVE),))
    )

    assert step == lifecycle.Settled(Status.RUNNING)


def test_what_an_older_deployment_left_running_is_removed() -> None:
    old = an_instance(a_deployment(0, DeploymentState.SUPERSEDED))
    server = a_server(deployment_id=LIVE.id)

    step = next_step(
        facts(
            server, LIVE, instances=(old, an_instance(LIVE)), records=(a_record(LIVE),)
        )
    )

    assert step == lifecycle.RemoveInstances((old.name,))


def test_the_live_instance_stays_while_a_new_deployment_builds() -> None:
    server = a_server(deployment_id=LIVE.id)

    step = next_step(
        facts(
            server,
            LIVE,
            UNBUILT,
            instances=(an_instance(LIVE),),
            records=(a_record(LIVE),),
        )
    )

    assert step == lifecycle.Build(UNBUILT)


def test_an_end_is_counted_as_a_crash_once() -> None:
    ended = an_instance(LIVE, InstanceState.EXITED)
    server = a_server(deployment_id=LIVE.id)

    first = next_step(
        facts(server, LIVE, instances=(ended,), records=(a_record(LIVE),))
    )
    second = next_step(facts(server, LIVE, instances=(ended,)))

    assert first == lifecycle.RecordCrash(LIVE, ended)
    assert second == lifecycle.RemoveInstances((ended.name,))


def test_an_end_with_the_engine_is_no_crash() -> None:
    ended = replace(an_instance(LIVE, InstanceState.EXITED), ended_with_engine=True)
    server = a_server(deployment_id=LIVE.id)

    step = next_step(facts(server, LIVE, instances=(ended,), records=(a_record(LIVE),)))

    assert step == lifecycle.RemoveInstances((ended.name,), lifecycle.ENDED_WITH_ENGINE)


def test_a_crash_in_the_future_is_not_waited_for() -> None:
    """The wall clock was put back since."""
    server = a_server(crashes=3, last_crash_at=NOON + timedelta(hours=3))

    assert next_step(facts(server, LIVE)) == lifecycle.Launch(LIVE)
    assert rules.count_crash(server, NOON) == 1


def test_a_crashed_server_waits_before_it_starts_again() -> None:
    server = a_server(crashes=3, last_crash_at=NOON, status_reason="Crashed")

    step = next_step(facts(server, LIVE))

    assert step == lifecycle.WaitUntil(NOON + timedelta(seconds=4), "Crashed")


def test_a_crashed_server_starts_again_after_the_wait() -> None:
    server = a_server(crashes=3, last_crash_at=NOON - timedelta(seconds=4))

    assert next_step(facts(server, LIVE)) == lifecycle.Launch(LIVE)


def test_a_server_that_keeps_crashing_is_left_alone() -> None:
    server = a_server(
        crashes=rules.MAX_CRASHES,
        last_crash_at=NOON - timedelta(hours=1),
        status_reason="why",
    )

    assert next_step(facts(server, LIVE)) == lifecycle.Settled(Status.ERROR, "why")


def test_crashes_long_ago_do_not_count() -> None:
    server = a_server(
        crashes=4, last_crash_at=NOON - rules.CRASH_WINDOW - timedelta(seconds=1)
    )

    assert rules.count_crash(server, NOON) == 1


@pytest.mark.parametrize(
    ("crashes", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (60, 60)]
)
def test_the_pause_doubles_up_to_a_minute(crashes: int, seconds: int) -> None:
    assert rules.backoff(crashes) == timedelta(seconds=seconds)


def test_without_anything_live_the_last_reason_is_the_status() -> None:
    failed = a_deployment(1, DeploymentState.FAILED, reason="no such package")

    assert next_step(facts(a_server(), failed)) == lifecycle.Settled(
        Status.ERROR, "no such package"
    )


def test_instances_of_failed_deployments_are_removed() -> None:
    failed = a_deployment(1, DeploymentState.FAILED)

    step = next_step(facts(a_server(), failed, instances=(an_instance(failed),)))

    assert step == lifecycle.RemoveInstances((f"mcp-time-{failed.id}",))


def test_stopping_cancels_what_is_pending_first() -> None:
    server = a_server(desired_state=DesiredState.STOPPED)

    assert next_step(facts(server, UNBUILT)) == lifecycle.CancelDeployment(UNBUILT)


def test_stopping_ends_every_instance() -> None:
    server = a_server(desired_state=DesiredState.STOPPED)

    step = next_step(facts(server, LIVE, instances=(an_instance(LIVE),)))

    assert step == lifecycle.StopInstances((f"mcp-time-{LIVE.id}",))


def test_stopping_takes_a_remote_server_from_the_gateway() -> None:
    server = a_server(desired_state=DesiredState.STOPPED)

    assert next_step(
        facts(server, LIVE, records=(a_record(LIVE),))
    ) == lifecycle.StopInstances(())


def test_a_stopped_server_with_nothing_left_is_stopped() -> None:
    server = a_server(desired_state=DesiredState.STOPPED)

    assert next_step(facts(server, LIVE)) == lifecycle.Settled(Status.STOPPED)


def test_deleting_comes_before_everything() -> None:
    server = a_server(desired_state=DesiredState.DELETED)

    assert (
        next_step(facts(server, UNBUILT, LIVE, instances=(an_instance(LIVE),)))
        == lifecycle.Destroy()
    )


def test_a_remote_server_is_recorded_then_probed() -> None:
    remote = a_deployment(1, DeploymentState.PENDING, image="", source=REMOTE)
    routed = a_server(deployment_id=remote.id)

    assert next_step(facts(a_server(), remote)) == lifecycle.Launch(remote)
    assert next_step(
        facts(routed, remote, records=(a_record(remote, ""),))
    ) == lifecycle.Probe(remote, 5)


def test_an_unwell_server_is_asked_once_a_run() -> None:
    server = a_server(
        deployment_id=LIVE.id, status=Status.DEGRADED, status_reason="silent"
    )
    there = {"instances": (an_instance(LIVE),), "records": (a_record(LIVE),)}

    assert next_step(facts(server, LIVE, **there)) == lifecycle.Probe(LIVE, 5)
    assert next_step(facts(server, LIVE, **there, is_unwell=True)) == lifecycle.Settled(
        Status.DEGRADED, "silent"
    )


# -- two instances at once


def a_leaving_record(deployment: Deployment, **changes: object) -> InstanceRecord:
    leaving = replace(
        a_record(deployment),
        id=4,
        leaving_since=NOON,
        leave_by=NOON + timedelta(seconds=60),
    )
    return replace(leaving, **changes)  # type: ignore[arg-type]


OLD = a_deployment(0, DeploymentState.SUPERSEDED)
BOTH = {
    "instances": (an_instance(OLD), an_instance(LIVE)),
    "records": (a_leaving_record(OLD), a_record(LIVE)),
}


def test_an_instance_that_is_left_stays_while_calls_go_on() -> None:
    server = a_server(deployment_id=LIVE.id)

    step = next_step(facts(server, LIVE, **BOTH))

    assert step == lifecycle.Settled(
        Status.RUNNING, look_again=NOON + leaving.FIRST_LOOK
    )


def test_an_instance_that_is_left_goes_when_it_is_quiet() -> None:
    server = a_server(deployment_id=LIVE.id)

    step = next_step(facts(server, LIVE, **BOTH, quiet=frozenset({4})))

    assert step == lifecycle.RemoveInstances((f"mcp-time-{OLD.id}",))


def test_an_instance_that_is_left_goes_when_its_time_is_over() -> None:
    server = a_server(deployment_id=LIVE.id)
    late = NOON + timedelta(seconds=60)

    step = next_step(facts(server, LIVE, **BOTH, now=late))

    assert step == lifecycle.RemoveInstances((f"mcp-time-{OLD.id}",))


def test_an_instance_that_is_left_goes_when_it_ended() -> None:
    server = a_server(deployment_id=LIVE.id)
    ended = (an_instance(OLD, InstanceState.EXITED), an_instance(LIVE))

    step = next_step(facts(server, LIVE, **BOTH | {"instances": ended}))

    assert step == lifecycle.RemoveInstances((f"mcp-time-{OLD.id}",))


def test_a_remote_address_that_is_left_is_forgotten_when_it_is_quiet() -> None:
    remote = a_deployment(1, DeploymentState.LIVE, image="", source=REMOTE)
    server = a_server(deployment_id=remote.id)
    records = (a_leaving_record(OLD, container_id=""), a_record(remote, ""))

    staying = next_step(facts(server, remote, records=records))
    gone = next_step(facts(server, remote, records=records, quiet=frozenset({4})))

    assert isinstance(staying, lifecycle.Settled)
    assert gone == lifecycle.RemoveInstances((f"mcp-time-{OLD.id}",))


def test_a_new_instance_is_probed_while_clients_are_still_sent_to_the_old_one() -> None:
    server = a_server(deployment_id=LIVE.id)
    new = replace(a_record(PENDING), id=6)

    step = next_step(
        facts(
            server,
            LIVE,
            PENDING,
            instances=(an_instance(LIVE), an_instance(PENDING)),
            records=(a_record(LIVE), new),
        )
    )

    assert step == lifecycle.Probe(PENDING, 6)


def test_the_live_one_is_mended_before_a_new_one_is_built() -> None:
    server = a_server(deployment_id=LIVE.id)
    ended = an_instance(LIVE, InstanceState.EXITED)

    step = next_step(
        facts(server, LIVE, UNBUILT, instances=(ended,), records=(a_record(LIVE),))
    )

    assert step == lifecycle.RecordCrash(LIVE, ended)


def test_a_live_one_that_was_stopped_is_not_started_for_a_new_one() -> None:
    assert next_step(facts(a_server(), LIVE, UNBUILT)) == lifecycle.Build(UNBUILT)


# -- health


def a_verdict(state: HealthState, reason: str = "") -> Health:
    return Health(state, reason, "", 0, NOON, NOON)


@pytest.mark.parametrize(
    ("status", "verdict", "settled"),
    [
        (
            Status.RUNNING,
            a_verdict(HealthState.FAILING, "all calls fail"),
            (Status.DEGRADED, "all calls fail"),
        ),
        (Status.DEGRADED, a_verdict(HealthState.READY), (Status.RUNNING, "")),
        (Status.DEGRADED, a_verdict(HealthState.UNKNOWN), (Status.DEGRADED, "why")),
        (Status.RUNNING, a_verdict(HealthState.UNKNOWN), (Status.RUNNING, "why")),
    ],
)
def test_the_status_follows_what_the_checks_found(
    status: Status, verdict: Health, settled: tuple[Status, str]
) -> None:
    server = a_server(deployment_id=LIVE.id, status=status, status_reason="why")
    there = {"instances": (an_instance(LIVE),), "records": (a_record(LIVE),)}

    step = next_step(facts(server, LIVE, **there, health=verdict))

    assert step == lifecycle.Settled(*settled)


def test_builds_for_an_organisation_are_nobody_elses() -> None:
    own, of_org = a_server(owner_id=7), a_server(owner_id=7, org_id=7)

    assert own.builds_for == 7
    assert of_org.builds_for != own.builds_for
    assert of_org.builds_for == a_server(owner_id=8, org_id=7).builds_for
