"""Instances of deployments that are held, for whoever evaluates them: no client is sent there."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from appliance.core.errors import ConflictError
from appliance.infra.database import Database
from appliance.servers import candidate_store, store
from appliance.servers.candidate_store import Lease
from appliance.servers.exchange import Gateway
from appliance.servers.mcp_answers import McpCallError, McpUnavailableError
from appliance.servers.model import (
    Deployment,
    DeploymentState,
    DesiredState,
    InstanceRecord,
    Server,
)
from appliance.servers.service import reconcile_soon

#: Longer nobody may keep a candidate without asking again.
MAX_SECONDS = 3600.0
#: Wishes whose time is over are swept this often.
EXPIRE_EVERY_S = 60.0
#: Seconds for one answer of a candidate that starts, and pauses between two questions.
ANSWER_S = 5.0
_PAUSES_S = (0.1, 0.2, 0.5, 1.0)


class CandidateImpossibleError(ConflictError):
    """The deployment cannot be asked: it has no image, or has ended."""

    code = "candidate_impossible"


@dataclass(frozen=True)
class CandidateTarget:
    """An instance that answers."""

    server_id: int
    server_name: str
    deployment_id: int
    #: Its number in what the gateway was told; with it, that instance alone answers.
    instance_id: int


class Candidates:
    """Lends instances of deployments; the reconciler keeps them while somebody has one.

    Args:
        database: Where wishes are.
        gateway: Through which they are asked.
    """

    def __init__(self, database: Database, gateway: Gateway) -> None:
        """Keep the two."""
        self._database = database
        self._gateway = gateway

    async def acquire(self, deployment_id: int, holder: str, seconds: float) -> Lease:
        """Want an instance of a deployment: a candidate if it is held, the one that serves if it is live.

        Args:
            deployment_id: Which.
            holder: Who wants it, such as ``evaluations.run 17``; again by the same prolongs the wish.
            seconds: For how long at most; whoever needs it longer asks again.

        Raises:
            ServerNotFoundError: The deployment went with its server.
            CandidateImpossibleError: There is nothing that could run.
        """

        def write() -> Lease:
            deployment = store.get_deployment(deployment_id)
            _require_possible(store.get(deployment.server_id), deployment)
            lease = candidate_store.add(
                deployment.server_id, deployment_id, holder, min(seconds, MAX_SECONDS)
            )
            reconcile_soon(deployment.server_id)
            return lease

        return await self._database.run(write)

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Want it for so long from now; return whether it still was there."""
        return await self._database.run(
            candidate_store.prolong, lease.id, min(seconds, MAX_SECONDS)
        )

    async def release(self, lease: Lease) -> None:
        """Want it no more; again changes nothing."""

        def write() -> None:
            server_id = candidate_store.remove(lease.id)
            if server_id is not None:
                reconcile_soon(server_id)

        await self._database.run(write)

    async def ready(self, lease: Lease, within_s: float) -> CandidateTarget:
        """Wait until the instance answers as an MCP server.

        Raises:
            CandidateImpossibleError: Its deployment ended meanwhile.
            McpUnavailableError: It did not answer in time; says what the server's status says.
        """
        deadline = time.monotonic() + within_s
        pauses = itertools.chain(_PAUSES_S, itertools.repeat(_PAUSES_S[-1]))
        name, why = "the server", "No instance of it was started."
        while time.monotonic() < deadline:
            server, record = await self._database.run(_look, lease)
            name = server.name
            if record is not None:
                try:
                    await self._answers(server, record.id)
                except (
                    McpUnavailableError,
                    McpCallError,
                    TimeoutError,
                    aiohttp.ClientError,
                ) as error:
                    why = str(error) or "It does not answer."
                else:
                    return CandidateTarget(
                        server.id, server.name, lease.deployment_id, record.id
                    )
            elif server.status_reason:
                why = server.status_reason
            await asyncio.sleep(next(pauses))
        raise McpUnavailableError(
            f"The candidate of {name} did not answer within {within_s:g} s: {why}"
        )

    async def _answers(self, server: Server, instance_id: int) -> None:
        exchange = self._gateway.exchange(
            server.name, ANSWER_S, instance_id=instance_id, is_traced=False
        )
        await exchange.open()
        await exchange.close()

    @asynccontextmanager
    async def lent(
        self, deployment_id: int, holder: str, *, seconds: float, within_s: float
    ) -> AsyncIterator[CandidateTarget]:
        """Have an instance that answers for as long as the context lasts.

        Raises:
            CandidateImpossibleError: There is nothing that could run.
            McpUnavailableError: It did not answer in time.
        """
        lease = await self.acquire(deployment_id, holder, seconds)
        try:
            yield await self.ready(lease, within_s)
        finally:
            await asyncio.shield(self.release(lease))

    async def expire(self) -> int:
        """Forget wishes whose time is over; for the clock."""
        return await self._database.run(candidate_store.expire)


def _look(lease: Lease) -> tuple[Server, InstanceRecord | None]:
    server = store.get(lease.server_id)
    _require_possible(server, store.get_deployment(lease.deployment_id))
    found = [
        item
        for item in store.records(lease.server_id)
        if item.deployment_id == lease.deployment_id and item.leaving_since is None
    ]
    return server, next(iter(found), None)


def _require_possible(server: Server, deployment: Deployment) -> None:
    what = f"Deployment {deployment.number} of {server.name}"
    if server.desired_state is not DesiredState.RUNNING:
        raise CandidateImpossibleError(f"{server.name} is stopped.", hint="Start it.")
    if deployment.state not in {DeploymentState.PENDING, DeploymentState.LIVE}:
        raise CandidateImpossibleError(
            f"{what} is {deployment.state.value}.",
            hint="Ask one that is on its way or live.",
        )
    if deployment.image is None:
        raise CandidateImpossibleError(f"{what} is not built yet.", hint="Wait.")
