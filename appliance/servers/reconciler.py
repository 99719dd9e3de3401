"""Brings one server about: collects the facts, does the next step, asks again.

``lifecycle.next_step`` decides; the methods here do. Each may be cut off at any line and done again: what it changed
shows in the next facts.
"""

import asyncio
import itertools
import time
from dataclasses import dataclass
from datetime import datetime

import structlog

from appliance.builds.model import BuildRequest, Stage
from appliance.builds.service import BuildService
from appliance.core.clock import now
from appliance.core.errors import DomainError, UnavailableError
from appliance.infra.database import Database
from appliance.observability.usage import record_usage
from appliance.runtimes.model import Instance, InstanceState
from appliance.runtimes.ports import Executor
from appliance.servers import lifecycle, store, wording
from appliance.servers.instances import instance_spec, record_of, remote_record
from appliance.servers.lifecycle import Facts, Step
from appliance.servers.mcp import McpClient
from appliance.servers.model import (
    Deployment,
    DeploymentState,
    InstanceRecord,
    Server,
    Status,
)
from appliance.sources.model import RemoteSource

log = structlog.get_logger("servers.reconcile")

#: Pauses between probes of a server that starts, in seconds: eager at first, because most servers answer soon.
PROBE_PAUSES_S = (0.05, 0.05, 0.1, 0.1, 0.2, 0.2, 0.5)
#: Seconds that a degraded server has for an answer.
RECHECK_S = 5.0
#: Output lines that a reason carries.
REASON_LINES = 5


class Reconciler:
    """Makes what is wanted of a server and what is there the same.

    Args:
        start_timeout_s: Seconds from an instance's start to its first answer.
    """

    def __init__(
        self,
        database: Database,
        executor: Executor,
        builds: BuildService,
        mcp: McpClient,
        *,
        start_timeout_s: float,
    ) -> None:
        """Keep the collaborators; nothing happens yet."""
        self._database = database
        self._executor = executor
        self._builds = builds
        self._mcp = mcp
        self._start_timeout_s = start_timeout_s

    async def run(self, server_id: int) -> datetime | None:
        """Do steps until the server is settled.

        Returns:
            When to look again, or ``None`` when nothing is due.

        Raises:
            EngineUnavailableError: The container engine is away; the status says so.
        """
        is_unwell = False
        while True:
            facts = await self._facts(server_id, is_unwell=is_unwell)
            if facts is None:
                return None
            step = lifecycle.next_step(facts)
            log.debug("server.step", server_id=server_id, step=type(step).__name__)
            match step:
                case lifecycle.Settled(status, reason):
                    await self._status(server_id, status, reason)
                    return None
                case lifecycle.WaitUntil(moment, reason):
                    await self._status(server_id, Status.STARTING, reason)
                    return moment
                case lifecycle.Destroy():
                    await self._destroy(facts.server)
                    return None
                case lifecycle.Probe(deployment):
                    is_unwell = not await self._probe(facts, deployment)
                case _:
                    await self._do(facts, step)

    async def _facts(self, server_id: int, *, is_unwell: bool) -> Facts | None:
        rows = await self._database.run(_read, server_id)
        if rows is None:
            return None
        server = rows.server
        try:
            instances = await self._executor.instances(server_id)
        except UnavailableError as error:
            # What runs may go on running without its engine's manager; only work that needs it is told to wait.
            if not server.status.is_settled:
                await self._status(server_id, server.status, error.reason)
            raise
        return Facts(
            server=server,
            pending=rows.pending,
            live=rows.live,
            newest=rows.newest,
            records=rows.records,
            instances=tuple(instances),
            now=now(),
            is_unwell=is_unwell,
        )

    async def _do(self, facts: Facts, step: Step) -> None:
        server = facts.server
        match step:
            case lifecycle.StopInstances(names):
                await self._stop(server, names)
            case lifecycle.RemoveInstances(names):
                await self._remove(server, names)
            case lifecycle.CancelDeployment(deployment):
                await self._database.run(
                    store.fail_deployment, deployment, "The server was stopped.", DeploymentState.CANCELLED
                )
            case lifecycle.Build(deployment):
                await self._build(facts, deployment)
            case lifecycle.Launch(deployment):
                await self._launch(facts, deployment)
            case lifecycle.Record(deployment, instance):
                await self._record(server, deployment, instance)
            case lifecycle.FailDeployment(deployment, instance):
                await self._fail(facts, deployment, await self._ended(instance))
            case lifecycle.RecordCrash(_, instance):
                await self._record_crash(server, instance)
            case _:
                raise AssertionError(step)

    async def _status(self, server_id: int, status: Status, reason: str = "") -> None:
        await self._database.run(store.set_status, server_id, status, reason)

    # -- down

    async def _stop(self, server: Server, names: tuple[str, ...]) -> None:
        await self._status(server.id, Status.STOPPING)
        await self._database.run(store.forget_instances, server.id)
        await self._remove_gently(names)
        await self._database.run(record_usage, server.id, "stop", {})

    async def _remove(self, server: Server, names: tuple[str, ...]) -> None:
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
        await self._executor.remove_server(server.id)
        for image in images:
            await self._executor.remove_image(image)
        await self._database.run(_destroy_rows, server)
        log.info("server.deleted", server_id=server.id, name=server.name)

    # -- up

    async def _build(self, facts: Facts, deployment: Deployment) -> None:
        server = facts.server
        serving = wording.still_serving(facts.live if facts.instances else None)
        request = BuildRequest(deployment.id, server.id, server.name, deployment.source)

        async def on_stage(stage: Stage) -> None:
            status = Status.CLONING if stage is Stage.CLONING else Status.BUILDING
            await self._status(server.id, status, serving)

        try:
            built = await self._builds.build(request, on_stage)
        except UnavailableError:
            raise
        except DomainError as error:
            log.info("server.build_failed", server_id=server.id, code=error.code)
            await self._fail(facts, deployment, error.reason)
            return
        await self._database.run(store.set_built, deployment.id, image=built.image, resolved=built.resolved)

    async def _launch(self, facts: Facts, deployment: Deployment) -> None:
        server = facts.server
        await self._status(server.id, Status.STARTING, server.status_reason if server.crashes else "")
        if isinstance(deployment.source, RemoteSource):
            record = remote_record(server, deployment)
            await self._database.run(store.record_instance, server.id, record, started_at=now())
            return
        try:
            instance = await self._executor.start(instance_spec(server, deployment))
        except UnavailableError:
            raise
        except DomainError as error:
            if deployment.state is DeploymentState.PENDING:
                await self._fail(facts, deployment, error.reason)
            else:
                await self._count_crash(server, instance_spec(server, deployment).name, error.reason)
            return
        event = "restart" if server.crashes else "start"
        await self._database.run(record_usage, server.id, event, {"deployment": deployment.number})
        await self._record(server, deployment, instance)

    async def _record(self, server: Server, deployment: Deployment, instance: Instance) -> None:
        record = record_of(deployment, instance, executor=self._executor.descriptor.name)
        await self._database.run(store.record_instance, server.id, record, started_at=instance.started_at)

    async def _fail(self, facts: Facts, deployment: Deployment, reason: str) -> None:
        serving = wording.still_serving(facts.live)
        failed = f"Deployment {deployment.number} failed: {reason} {serving}" if serving else reason

        def close() -> None:
            store.fail_deployment(deployment, reason)
            store.set_status(facts.server.id, Status.STARTING if facts.live else Status.ERROR, failed)

        await self._database.run(close)
        log.info("server.deployment_failed", server_id=facts.server.id, deployment_id=deployment.id)

    # -- answers

    async def _probe(self, facts: Facts, deployment: Deployment) -> bool:
        """Ask until there is an answer; return whether one came, or the next facts will show that none can."""
        server = facts.server
        allowed_s = RECHECK_S if server.status is Status.DEGRADED else self._start_timeout_s
        deadline = time.monotonic() + allowed_s
        pauses = itertools.chain(PROBE_PAUSES_S, itertools.repeat(PROBE_PAUSES_S[-1]))
        while True:
            try:
                manifest = await self._mcp.probe(server.name)
            except DomainError as error:
                if await self._has_ended(server, deployment):
                    return True
                if time.monotonic() > deadline:
                    await self._never_answered(facts, deployment, error, allowed_s)
                    return False
                await asyncio.sleep(next(pauses))
            else:
                kept = server.status_reason if wording.names_failed_deployment(server.status_reason) else ""
                await self._database.run(_go_live, server, deployment, manifest.as_dict(), kept)
                log.info("server.running", server_id=server.id, deployment_id=deployment.id)
                return True

    async def _has_ended(self, server: Server, deployment: Deployment) -> bool:
        if isinstance(deployment.source, RemoteSource):
            return False
        instances = await self._executor.instances(server.id)
        return not any(
            item.deployment_id == deployment.id and item.state is InstanceState.RUNNING for item in instances
        )

    async def _never_answered(
        self, facts: Facts, deployment: Deployment, error: DomainError, allowed_s: float
    ) -> None:
        server = facts.server
        is_remote = isinstance(deployment.source, RemoteSource)
        output = "" if is_remote else await self._output(server, deployment)
        reason = wording.never_answered(allowed_s, error.reason, output)
        if deployment.state is DeploymentState.PENDING:
            await self._fail(facts, deployment, reason)
        else:
            await self._status(server.id, Status.DEGRADED, reason)

    async def _output(self, server: Server, deployment: Deployment) -> str:
        lines = await self._executor.tail(instance_spec(server, deployment).name, lines=REASON_LINES)
        return wording.last_output(lines)

    async def _ended(self, instance: Instance) -> str:
        lines = await self._executor.tail(instance.name, lines=REASON_LINES)
        return wording.ended(instance, lines)

    async def _record_crash(self, server: Server, instance: Instance) -> None:
        await self._count_crash(server, instance.name, await self._ended(instance))

    async def _count_crash(self, server: Server, name: str, what: str) -> None:
        crashes = lifecycle.count_crash(server, now())
        gave_up = crashes >= lifecycle.MAX_CRASHES
        reason = wording.crashed(what, crashes, lifecycle.backoff(crashes), gave_up=gave_up)

        def count() -> None:
            store.record_crash(server, crashes=crashes, instance_name=name)
            store.set_status(server.id, Status.ERROR if gave_up else Status.STARTING, reason)

        await self._database.run(count)
        log.warning("server.crashed", server_id=server.id, crashes=crashes)


@dataclass(frozen=True)
class _Rows:
    server: Server
    pending: Deployment | None
    live: Deployment | None
    newest: Deployment | None
    records: tuple[InstanceRecord, ...]


def _read(server_id: int) -> _Rows | None:
    server = store.find_by_id(server_id)
    if server is None:
        return None
    return _Rows(
        server=server,
        pending=store.deployment_in(server_id, DeploymentState.PENDING),
        live=store.deployment_in(server_id, DeploymentState.LIVE),
        newest=store.deployment_in(server_id),
        records=store.records(server_id),
    )


def _go_live(server: Server, deployment: Deployment, manifest: dict[str, object], reason: str) -> None:
    store.promote(deployment, manifest)
    store.set_status(server.id, Status.RUNNING, reason)


def _destroy_rows(server: Server) -> None:
    record_usage(server.id, "delete", {"name": server.name})
    store.destroy(server.id)
