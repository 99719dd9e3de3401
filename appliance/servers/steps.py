"""Does one step of a server's life. Each may be cut off at any line and be done again."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from appliance.builds.model import BuildRequest, Stage
from appliance.builds.service import BuildService
from appliance.core.clock import now
from appliance.core.errors import DomainError, UnavailableError
from appliance.infra.database import Database
from appliance.observability.usage import record_usage
from appliance.policy.model import Purpose
from appliance.runtimes.errors import BoxFullError
from appliance.runtimes.model import InstanceState, LogLine
from appliance.runtimes.ports import Executor
from appliance.secrets.service import SecretService
from appliance.servers import (
    crashes,
    deployment_store,
    lifecycle,
    second_attempt,
    store,
    vm_store,
    wording,
)
from appliance.servers.deploys.model import Trigger
from appliance.servers.egress import denials
from appliance.servers.egress import store as egress_store
from appliance.servers.facts import Facts, Held
from appliance.servers.gate import Gate, Ruling
from appliance.servers.instances import (
    instance_spec,
    transport_of,
)
from appliance.servers.launching import Launcher, forget, forget_all, held, reuse
from appliance.servers.lifecycle import Step
from appliance.servers.mcp import Manifest, McpClient, McpUnavailableError
from appliance.servers.missing_settings import missing_settings
from appliance.servers.model import Deployment, DeploymentState, Server, Status
from appliance.servers.readiness import CandidateCheck
from appliance.servers.refusals import Signins, refusal_of
from appliance.servers.versions import tell_live
from appliance.servers.watching import watch
from appliance.sources.model import PackageSource, RemoteSource
from appliance.upstreams.service import words as signin_words

log = structlog.get_logger("servers.steps")

_STATUS_OF = {
    Stage.CLONING: Status.CLONING,
    Stage.BUILDING: Status.BUILDING,
    Stage.PUSHING: Status.PUSHING,
}
#: However little of a start's time is left, an answer is waited for so many seconds.
LAST_PROBE_S = 1.0
#: Pauses between probes of a server that starts, in seconds: eager at first, because most servers answer soon.
PROBE_PAUSES_S = (0.05, 0.05, 0.1, 0.1, 0.2, 0.2, 0.5)
#: Seconds that a degraded server has for an answer, and one that somebody else runs: neither is starting.
RECHECK_S = 5.0
#: Output lines that are looked through for what a reason may quote.
TAIL_LINES = 200


@dataclass(frozen=True)
class Done:
    """What a step found out that no row tells."""

    #: Whether a live server was asked and did not answer.
    is_unwell: bool = False
    #: The deployment that may not be launched.
    held: Held | None = None
    #: Number of a deployment that runs as a candidate and may serve by now.
    lifted: int | None = None


NOTHING = Done()


class Steps:
    """Does what ``lifecycle.next_step`` decided.

    Args:
        start_timeout_s: Seconds from an instance's start to its first answer.
    """

    def __init__(  # noqa: PLR0913 - all that steps act on
        self,
        database: Database,
        executor: Executor,
        builds: BuildService,
        mcp: McpClient,
        *,
        gate: Gate,
        secrets: SecretService,
        readiness: CandidateCheck | None = None,
        signins: Signins | None = None,
        start_timeout_s: float,
    ) -> None:
        """Keep the collaborators."""
        self._readiness = readiness
        self._signins = signins
        self._secrets = secrets
        self._launcher = Launcher(database, executor, gate, secrets)
        self._database = database
        self._executor = executor
        self._builds = builds
        self._mcp = mcp
        self._start_timeout_s = start_timeout_s

    async def do(self, facts: Facts, step: Step) -> Done:  # noqa: C901, PLR0912, PLR0915 - one line a step
        """Do ``step``; return what it found out."""
        server = facts.server
        match step:
            case lifecycle.Destroy():
                await self._destroy(server)
            case lifecycle.StopInstances(names):
                await self._stop(server, names)
            case lifecycle.RemoveInstances(names, reason):
                await self._remove(server, names, reason)
            case lifecycle.CancelDeployment(deployment):
                await self._cancel(deployment)
            case lifecycle.Build(deployment):
                await self._build(facts, deployment)
            case lifecycle.Launch(deployment, purpose):
                return await self._launch(facts, deployment, Purpose(purpose))
            case lifecycle.Ask(deployment):
                return await self._ask(facts, deployment)
            case lifecycle.Record(deployment, instance):
                await self._launcher.record(server, deployment, instance)
            case lifecycle.Probe(deployment, record_id):
                answered = await self._probe(facts, deployment, record_id)
                return Done(is_unwell=not answered)
            case lifecycle.FailDeployment(deployment, instance):
                lines = await self._printed(deployment, instance.name)
                why = wording.ended(instance, lines)
                await self._fail_start(facts, deployment, why, lines)
            case lifecycle.RecordCrash(deployment, instance):
                lines = await self._printed(deployment, instance.name)
                why = wording.ended(instance, lines)
                await self._count_crash(server, instance.name, why)
            case lifecycle.Settled(status, reason, _):
                await self._status(server.id, status, reason)
            case lifecycle.WaitUntil(_, reason):
                await self._status(server.id, Status.STARTING, reason)
        return NOTHING

    async def _status(self, server_id: int, status: Status, reason: str = "") -> None:
        await self._database.run(store.set_status, server_id, status, reason)

    # -- down

    async def _cancel(self, deployment: Deployment) -> None:
        why, state = "The server was stopped.", DeploymentState.CANCELLED
        await self._database.run(store.fail_deployment, deployment, why, state)

    async def _stop(self, server: Server, names: tuple[str, ...]) -> None:
        await self._status(server.id, Status.STOPPING)
        await self._database.run(
            forget_all, server.id, names, "The server was stopped."
        )
        await self._remove_gently(names)
        await self._database.run(record_usage, server.id, "stop", {})

    async def _remove(
        self, server: Server, names: tuple[str, ...], reason: str
    ) -> None:
        if reason:
            await self._status(server.id, Status.STARTING, reason)
        await self._database.run(forget, server.id, names, reason)
        await self._remove_gently(names)

    async def _remove_gently(self, names: tuple[str, ...]) -> None:
        for name in names:
            await self._executor.stop(name)
            await self._executor.remove(name)

    async def _destroy(self, server: Server) -> None:
        await self._status(server.id, Status.STOPPING, "The server is being deleted.")
        await self._database.run(store.forget_instances, server.id)
        images = await self._database.run(store.images_of, server.id)
        await self._secrets.forget_server(server.id)
        await self._executor.remove_server(server.id)
        for image in images:
            await self._executor.remove_image(image)
        await self._database.run(_destroy_rows, server)
        log.info("server.deleted", server_id=server.id, name=server.name)

    # -- up

    async def _build(self, facts: Facts, deployment: Deployment) -> None:
        server = facts.server
        ruling = await self._launcher.gate.rule(server, deployment, Purpose.BUILD)
        if ruling.is_refused:
            await self._fail(facts, deployment, ruling.told)
            return
        if ruling.decision.reuses is not None:
            await self._database.run(reuse, deployment, ruling.decision.reuses)
            return
        serving = wording.still_serving(facts.live if facts.instances else None)
        request = BuildRequest(
            deployment.id,
            server.id,
            server.name,
            deployment.source,
            owner_id=server.builds_for,
            like=facts.live.id if facts.live else None,
            note=deployment.reason,
            dockerfile=deployment.config.dockerfile,
            entry=deployment.config.entry,
        )
        told = " ".join(filter(None, (deployment.reason, serving)))

        async def on_stage(stage: Stage) -> None:
            await self._status(server.id, _STATUS_OF[stage], told)

        try:
            built = await self._builds.build(request, on_stage)
        except UnavailableError:
            raise
        except DomainError as error:
            log.info("server.build_failed", server_id=server.id, code=error.code)
            await self._fail(facts, deployment, error.reason)
            return
        resolved = second_attempt.with_reason(built.resolved, deployment, facts.live)
        await self._database.run(
            store.set_built, deployment.id, image=built.image, resolved=resolved
        )

    async def _ask(self, facts: Facts, deployment: Deployment) -> Done:
        """Ask whether a candidate may serve by now; if so, it makes room for an instance that is launched for that."""
        ruling = await self._launcher.still_held(facts.server, deployment)
        if ruling is None:
            return Done(lifted=deployment.id)
        return Done(held=held(deployment, ruling))

    async def _launch(
        self, facts: Facts, deployment: Deployment, purpose: Purpose
    ) -> Done:
        """Start an instance if the policy, asked this moment, has it started."""
        ruling = await self._launcher.gate.rule(facts.server, deployment, purpose)
        if ruling.launches:
            return await self._start(facts, deployment, ruling)
        log.info(
            "server.launch_held",
            server_id=facts.server.id,
            deployment_id=deployment.id,
            verdict=ruling.decision.verdict.value,
            notes=ruling.decision.notes,
        )
        if ruling.is_refused and deployment.state is DeploymentState.PENDING:
            await self._fail(facts, deployment, ruling.told)
        return Done(held=held(deployment, ruling))

    async def _start(
        self, facts: Facts, deployment: Deployment, ruling: Ruling
    ) -> Done:
        if ruling.facts.purpose is Purpose.CANDIDATE:
            return await self._start_candidate(facts, deployment, ruling)
        await self._start_to_serve(facts, deployment, ruling)
        return NOTHING

    async def _start_candidate(
        self, facts: Facts, deployment: Deployment, ruling: Ruling
    ) -> Done:
        """Start an instance that no client is sent to; what becomes of it says nothing of the server's own state."""
        server = facts.server
        try:
            if isinstance(deployment.source, RemoteSource):
                await self._launcher.record_remote(server, deployment, ruling)
                return NOTHING
            instance = await self._launcher.start(server, deployment, ruling)
        except UnavailableError:
            raise
        except DomainError as error:
            if deployment.state is DeploymentState.PENDING:
                await self._fail(facts, deployment, error.reason)
            why = facts.held_of(deployment) or held(deployment, ruling)
            reason = f"{why.reason} As a candidate it did not start: {error.reason}"
            return Done(held=replace(why, reason=reason, is_refused=True))
        await self._launcher.record(server, deployment, instance)
        return NOTHING

    async def _start_to_serve(
        self, facts: Facts, deployment: Deployment, ruling: Ruling
    ) -> None:
        server = facts.server
        is_told = bool(server.crashes) or wording.names_failed_deployment(
            server.status_reason
        )
        told = server.status_reason if is_told else ""
        await self._status(server.id, Status.STARTING, told)
        if isinstance(deployment.source, RemoteSource):
            await self._launcher.record_remote(server, deployment, ruling)
            return
        try:
            instance = await self._launcher.start(server, deployment, ruling)
        except UnavailableError as error:
            if deployment.state is DeploymentState.PENDING and isinstance(
                error, BoxFullError
            ):
                await self._fail(facts, deployment, error.reason)
                return
            await self._status(server.id, Status.STARTING, error.reason)
            raise
        except DomainError as error:
            if deployment.state is DeploymentState.PENDING:
                await self._fail(facts, deployment, error.reason)
            else:
                await self._count_crash(
                    server, instance_spec(server, deployment).name, error.reason
                )
            return
        event = "restart" if server.crashes else "start"
        await self._database.run(
            record_usage, server.id, event, {"deployment": deployment.number}
        )
        await self._launcher.record(server, deployment, instance)

    async def _fail_start(
        self,
        facts: Facts,
        deployment: Deployment,
        reason: str,
        lines: Sequence[LogLine],
        *,
        is_silent: bool = False,
    ) -> None:
        """Close a deployment that was built and never answered, and begin the second attempt where there is one to make."""
        missing = missing_settings([line.text for line in lines])
        denied = await self._database.run(
            egress_store.denied_since, facts.server.id, deployment.created_at
        )
        told = wording.needs_settings(missing, reason)
        told = " ".join(filter(None, (told, denials.sentence(denied))))
        again = second_attempt.second_attempt(deployment, lines, is_silent=is_silent)
        await self._fail(facts, deployment, told, missing=missing, again=again)

    async def _fail(
        self,
        facts: Facts,
        deployment: Deployment,
        reason: str,
        *,
        missing: Sequence[str] = (),
        again: PackageSource | None = None,
    ) -> None:
        live, server = facts.live, facts.server
        # One that was a second attempt tells of the first, too.
        told = " ".join(filter(None, (reason, deployment.reason)))

        def close() -> None:
            closed = store.fail_deployment(deployment, told, missing_settings=missing)
            if live:
                beside = wording.failed_beside(deployment, told, live)
                store.set_status(server.id, Status.STARTING, beside)
            # Without a live one the status follows when nothing of the failed one is left.
            if closed and again:
                why = wording.resolved_as_of(again, deployment, reason)
                store.add_deployment(
                    server,
                    requested_by=deployment.requested_by,
                    trigger=Trigger.SECOND_ATTEMPT,
                    source=again,
                    reason=why,
                )
                store.set_status(server.id, Status.QUEUED, why)

        await self._database.run(close)
        log.info(
            "server.deployment_failed",
            server_id=facts.server.id,
            deployment_id=deployment.id,
        )

    # -- answers

    async def _probe(
        self, facts: Facts, deployment: Deployment, record_id: int
    ) -> bool:
        """Ask until there is an answer; return whether one came, or the next facts will show that none can."""
        server = facts.server
        is_starting = server.status is not Status.DEGRADED and not isinstance(
            deployment.source, RemoteSource
        )
        allowed_s = self._start_timeout_s if is_starting else RECHECK_S
        deadline = time.monotonic() + allowed_s
        pauses = itertools.chain(PROBE_PAUSES_S, itertools.repeat(PROBE_PAUSES_S[-1]))
        while True:
            try:
                left_s = max(deadline - time.monotonic(), LAST_PROBE_S)
                manifest = await self._asked(
                    server, deployment, record_id, left_s if is_starting else None
                )
            except DomainError as error:
                if await self._wants_signin(server, deployment, error):
                    await self._database.run(_open_to_people, server, deployment)
                    return True
                if await self._has_ended(server, deployment):
                    return True
                if time.monotonic() > deadline:
                    return await self._never_answered(
                        facts, deployment, error, allowed_s
                    )
                await asyncio.sleep(next(pauses))
            else:
                kept = (
                    server.status_reason
                    if wording.names_failed_deployment(server.status_reason)
                    else ""
                )
                digests = await self._digests(server, deployment)
                said = await self._secrets.clean(server.id, manifest.as_dict())
                await self._database.run(
                    _go_live,
                    server,
                    deployment,
                    said,
                    reason=kept,
                    digests=digests,
                )
                log.info(
                    "server.running", server_id=server.id, deployment_id=deployment.id
                )
                return True

    async def _asked(
        self,
        server: Server,
        deployment: Deployment,
        record_id: int,
        within_s: float | None,
    ) -> Manifest:
        """Return what the instance says of itself, if it does what its users come for.

        Raises:
            DomainError: It does not, or not within so many seconds.
        """
        try:
            async with asyncio.timeout(within_s):
                manifest = await self._mcp.probe(server.name, instance_id=record_id)
                if self._readiness and deployment.state is DeploymentState.PENDING:
                    await self._readiness.require(server, deployment, record_id)
        except TimeoutError as error:
            # The probe's own patience is longer than what is left of the start's.
            raise McpUnavailableError(f"{server.name} did not answer.") from error
        return manifest

    async def _wants_signin(
        self, server: Server, deployment: Deployment, error: DomainError
    ) -> bool:
        """Return whether a remote server said nothing but that people are to sign in there: then it is well."""
        said = refusal_of(error)
        if said is None or not isinstance(deployment.source, RemoteSource):
            return False
        if said.is_known or self._signins is None:
            return said.is_known
        return await self._signins.recognise(server.id, said.challenge)

    async def _digests(
        self, server: Server, deployment: Deployment
    ) -> tuple[str, str] | None:
        """Return which image should run and which one does; ``None``: somebody else runs the server."""
        if isinstance(deployment.source, RemoteSource):
            return None
        running = [
            item.image_id
            for item in await self._executor.instances(server.id)
            if item.deployment_id == deployment.id
        ]
        wanted = await self._executor.image_id(deployment.image or "")
        return wanted, next(iter(running), "")

    async def _has_ended(self, server: Server, deployment: Deployment) -> bool:
        if isinstance(deployment.source, RemoteSource):
            return False
        instances = await self._executor.instances(server.id)
        return not any(
            item.deployment_id == deployment.id and item.state is InstanceState.RUNNING
            for item in instances
        )

    async def _never_answered(
        self, facts: Facts, deployment: Deployment, error: DomainError, allowed_s: float
    ) -> bool:
        """Say so; return whether the next facts lead on, ``False`` when asking again now would not help."""
        server = facts.server
        lines: list[LogLine] = []
        if not isinstance(deployment.source, RemoteSource):
            name = instance_spec(server, deployment).name
            lines = await self._printed(deployment, name)
        hide = await self._secrets.redactor(server.id)
        reason = hide(wording.never_answered(allowed_s, error.reason, lines))
        if deployment.state is DeploymentState.PENDING:
            await self._fail_start(facts, deployment, reason, lines, is_silent=True)
            return True
        await self._status(server.id, Status.DEGRADED, reason)
        return False

    async def _printed(self, deployment: Deployment, name: str) -> list[LogLine]:
        lines = await self._executor.tail(name, lines=TAIL_LINES)
        return wording.readable(lines, transport_of(deployment))

    async def _count_crash(self, server: Server, name: str, what: str) -> None:
        count = crashes.count_crash(server, now())
        gave_up = count >= crashes.MAX_CRASHES
        reason = wording.crashed(what, count, crashes.backoff(count), gave_up=gave_up)

        def write() -> None:
            store.record_crash(server, crashes=count, instance_name=name)
            vm_store.ended(server.id, [name], "ended", what)
            store.set_status(
                server.id, Status.ERROR if gave_up else Status.STARTING, reason
            )

        await self._database.run(write)
        log.warning("server.crashed", server_id=server.id, crashes=count)


def _go_live(
    server: Server,
    deployment: Deployment,
    manifest: dict[str, object],
    *,
    reason: str,
    digests: tuple[str, str] | None,
) -> None:
    went_live = store.promote(
        deployment, manifest, drain_s=server.config.deploys.drain_s
    )
    if went_live:
        watch(server, deployment)
        tell_live(server, deployment)
    elif deployment.state is not DeploymentState.LIVE:
        return
    if digests:
        wanted, running = digests
        deployment_store.compared(deployment.id, wanted=wanted, running=running)
        if wanted != running:
            reason = wording.runs_another(deployment, wanted, running)
    store.set_status(server.id, Status.RUNNING, reason)


def _open_to_people(server: Server, deployment: Deployment) -> None:
    """Let people in who sign in; what the server offers is known once somebody has."""
    if store.promote(deployment, None, drain_s=server.config.deploys.drain_s):
        watch(server, deployment)
        tell_live(server, deployment)
    elif deployment.state is not DeploymentState.LIVE:
        return
    store.set_status(server.id, Status.RUNNING, signin_words(server.id))


def _destroy_rows(server: Server) -> None:
    record_usage(server.id, "delete", {"name": server.name})
    store.destroy(server.id)
