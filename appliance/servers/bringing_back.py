"""The job that goes back to the version before, where a promotion was rolled back by which the present one was launched."""

from collections.abc import Mapping
from typing import Any

import structlog

from appliance.infra.database import Database
from appliance.jobs.model import JobContext
from appliance.policy.model import Purpose
from appliance.servers import deployment_store, store
from appliance.servers.deployments import go_back
from appliance.servers.deploys.model import Trigger
from appliance.servers.errors import DeployLockedError
from appliance.servers.gate import Gate, look
from appliance.servers.model import Deployment, DeploymentState, DesiredState, Server
from appliance.servers.versions import built_for, known_as

log = structlog.get_logger("servers.policy")


class BringBack:
    """Has a server go back to a digest whose promotion is active again, without a build.

    Only where the policy would launch what is live no more, and would launch the other: a version that is active in another
    stage, or that no policy asks a promotion of, goes on. Run again, it finds the other version live or on its way.
    """

    def __init__(self, database: Database, gate: Gate) -> None:
        """Keep the two."""
        self._database = database
        self._gate = gate

    async def __call__(self, _context: JobContext, payload: Mapping[str, Any]) -> None:
        """Go back on ``payload["server_id"]`` from ``payload["digest"]`` to ``payload["to_digest"]``."""
        found = await self._database.run(_versions, payload)
        if found is None:
            return
        server, live, target = found
        if await self._launches(server, live):
            return
        if not await self._launches(server, target):
            log.info("server.not_brought_back", server_id=server.id, to=target.number)
            return
        await self._database.run(_go_back, payload)

    async def _launches(self, server: Server, deployment: Deployment) -> bool:
        ask = await self._gate.ask(server, deployment, Purpose.SERVE)
        return (await self._database.run(look, ask)).launches


def _versions(
    payload: Mapping[str, Any],
) -> tuple[Server, Deployment, Deployment] | None:
    """Return the server, what is live of it, and where it shall go back to; ``None``: it need or can not."""
    server = store.find_by_id(int(payload["server_id"]))
    if server is None or server.desired_state is not DesiredState.RUNNING:
        return None
    live = store.deployment_in(server.id, DeploymentState.LIVE)
    if live is None or known_as(server, live).digest != payload["digest"]:
        return None
    retained = deployment_store.retained(server.id, server.config.deploys.retain)
    for number in sorted(retained, reverse=True):
        target = deployment_store.numbered(server.id, number)
        if known_as(server, target).digest == payload["to_digest"]:
            is_coming = _is_coming(server, target, payload["to_digest"])
            return None if is_coming else (server, live, target)
    return None


def _is_coming(server: Server, target: Deployment, digest: str) -> bool:
    """Return whether what is on its way is that version already.

    What was just added may have no digest yet, where only a decision about it tells one; then the build of its image tells.
    """
    pending = store.deployment_in(server.id, DeploymentState.PENDING)
    if pending is None:
        return False
    if pending.made_of is not None and built_for(pending) == built_for(target):
        return True
    return known_as(server, pending).digest == digest


def _go_back(payload: Mapping[str, Any]) -> None:
    """Add the deployment, unless somebody was quicker."""
    found = _versions(payload)
    if found is None:
        return
    server, live, target = found
    reason = f"Promotion {payload['promotion_id']} of deployment {live.number} was rolled back."
    try:
        go_back(
            server,
            target,
            requested_by=str(payload["by"]),
            trigger=Trigger.ROLLBACK,
            reason=reason,
        )
    except DeployLockedError:
        # Whoever locked it wants no version to take another's place, this one included.
        log.info("server.not_brought_back", server_id=server.id, to=target.number)
