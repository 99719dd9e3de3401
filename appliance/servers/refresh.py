"""Keeping manifests fresh: a job a server, every few minutes, and as soon as the server says that its lists changed."""

import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog

from appliance.core.clock import now
from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.jobs.model import Again, JobContext
from appliance.jobs.queue import enqueue
from appliance.secrets.errors import VaultAwayError
from appliance.secrets.service import SecretService
from appliance.servers import manifest_store, store
from appliance.servers.mcp import McpCallError, McpClient, McpUnavailableError
from appliance.servers.model import DeploymentState, InstanceRecord, Status
from appliance.servers.service import REFRESH, lane_of

log = structlog.get_logger("servers.refresh")

#: NOTIFY by the gateway, with the name of the server whose lists changed.
CHANNEL = "manifests"
EVERY_S = 600.0
#: Servers are asked spread over this time, not all at once.
SPREAD_S = 540.0
#: A burst of changes is read once, when it is over.
DEBOUNCE_S = 1.0
_ANSWERING = {Status.RUNNING, Status.DEGRADED}


class RefreshTask:
    """Reads one server's manifest again, as a job."""

    def __init__(
        self, database: Database, mcp: McpClient, secrets: SecretService
    ) -> None:
        """Keep the collaborators."""
        self._database = database
        self._mcp = mcp
        self._secrets = secrets

    async def __call__(
        self, _context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """Ask ``payload["server_id"]`` what it can do, and keep the answer.

        A server that does not answer is the reconciler's business; what it said last stays.
        """
        server_id = int(payload["server_id"])
        asked = await self._database.run(_asked, server_id)
        if asked is None:
            return None
        name, record = asked
        try:
            manifest = await self._mcp.probe(name, instance_id=record.id)
            said = await self._secrets.clean(server_id, manifest.as_dict())
        except (McpUnavailableError, McpCallError, VaultAwayError) as error:
            log.info("manifest.not_read", server_id=server_id, reason=error.reason)
            return None
        await self._database.run(_keep, server_id, record.deployment_id, said)
        return None


def _asked(server_id: int) -> tuple[str, InstanceRecord] | None:
    """Return the server's name and the instance to ask, if a live one answers."""
    server = store.find_by_id(server_id)
    live = store.deployment_in(server_id, DeploymentState.LIVE)
    if server is None or live is None or server.status not in _ANSWERING:
        return None
    for record in store.records(server_id):
        if record.deployment_id == live.id == server.deployment_id:
            return server.name, record
    return None


def _keep(server_id: int, deployment_id: int, manifest: dict[str, Any]) -> None:
    live = store.deployment_in(server_id, DeploymentState.LIVE)
    # It may have been replaced while it was asked.
    if live is not None and live.id == deployment_id:
        manifest_store.keep(deployment_id, manifest)


def refresh_all() -> None:
    """Enqueue a refresh of every server's manifest, each at a moment of its own; who has one waiting gets no second."""
    for server_id in store.all_ids():
        _enqueue(server_id, random.uniform(0, SPREAD_S))  # noqa: S311 - spreads work


def _enqueue(server_id: int, after_s: float) -> None:
    enqueue(
        REFRESH,
        {"server_id": server_id},
        lane=lane_of(server_id),
        run_at=now() + timedelta(seconds=after_s),
        max_attempts=2,
    )


def refresh_soon(server_id: int) -> None:
    """Have a server's manifest read again; inside the caller's transaction."""
    _enqueue(server_id, DEBOUNCE_S)


def _enqueue_named(name: str) -> None:
    server = store.find(name)
    if server is not None:
        _enqueue(server.id, DEBOUNCE_S)


async def watch_changes(database: Database) -> None:
    """Turn what the gateway says of changed lists into jobs, for ever; what is missed, the next sweep finds."""
    async for channel, name in database.listen(CHANNEL):
        if channel != CHANNEL:
            continue
        try:
            await database.run(_enqueue_named, name)
        except DatabaseUnavailableError as error:
            log.warning("manifest.change_missed", server=name, reason=error.reason)
