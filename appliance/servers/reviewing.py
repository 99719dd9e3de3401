"""The job that looks again at what the policy holds, or would no longer have running."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from appliance.infra.database import Database
from appliance.jobs.model import JobContext
from appliance.policy import document_store
from appliance.policy import store as policy_store
from appliance.policy.document import Policy
from appliance.policy.model import Purpose
from appliance.policy.rules.require_certification import STOP, RequireCertification
from appliance.servers import store
from appliance.servers.gate import Gate
from appliance.servers.model import Deployment, DeploymentState, DesiredState, Server
from appliance.servers.service import reconcile_soon

log = structlog.get_logger("servers.policy")


class PolicyReview:
    """Has every server reconciled that a changed certification, promotion or policy concerns.

    What is held is decided anew when the reconciler tries to launch it. What runs is decided here, and only where the
    policy ends what runs.
    """

    def __init__(self, database: Database, gate: Gate) -> None:
        """Keep the two."""
        self._database = database
        self._gate = gate

    async def __call__(self, _context: JobContext, payload: Mapping[str, Any]) -> None:
        """Look at ``payload["digest"]``, at ``payload["server_id"]``, or at everything."""
        digest, server_id = payload.get("digest"), payload.get("server_id")
        await self._database.run(_wake, digest, server_id)
        for server, live in await self._database.run(_running, digest, server_id):
            ruling = await self._gate.rule(server, live, Purpose.KEEP)
            if ruling.decision.ends_running:
                log.info(
                    "server.policy_ends",
                    server_id=server.id,
                    notes=ruling.decision.notes,
                )
                await self._database.run(reconcile_soon, server.id)


def _wake(digest: str | None, server_id: int | None) -> None:
    """Have the servers reconciled of which something is held."""
    found = policy_store.held(digest=digest)
    for held in sorted({item for item, _ in found if server_id in {None, item}}):
        reconcile_soon(held)


def _running(
    digest: str | None, server_id: int | None
) -> Sequence[tuple[Server, Deployment]]:
    """Return what runs and may have to end."""
    if not _ends_anything(document_store.active().policy):
        return []
    ids = policy_store.running(digest=digest, server_id=server_id)
    lives = store.deployments_in(ids, DeploymentState.LIVE)
    found = []
    for number, live in sorted(lives.items()):
        server = store.find_by_id(number)
        if server and server.desired_state is DesiredState.RUNNING:
            found.append((server, live))
    return found


def _ends_anything(policy: Policy) -> bool:
    return any(
        isinstance(rule, RequireCertification) and rule.on_expiry == STOP
        for rule in policy.rules
    )
