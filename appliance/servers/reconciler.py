"""Brings one server about: collects the facts, does the next step, asks again.

``lifecycle.next_step`` decides, ``Steps`` does. Whatever was cut off shows in the next facts.
"""

from dataclasses import dataclass, field
from datetime import datetime

import structlog

from appliance.core.clock import now
from appliance.core.errors import UnavailableError
from appliance.infra.database import Database
from appliance.runtimes.ports import Executor
from appliance.servers import candidate_store, lifecycle, store
from appliance.servers.facts import Facts, Held
from appliance.servers.health import store as health_store
from appliance.servers.health.model import Health
from appliance.servers.mcp_answers import McpUnavailableError
from appliance.servers.model import (
    Deployment,
    DeploymentState,
    InstanceRecord,
    Server,
)
from appliance.servers.steps import Done, Steps
from appliance.servers.traffic import GatewayTraffic
from appliance.upstreams.service import words as signin_words

log = structlog.get_logger("servers.reconcile")


class Reconciler:
    """Makes what is wanted of a server and what is there the same."""

    def __init__(
        self,
        database: Database,
        executor: Executor,
        traffic: GatewayTraffic,
        steps: Steps,
    ) -> None:
        """Keep the collaborators; nothing happens yet."""
        self._database = database
        self._executor = executor
        self._traffic = traffic
        self._steps = steps

    async def run(self, server_id: int) -> datetime | None:
        """Do steps until the server is settled.

        Returns:
            When to look again, or ``None`` when nothing is due.

        Raises:
            EngineUnavailableError: The container engine is away; the status says so.
        """
        known = _Known()
        while True:
            facts = await self._facts(server_id, known)
            if facts is None:
                return None
            step = lifecycle.next_step(facts)
            log.debug("server.step", server_id=server_id, step=type(step).__name__)
            known.learn(await self._steps.do(facts, step))
            match step:
                case lifecycle.Settled(look_again=moment):
                    return moment
                case lifecycle.WaitUntil(moment, _):
                    return moment
                case _:
                    continue

    async def _facts(self, server_id: int, known: "_Known") -> Facts | None:
        rows = await self._database.run(_read, server_id)
        if rows is None:
            return None
        server = rows.server
        try:
            instances = await self._executor.instances(server_id)
        except UnavailableError as error:
            # What runs may go on running without its engine's manager; only work that needs it is told to wait.
            if not server.status.is_settled:
                await self._database.run(
                    store.set_status, server_id, server.status, error.reason
                )
            raise
        return Facts(
            server=server,
            pending=rows.pending,
            live=rows.live,
            newest=rows.newest,
            records=rows.records,
            instances=tuple(instances),
            now=now(),
            is_unwell=known.is_unwell,
            health=rows.health,
            quiet=await self._quiet(rows.records),
            held=tuple(known.held.values()),
            lifted=frozenset(known.lifted),
            ended=rows.gated.ended,
            leases=rows.gated.leases,
            signin=rows.signin,
        )

    async def _quiet(self, records: tuple[InstanceRecord, ...]) -> frozenset[int]:
        """Return the numbers of instances that leave and where nothing goes on any more, as far as the gateway says."""
        found = set()
        for record in records:
            if record.leaving_since is None:
                continue
            try:
                traffic = await self._traffic.of(record.id)
            except McpUnavailableError as error:
                # A gateway that cannot be asked may carry calls; their time runs out all the same.
                log.info(
                    "instance.not_known_quiet", name=record.name, reason=error.reason
                )
            else:
                if traffic.is_over:
                    found.add(record.id)
        return frozenset(found)


@dataclass
class _Known:
    """What steps of this run found out, which no row tells."""

    is_unwell: bool = False
    held: dict[int, Held] = field(default_factory=dict)
    lifted: set[int] = field(default_factory=set)

    def learn(self, done: Done) -> None:
        """Add what a step found."""
        self.is_unwell = done.is_unwell
        if done.held:
            self.held[done.held.deployment_id] = done.held
            self.lifted.discard(done.held.deployment_id)
        if done.lifted is not None:
            self.lifted.add(done.lifted)


@dataclass(frozen=True)
class _Rows:
    server: Server
    pending: Deployment | None
    live: Deployment | None
    newest: Deployment | None
    records: tuple[InstanceRecord, ...]
    health: Health | None
    gated: candidate_store.Gated
    signin: str


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
        health=health_store.of(server_id),
        gated=candidate_store.gated(server_id),
        signin=signin_words(server_id),
    )
