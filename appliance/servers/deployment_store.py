"""Queries about the history of deployments. Every function runs inside ``database.run``."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from appliance.core.clock import now
from appliance.infra.database import proxy
from appliance.observability.events import publish_in_transaction
from appliance.servers.deploys.model import Trigger
from appliance.servers.errors import NoDeploymentError
from appliance.servers.model import Deployment, DeploymentState
from appliance.servers.store import deployment_of
from appliance.servers.tables import DeploymentRow
from appliance.sources.spec import as_dict as source_as_dict

_GONE_BACK_TO = (DeploymentState.SUPERSEDED.value, DeploymentState.ROLLED_BACK.value)


def page(
    server_id: int,
    *,
    states: Collection[DeploymentState] = (),
    triggers: Collection[Trigger] = (),
    before: int | None = None,
    limit: int = 20,
) -> list[Deployment]:
    """Return a server's deployments, newest first; ``before`` (a number) is the cursor, nothing named means everything."""
    rows = DeploymentRow.select().where(DeploymentRow.server_id == server_id)
    if states:
        rows = rows.where(DeploymentRow.state.in_([item.value for item in states]))
    if triggers:
        rows = rows.where(DeploymentRow.trigger.in_([item.value for item in triggers]))
    if before is not None:
        rows = rows.where(DeploymentRow.number < before)
    found = rows.order_by(DeploymentRow.number.desc()).limit(limit)
    return [deployment_of(row) for row in found]


def numbered(server_id: int, number: int) -> Deployment:
    """Return one of a server's deployments.

    Raises:
        NoDeploymentError: There is none of this number.
    """
    row = DeploymentRow.get_or_none(
        DeploymentRow.server_id == server_id, DeploymentRow.number == number
    )
    if row is None:
        raise NoDeploymentError(f"There is no deployment {number}.")
    return deployment_of(row)


def retained(server_id: int, retain: int) -> set[int]:
    """Return the numbers of the deployments that can be gone back to: the last ``retain`` that were live before."""
    rows = (
        DeploymentRow.select(DeploymentRow.number)
        .where(
            DeploymentRow.server_id == server_id,
            DeploymentRow.state.in_(_GONE_BACK_TO),
            DeploymentRow.image.is_null(is_null=False),
        )
        .order_by(DeploymentRow.live_at.desc(nulls="LAST"), DeploymentRow.number.desc())
        .limit(retain)
    )
    return {row.number for row in rows}


def made_alike(deployment: Deployment, limit: int) -> list[Deployment]:
    """Return up to ``limit`` earlier deployments of the same source and build that have an image, newest first.

    Those that failed or were taken back are left out: nobody wants their image again.
    """
    states = (
        DeploymentState.LIVE,
        DeploymentState.SUPERSEDED,
        DeploymentState.CANCELLED,
    )
    rows = (
        DeploymentRow.select()
        .where(
            DeploymentRow.server_id == deployment.server_id,
            DeploymentRow.id != deployment.id,
            DeploymentRow.source == source_as_dict(deployment.source),
            DeploymentRow.state.in_([item.value for item in states]),
            DeploymentRow.image.is_null(is_null=False),
        )
        .order_by(DeploymentRow.number.desc())
        .limit(limit * 4)
    )
    config = deployment.config
    found: dict[str, Deployment] = {}
    for item in map(deployment_of, rows):
        is_alike = (item.config.dockerfile, item.config.entry) == (
            config.dockerfile,
            config.entry,
        )
        if item.image and is_alike:
            found.setdefault(item.image, item)
    return list(found.values())[:limit]


def before(deployment: Deployment) -> Deployment | None:
    """Return the deployment that was live before this one, if any: what it is compared with."""
    row = (
        DeploymentRow.select()
        .where(
            DeploymentRow.server_id == deployment.server_id,
            DeploymentRow.number < deployment.number,
            DeploymentRow.live_at.is_null(is_null=False),
        )
        .order_by(DeploymentRow.live_at.desc())
        .first()
    )
    return deployment_of(row) if row else None


def compared(deployment_id: int, *, wanted: str, running: str) -> None:
    """Write which image should run, and which does."""
    DeploymentRow.update(
        wanted_digest=wanted, running_digest=running, compared_at=now()
    ).where(DeploymentRow.id == deployment_id).execute()


def give_reason(deployment: Deployment, reason: str) -> None:
    """Write why a deployment that was live is taken back."""
    DeploymentRow.update(reason=reason).where(
        DeploymentRow.id == deployment.id
    ).execute()
    publish_in_transaction(
        "server.deployment", deployment.server_id, {"number": deployment.number}
    )


# What the client did wrong, or stopped waiting for, says nothing of the server; neither do limits, nor the hub's own questions.
_CALLS = """
SELECT count(*), count(*) FILTER (
    WHERE error_class NOT IN ('', 'client_gone', 'rule_broken', 'tool_refused', 'foreign_state', 'not_json_rpc', 'restarting',
                              'session_not_found', 'body_too_large', 'limited', 'sessions_full', 'too_many_sessions')
    AND NOT (error_class = 'rpc_error' AND rpc_code IN (-32600, -32601, -32602, -32700, -32800, -32002, -32042))
    AND NOT (error_class = 'http_error' AND http_status < 500)
)
FROM (
    SELECT error_class, rpc_code, http_status FROM invocations
    WHERE server_id = %s AND deployment_id = %s AND started_at >= %s AND started_at < %s
      AND principal <> 'hub' AND method LIKE '%%/%%' AND method NOT LIKE 'notifications/%%'
    ORDER BY started_at DESC LIMIT 20000
) newest
"""


def calls_of(
    server_id: int, deployment_id: int, *, since: datetime, until: datetime
) -> tuple[int, int]:
    """Return how many calls a deployment answered in a window, and how many of them failed by its own doing."""
    found: Any = proxy.execute_sql(
        _CALLS, (server_id, deployment_id, since, until)
    ).fetchone()
    return int(found[0]), int(found[1])
