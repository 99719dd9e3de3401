"""Verdicts, due checks and history as rows. Every function runs inside ``database.run``."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg2.extras import Json, execute_values

from appliance.core.clock import now
from appliance.infra.database import proxy
from appliance.servers.health import policy as policies
from appliance.servers.health.model import (
    Health,
    HealthState,
    Liveness,
    StatusChange,
    Step,
)
from appliance.servers.health.pace import next_check
from appliance.servers.health.policy import HealthPolicy
from appliance.servers.health.tables import HealthRow, StatusChangeRow
from appliance.servers.health.verdict import Finding

#: How long changes are kept, and how many of a server at most: one that flaps must not fill the disk.
KEEP = timedelta(days=90)
KEEP_EACH = 2000
#: While a server is one of these, it is asked; while it is one of the others between, what served before may serve still.
_ASKED = frozenset({"running", "degraded"})
_NOT_ASKED = frozenset({"starting", "stopping", "stopped", "error"})

#: What ``health_of`` reads, and whether it is about what serves now.
COLUMNS = """
    h.state, h.reason, h.answer, h.cause, h.liveness, h.failures, h.successes, h.steps, h.since, h.checked_at, h.next_check_at,
    h.instance_id, h.deployment_id IS NOT DISTINCT FROM s.deployment_id
        AND (h.instance_id IS NULL OR EXISTS (SELECT FROM instances i WHERE i.id = h.instance_id))
"""
_OF = f"SELECT {COLUMNS} FROM server_health h JOIN servers s ON s.id = h.server_id WHERE h.server_id = %s"  # noqa: S608 - our own words

_CHANGE = """
SELECT c.id, c.at, c.before, c.after, c.reason, c.deployment_id, d.number
FROM status_changes c LEFT JOIN deployments d ON d.id = c.deployment_id WHERE c.server_id = %s
"""
_HISTORY = (
    f"{_CHANGE} AND (%s::bigint IS NULL OR c.id < %s) ORDER BY c.id DESC LIMIT %s"
)
_SINCE = f"""
({_CHANGE} AND c.at >= %s) UNION ALL ({_CHANGE} AND c.at < %s ORDER BY c.id DESC LIMIT 1)
ORDER BY id DESC LIMIT %s
"""
_WRITE = """
UPDATE server_health h SET deployment_id = v.deployment_id, instance_id = v.instance_id, state = v.state, reason = v.reason,
    answer = v.answer, cause = v.cause, liveness = v.liveness, failures = v.failures, successes = v.successes, steps = v.steps,
    since = v.since, checked_at = v.checked_at, duration_ms = v.duration_ms
FROM (VALUES %s) AS v (server_id, deployment_id, instance_id, state, reason, answer, cause, liveness, failures, successes,
    steps, since, checked_at, duration_ms), servers s
WHERE h.server_id = v.server_id AND s.id = v.server_id AND s.deployment_id = v.deployment_id
"""
_TEMPLATE = "(%s, %s, %s::bigint, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s::timestamptz, %s)"
_PRUNE = """
DELETE FROM status_changes c USING (
    SELECT id, at, row_number() OVER (PARTITION BY server_id ORDER BY id DESC) AS place FROM status_changes
) AS old WHERE old.id = c.id AND old.place > 1 AND (old.at < %s OR old.place > %s)
"""


def of(server_id: int) -> Health | None:
    """Return the verdict about what serves now; one about another instance counts as ``UNKNOWN``.

    ``None``: there is no such server.
    """
    found = proxy.execute_sql(_OF, (server_id,)).fetchall()
    return health_of(*found[0]) if found else None


def health_of(  # noqa: PLR0913, PLR0917 - the columns of a row
    state: str,
    reason: str,
    answer: str,
    cause: str,
    liveness: str,
    failures: int,
    successes: int,
    steps: list[dict[str, Any]],
    since: datetime,
    checked_at: datetime | None,
    next_check_at: datetime | None,
    instance_id: int | None,
    is_current: bool,  # noqa: FBT001 - a column
) -> Health:
    """Return a row of ``COLUMNS`` as a verdict."""
    if not is_current:
        unknown = HealthState.UNKNOWN
        return Health(unknown, "", "", 0, None, since, next_check_at=next_check_at)
    return Health(
        state=HealthState(state),
        reason=reason,
        answer=answer,
        failures=failures,
        checked_at=checked_at,
        since=since,
        successes=successes,
        liveness=Liveness(liveness),
        cause=cause,
        steps=tuple(Step.from_dict(step) for step in steps),
        next_check_at=next_check_at,
        instance_id=instance_id,
    )


# -- with the status


def begin(server_id: int, status: str) -> None:
    """Begin a new server's health and history."""
    HealthRow.insert(
        server_id=server_id,
        state=HealthState.UNKNOWN.value,
        reason="",
        answer="",
        cause="",
        liveness=Liveness.UNKNOWN.value,
        failures=0,
        successes=0,
        steps=[],
        since=now(),
        duration_ms=0,
    ).execute()
    note_change(server_id, before="", after=status, reason="", deployment_id=None)


def note_change(
    server_id: int, *, before: str, after: str, reason: str, deployment_id: int | None
) -> None:
    """Write down what a status became, and why."""
    StatusChangeRow.insert(
        server_id=server_id,
        at=now(),
        before=before,
        after=after,
        reason=reason,
        deployment_id=deployment_id,
    ).execute()


def follow_status(server_id: int, after: str, config: Mapping[str, Any]) -> None:
    """Begin or cease to ask a server whose status became ``after``."""
    if after in _NOT_ASKED:
        HealthRow.update(next_check_at=None).where(
            HealthRow.server_id == server_id,
            HealthRow.next_check_at.is_null(is_null=False),
        ).execute()
    elif after in _ASKED:
        HealthRow.update(
            next_check_at=next_check(server_id, policy_of(config), now())
        ).where(
            HealthRow.server_id == server_id, HealthRow.next_check_at.is_null()
        ).execute()


def pace(server_id: int, config: Mapping[str, Any]) -> None:
    """Go on asking a server in the rhythm of its new configuration."""
    HealthRow.update(
        next_check_at=next_check(server_id, policy_of(config), now())
    ).where(
        HealthRow.server_id == server_id, HealthRow.next_check_at.is_null(is_null=False)
    ).execute()


def history(
    server_id: int, *, before: int | None = None, limit: int = 50
) -> list[StatusChange]:
    """Return a server's changes, newest first; ``before`` (a change's id) is the cursor."""
    rows = proxy.execute_sql(_HISTORY, (server_id, before, before, limit)).fetchall()
    return [StatusChange(*row) for row in rows]


def history_since(server_id: int, since: datetime) -> list[StatusChange]:
    """Return the changes of a window, oldest first, and the last one before it."""
    rows = proxy.execute_sql(
        _SINCE, (server_id, since, server_id, since, KEEP_EACH)
    ).fetchall()
    return [StatusChange(*row) for row in reversed(rows)]


def prune() -> int:
    """Remove old changes, but the last one of each server; return how many went."""
    found: int = proxy.execute_sql(_PRUNE, (now() - KEEP, KEEP_EACH)).rowcount
    return found


def policy_of(config: Mapping[str, Any]) -> HealthPolicy:
    """Return the policy in a stored configuration."""
    return policies.from_dict(config.get("health") or {})


def write(verdicts: Sequence[tuple[Finding, Health]]) -> None:
    """Write what checks found; a server that has gone on to another instance meanwhile keeps what is known of that."""
    rows = [_as_row(found, health) for found, health in verdicts]
    execute_values(proxy.obj.cursor(), _WRITE, rows, template=_TEMPLATE)


def _as_row(found: Finding, health: Health) -> tuple[Any, ...]:
    return (
        found.server_id,
        found.deployment_id,
        found.instance_id,
        health.state.value,
        health.reason,
        health.answer,
        health.cause,
        health.liveness.value,
        health.failures,
        health.successes,
        Json([step.as_dict() for step in health.steps]),
        health.since,
        health.checked_at,
        found.duration_ms,
    )
