"""Does one step of a server's life. Each may be cut off at any line and be done again."""

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from appliance.builds.model import BuildRequest, Stage
from appliance.builds.service import BuildService
from appliance.core.clock import now
from appliance.core.errors import DomainError, UnavailableError
from appliance.infra.database import Database
from appliance.integrations.store import environment as service_variables
from appliance.observability.usage import record_usage
from appliance.runtimes.errors import BoxFullError
from appliance.runtimes.model import Instance, InstanceState, LogLine
from appliance.runtimes.ports import Executor
from appliance.secrets.service import SecretService
from appliance.servers import (
    crashes,
    deployment_store,
    lifecycle,
    second_attempt,
    store,
    wording,
)
from appliance.servers.deploys.model import Trigger
from appliance.servers.egress import denials
from appliance.servers.egress import store as egress_store
from appliance.servers.facts import Facts
from appliance.servers.instances import (
    instance_spec,
    record_of,
    remote_record,
    transport_of,
)
from appliance.servers.lifecycle import Step
from appliance.servers.mcp import Manifest, McpClient, McpUnavailableError
from appliance.servers.missing_settings import missing_settings
from appliance.servers.model import Deployment, DeploymentState, Server, Status
from appliance.servers.readiness import CandidateCheck
from appliance.servers.watching import watch
from appliance.sources.model import PackageSource, RemoteSource

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
        secrets: SecretService,
        readiness: CandidateCheck | None = None,
        start_timeout_s: float,
    ) -> None:
        """Keep the collaborators."""
        self._readiness = readiness
        self._secrets = secrets
        self._database = database
        self._executor = executor
        self._builds = builds
        self._mcp = mcp
        self._start_timeout_s = start_timeout_s

    async def do(self, facts: Facts, step: Step) -> bool:  # noqa: C901, PLR0912 - one line a step
        """Do ``step``; return ``False`` if a live server was asked and did not answer."""
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
            case lifecycle.Launch(deployment):
                await self._launch(facts, deployment)
            case lifecycle.Record(deployment, instance):
                await self._record(server, deployment, instance)
            case lifecycle.Probe(deployment, record_id):
                return await self._probe(facts, deployment, record_id)
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
        return True

    async def _status(self, server_id: int, status: Status, reason: str = "") -> None:
        await self._database.run(store.set_status, server_id, status, reason)

    # -- down

    async def _cancel(self, deployment: Deployment) -> None:
        why, state = "The server was stopped.", DeploymentState.CANCELLED
        await self._database.run(store.fail_deployment, deployment, why, state)

    async def _stop(self, server: Server, names: tuple[str, ...]) -> None:
        await self._status(server.id, Status.STOPPING)
        await self._database.run(store.forget_instances, server.id)
        await self._remove_gently(names)
        await self._database.run(record_usage, server.id, "stop", {})

    async def _remove(
        self, server: Server, names: tuple[str, ...], reason: str
    ) -> None:
        if reason:
            await self._status(server.id, Status.STARTING, reason)
        await self._database.run(store.forget_instances, server.id, names)
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

    async def _launch(self, facts: Facts, deployment: Deployment) -> None:
        server = facts.server
        is_told = bool(server.crashes) or wording.names_failed_deployment(
            server.status_reason
        )
        told = server.status_reason if is_told else ""
        await self._status(server.id, Status.STARTING, told)
        if isinstance(deployment.source, RemoteSource):
            record = remote_record(server, deployment)
            await self._database.run(
                store.record_instance,
                server.id,
                record,
                started_at=now(),
                is_routed=deployment.state is DeploymentState.LIVE,
            )
            return
        try:
            spec = instance_spec(server, deployment)
            values = await self._secrets.of_instance(server.id)
            plain = await self._database.run(_open_ways, server.id)
            environment = {**plain, **spec.environment}
            instance = await self._executor.start(
                replace(spec, secrets=values, environment=environment)
            )
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
        await self._record(server, deployment, instance)

    async def _record(
        self, server: Server, deployment: Deployment, instance: Instance
    ) -> None:
        record = record_of(deployment, instance, executor=self._executor.name)
        await self._database.run(
            store.record_instance,
            server.id,
            record,
            started_at=instance.started_at,
            is_routed=deployment.state is DeploymentState.LIVE,
        )

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
    elif deployment.state is not DeploymentState.LIVE:
        return
    if digests:
        wanted, running = digests
        deployment_store.compared(deployment.id, wanted=wanted, running=running)
        if wanted != running:
            reason = wording.runs_another(deployment, wanted, running)
    store.set_status(server.id, Status.RUNNING, reason)


def _open_ways(server_id: int) -> Mapping[str, str]:
    """Let a server reach all that it is to reach by now, and return the variables that tell it of its services."""
    # Secrets that were added since may name what it needs to reach.
    egress_store.refresh(server_id)
    return service_variables(server_id)


def _destroy_rows(server: Server) -> None:
    record_usage(server.id, "delete", {"name": server.name})
    store.destroy(server.id)
