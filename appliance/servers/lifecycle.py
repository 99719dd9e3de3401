"""What to do next with a server: facts in, one step out. Pure.

Nothing here remembers anything. Whatever was half done when the hub died shows in the facts, so the same rules bring a
server up, carry on after a crash, and clean up what is left over.
"""

from dataclasses import dataclass
from datetime import datetime

from appliance.runtimes.model import (
    CANDIDATE,
    SERVE,
    Instance,
    InstanceState,
    Transport,
)
from appliance.servers import leaving, wording
from appliance.servers.crashes import has_given_up, start_again_at
from appliance.servers.facts import Facts
from appliance.servers.health.model import HealthState
from appliance.servers.model import (
    Deployment,
    DesiredState,
    InstanceRecord,
    Status,
)
from appliance.sources.model import RemoteSource

#: How a reason begins that says what a server needs of people.
SIGNIN = "Needs sign-in"
ENDED_WITH_ENGINE = "It ended while the container engine was away, and starts again."


@dataclass(frozen=True)
class Destroy:
    """Remove everything: instances, network, volume, images, rows."""


@dataclass(frozen=True)
class StopInstances:
    """End and remove these instances."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class CancelDeployment:
    """Nobody wants this deployment any more."""

    deployment: Deployment


@dataclass(frozen=True)
class Build:
    """Make the deployment's image."""

    deployment: Deployment


@dataclass(frozen=True)
class Launch:
    """Start an instance of the deployment, if the policy has it launched, and tell the gateway."""

    deployment: Deployment
    #: ``candidate``: to be evaluated alone, while it is held.
    purpose: str = SERVE


@dataclass(frozen=True)
class Ask:
    """Ask the policy whether what runs as a candidate may serve by now."""

    deployment: Deployment


@dataclass(frozen=True)
class Record:
    """An instance runs that the gateway was not told of, or not rightly."""

    deployment: Deployment
    instance: Instance


@dataclass(frozen=True)
class Probe:
    """Ask the server over the path that its users take; what it answers decides."""

    deployment: Deployment
    #: The instance that must answer, by its number in what the gateway was told.
    record_id: int


@dataclass(frozen=True)
class FailDeployment:
    """The deployment's instance ended before it ever answered."""

    deployment: Deployment
    instance: Instance


@dataclass(frozen=True)
class RecordCrash:
    """The live deployment's instance ended: count it, then clear it away."""

    deployment: Deployment
    instance: Instance


@dataclass(frozen=True)
class RemoveInstances:
    """Clear away instances that nobody routes to or that ended."""

    names: tuple[str, ...]
    #: Told meanwhile, if there is something to tell.
    reason: str = ""


@dataclass(frozen=True)
class WaitUntil:
    """Nothing to do before this moment."""

    moment: datetime
    reason: str


@dataclass(frozen=True)
class Settled:
    """The server is as wanted, or as near as it will come by itself."""

    status: Status
    reason: str = ""
    #: When to look whether those who are leaving have left.
    look_again: datetime | None = None


Step = (
    Destroy
    | StopInstances
    | CancelDeployment
    | Build
    | Launch
    | Ask
    | Record
    | Probe
    | FailDeployment
    | RecordCrash
    | RemoveInstances
    | WaitUntil
    | Settled
)


def next_step(facts: Facts) -> Step:
    """Return the one thing to do now; doing it and asking again ends in ``Settled`` or ``WaitUntil``."""
    match facts.server.desired_state:
        case DesiredState.DELETED:
            return Destroy()
        case DesiredState.STOPPED:
            return _towards_stopped(facts)
        case DesiredState.RUNNING:
            return _towards_running(facts)


def _towards_stopped(facts: Facts) -> Step:
    if facts.pending:
        return CancelDeployment(facts.pending)
    if facts.instances or facts.records:
        return StopInstances(tuple(instance.name for instance in facts.instances))
    return Settled(Status.STOPPED)


def _towards_running(facts: Facts) -> Step:
    if gone := leaving.gone(facts):
        return RemoveInstances(gone)
    if ended := _ended(facts):
        return RemoveInstances(ended)
    if facts.pending:
        mended = facts.live and _mend(facts, facts.live)
        return mended or _bring_up(facts, facts.pending)
    if facts.live:
        return _keep_up(facts, facts.live)
    reason = (
        facts.newest.reason
        if facts.newest
        else "Nothing was deployed yet. Redeploy it."
    )
    return Settled(Status.ERROR, reason)


def _ended(facts: Facts) -> tuple[str, ...]:
    """Return the instances that may not go on running."""
    known: list[Instance | InstanceRecord] = [*facts.instances, *facts.records]
    found = {
        item.name
        for item in known
        if item.deployment_id in facts.ended and item.purpose == SERVE
    }
    return tuple(sorted(found))


def _gated(facts: Facts, deployment: Deployment) -> Step | None:
    """Return what to do with a deployment that is held, or runs as a candidate; ``None``: neither is known of it."""
    instance, record = _instance(facts, deployment), _record(facts, deployment)
    known = instance or record
    is_candidate = known is not None and known.purpose == CANDIDATE
    held = facts.held_of(deployment)
    if held is None:
        if known is None or not is_candidate:
            return None
        is_lifted = deployment.id in facts.lifted
        return RemoveInstances((known.name,)) if is_lifted else Ask(deployment)
    until = None if held.is_refused else facts.leases.get(deployment.id)
    is_left_over = instance is not None and instance.state is InstanceState.CREATED
    if known is not None and (is_left_over or (is_candidate and until is None)):
        # One that was only created may have been meant to serve.
        return RemoveInstances((known.name,))
    if until is not None:
        if known is None:
            return Launch(deployment, CANDIDATE)
        if (
            instance is not None
            and instance.state is InstanceState.RUNNING
            and not _is_recorded(facts, deployment, instance)
        ):
            return Record(deployment, instance)
    return Settled(held.status, held.reason, until)


def _bring_up(facts: Facts, pending: Deployment) -> Step:
    if pending.image is None:
        return Build(pending)
    gated = _gated(facts, pending)
    if gated is None:
        return _bring_up_freely(facts, pending)
    if isinstance(gated, Settled) and facts.live:
        return _beside(_keep_up(facts, facts.live), gated, pending)
    return gated


def _beside(step: Step, held: Settled, pending: Deployment) -> Step:
    """Return what is to be done for the one that serves; where that is nothing, what is told of both."""
    if not isinstance(step, Settled):
        return step
    told = wording.held_beside(pending, held.reason)
    moments = [item for item in (step.look_again, held.look_again) if item]
    reason = " ".join(filter(None, (step.reason, told)))
    return Settled(step.status, reason, min(moments, default=None))


def _bring_up_freely(facts: Facts, pending: Deployment) -> Step:
    if isinstance(pending.source, RemoteSource):
        record = _record(facts, pending)
        return Probe(pending, record.id) if record else Launch(pending)
    instance = _instance(facts, pending)
    if instance is None or instance.state is InstanceState.CREATED:
        return Launch(pending)
    if instance.state is InstanceState.EXITED:
        if instance.ended_with_engine:
            return RemoveInstances((instance.name,), ENDED_WITH_ENGINE)
        return FailDeployment(pending, instance)
    if not _is_recorded(facts, pending, instance):
        return Record(pending, instance)
    return Probe(pending, _record_id(facts, pending))


def _mend(facts: Facts, live: Deployment) -> Step | None:
    """Return what has to be done for the live one to go on serving while another comes up; ``None``: nothing."""
    is_wanted = facts.server.crashes or any(
        item.deployment_id == live.id for item in facts.records
    )
    step = _keep_up(facts, live) if is_wanted else None
    is_mending = isinstance(step, Launch | Ask | Record | RecordCrash | RemoveInstances)
    return step if is_mending else None


def _keep_up(facts: Facts, live: Deployment) -> Step:
    if gated := _gated(facts, live):
        return gated
    if isinstance(live.source, RemoteSource):
        return _keep_remote(facts, live)
    instance = _instance(facts, live)
    if instance is None or instance.state is InstanceState.CREATED:
        return _start_again(facts, live)
    if instance.state is InstanceState.EXITED:
        return _clear_ended(facts, live, instance)
    is_routed = facts.server.deployment_id == live.id
    if not (is_routed and _is_recorded(facts, live, instance)):
        return Record(live, instance)
    return _keep_answering(facts, live)


def _keep_remote(facts: Facts, live: Deployment) -> Step:
    if _record(facts, live) is None or facts.server.deployment_id != live.id:
        return Launch(live)
    return _keep_answering(facts, live)


def _keep_answering(facts: Facts, live: Deployment) -> Step:
    server, health = facts.server, facts.health
    again = leaving.look_again(facts)
    # What was told of a deployment that was held beside it is told anew where it still is.
    told = wording.without_hold(server.status_reason)
    if health and health.state is HealthState.FAILING:
        return Settled(Status.DEGRADED, health.reason, again)
    if server.status is Status.DEGRADED and health:
        # The checks ask it within one interval; until they have, it stays what it was.
        if health.state is HealthState.READY:
            return Settled(Status.RUNNING, facts.signin, again)
        return Settled(server.status, told, again)
    if server.status is Status.RUNNING:
        is_of_people = not told or told.startswith(SIGNIN)
        return Settled(server.status, facts.signin if is_of_people else told, again)
    if facts.is_unwell:
        return Settled(server.status, told, again)
    return Probe(live, _record_id(facts, live))


def _start_again(facts: Facts, live: Deployment) -> Step:
    if has_given_up(facts.server):
        return Settled(Status.ERROR, facts.server.status_reason)
    moment = start_again_at(facts.server, facts.now)
    if moment and moment > facts.now:
        return WaitUntil(moment, facts.server.status_reason)
    return Launch(live)


def _clear_ended(facts: Facts, live: Deployment, instance: Instance) -> Step:
    if instance.ended_with_engine:
        return RemoveInstances((instance.name,), ENDED_WITH_ENGINE)
    # The record still names the container: this end was not counted yet. Counting takes the name away in the same
    # transaction, so a hub that dies between counting and removing counts once.
    record = _record(facts, live)
    if record and record.container_id == instance.container_id:
        return RecordCrash(live, instance)
    return RemoveInstances((instance.name,))


def _instance(facts: Facts, deployment: Deployment) -> Instance | None:
    return next(
        (item for item in facts.instances if item.deployment_id == deployment.id), None
    )


def _record(facts: Facts, deployment: Deployment) -> InstanceRecord | None:
    return next(
        (item for item in facts.records if item.deployment_id == deployment.id), None
    )


def _record_id(facts: Facts, deployment: Deployment) -> int:
    record = _record(facts, deployment)
    return record.id if record else 0


def _is_recorded(facts: Facts, deployment: Deployment, instance: Instance) -> bool:
    record = _record(facts, deployment)
    return (
        record is not None
        and record.container_id == instance.container_id
        and (record.transport is Transport.STDIO or record.address == instance.address)
    )
