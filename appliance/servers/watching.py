"""Watching a version in its first minutes, and taking it back when its calls fail: a job a deployment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.jobs.model import Again, JobContext
from appliance.jobs.queue import enqueue
from appliance.servers import deployment_store, store, wording
from appliance.servers.access import record_write
from appliance.servers.deployments import go_back
from appliance.servers.deploys.model import WATCH, Trigger
from appliance.servers.deploys.verdict import Calls, why_worse
from appliance.servers.model import Deployment, DeploymentState, DesiredState, Server

log = structlog.get_logger("servers.watching")

LOOK_EVERY_S = 3.0
#: What the version before was like is told by its calls in so long before it was left.
BEFORE = timedelta(minutes=30)


@dataclass(frozen=True)
class RollbackActor:
    """Who takes a version back, for the trail."""

    user_id: None = None
    name: str = "automatic-rollback"


ACTOR = RollbackActor()


def watch(server: Server, deployment: Deployment) -> None:
    """Have a deployment that just went live watched, unless it is itself a way back; runs inside ``database.run``."""
    policy = server.config.deploys
    is_way_back = deployment.trigger in {Trigger.ROLLBACK, Trigger.AUTOMATIC_ROLLBACK}
    if policy.auto_rollback and policy.watch_s and not is_way_back:
        enqueue(
            WATCH,
            {"server_id": server.id, "number": deployment.number},
            lane=f"watch:{server.id}",
            run_at=now() + timedelta(seconds=LOOK_EVERY_S),
        )


class WatchTask:
    """Looks at a deployment's calls every few seconds for as long as it is watched."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def __call__(
        self, _context: JobContext, payload: Mapping[str, Any]
    ) -> Again | None:
        """Look at deployment ``payload["number"]`` of ``payload["server_id"]``."""
        goes_on = await self._database.run(
            look, int(payload["server_id"]), int(payload["number"])
        )
        return Again(LOOK_EVERY_S) if goes_on else None


def look(server_id: int, number: int) -> bool:
    """Take the deployment back if its calls fail; return whether to look again."""
    server = store.find_by_id(server_id)
    live = store.deployment_in(server_id, DeploymentState.LIVE)
    if server is None or live is None or live.number != number or not live.live_at:
        return False
    if not _is_watched(server, live.live_at):
        return False
    if store.deployment_in(server_id, DeploymentState.PENDING):
        # Somebody is at it already.
        return True
    old = deployment_store.before(live)
    if old is None or old.image is None:
        return False
    why = why_worse(
        _calls(old, live.live_at - BEFORE, live.live_at),
        _calls(live, live.live_at, now()),
        crashes=server.crashes,
    )
    if why is None:
        return True
    take_back(server, live, old, why)
    return False


def take_back(server: Server, live: Deployment, old: Deployment, why: str) -> None:
    """Go back to ``old``, and say so everywhere."""
    told = wording.taken_back(live, why)
    deployment_store.give_reason(live, f"Taken back: {why}")
    made = go_back(
        server,
        old,
        requested_by=ACTOR.name,
        trigger=Trigger.AUTOMATIC_ROLLBACK,
        reason=told,
    )
    details = {"from": live.number, "to": old.number, "deployment": made.number}
    record_write(ACTOR, "server.rollback", server, {**details, "why": why})
    log.warning("server.taken_back", server_id=server.id, why=why, **details)


def _is_watched(server: Server, since: datetime) -> bool:
    policy = server.config.deploys
    until = since + timedelta(seconds=policy.watch_s)
    is_wanted = server.desired_state is DesiredState.RUNNING
    return policy.auto_rollback and is_wanted and now() <= until


def _calls(deployment: Deployment, since: datetime, until: datetime) -> Calls:
    total, failed = deployment_store.calls_of(
        deployment.server_id, deployment.id, since=since, until=until
    )
    return Calls(total, failed)
