"""Which checks are due, claimed so that nobody else does them; and the calls that tell of the same servers.

Every function runs inside ``database.run``. To claim a check is to write down when the next one is due: whoever dies in the
middle of one has left nothing to clean up.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from appliance.core.clock import now
from appliance.infra.database import proxy
from appliance.servers.health.model import Health
from appliance.servers.health.pace import next_check
from appliance.servers.health.policy import HealthPolicy, from_dict
from appliance.servers.health.store import COLUMNS, health_of
from appliance.servers.health.traffic import LOOKBACK, FailedCall, Traffic

#: The longest that a call may have taken which counts by its end.
_LONGEST = timedelta(minutes=5)
#: Calls that are looked through for one that went well, and failures that are looked at.
_MOST_CALLS = 2000
_MOST_FAILURES = 20

_DUE = f"""
SELECT h.server_id, h.next_check_at, s.name, s.config -> 'health', s.deployment_id, r.id, r.name, r.transport,
    r.executor, r.created_at, s.status, {COLUMNS}
FROM server_health h JOIN servers s ON s.id = h.server_id
    LEFT JOIN instances r ON r.deployment_id = s.deployment_id
"""  # noqa: S608 - our own words
_CLAIM = f"{_DUE} WHERE h.next_check_at <= %s ORDER BY h.next_check_at LIMIT %s FOR UPDATE OF h SKIP LOCKED"
_ONE = f"{_DUE} WHERE h.server_id = %s"
_NEXT = """
UPDATE server_health h SET next_check_at = v.at FROM unnest(%s::bigint[], %s::timestamptz[]) AS v (id, at)
WHERE h.server_id = v.id AND h.next_check_at IS NOT NULL
"""
# A clock that was put back leaves checks in a future that is far away.
_BRING_NEAR = """
UPDATE server_health h SET next_check_at = now() FROM servers s
WHERE s.id = h.server_id AND h.next_check_at
    > now() + make_interval(secs => coalesce((s.config -> 'health' ->> 'interval_s')::float8, 30))
"""
_CALLS = (
    "method IN ('tools/call', 'prompts/get', 'resources/read', 'completion/complete')"
)
_ENDED = "started_at + duration_ms * interval '1 millisecond'"
_TRAFFIC = f"""
SELECT d.id, good.ended, bad.ended, bad.method, bad.target, bad.http_status, bad.error_class, bad.rpc_code, bad.response
FROM unnest(%s::bigint[], %s::timestamptz[]) AS d (id, since)
LEFT JOIN LATERAL (
    SELECT ended FROM (
        SELECT {_ENDED} AS ended, method, error_class, started_at FROM invocations i
        WHERE i.server_id = d.id AND i.started_at >= d.since AND i.started_at >= %s
        ORDER BY i.started_at DESC LIMIT {_MOST_CALLS}
    ) AS newest WHERE error_class = '' AND {_CALLS} ORDER BY started_at DESC LIMIT 1
) AS good ON true
LEFT JOIN LATERAL (
    SELECT {_ENDED} AS ended, method, target, http_status, error_class, rpc_code, left(response, 4096) AS response
    FROM invocations i WHERE i.server_id = d.id AND i.started_at >= d.since AND i.started_at >= %s
        AND error_class <> '' AND {_CALLS}
    ORDER BY i.started_at DESC LIMIT {_MOST_FAILURES}
) AS bad ON true
"""  # noqa: S608 - our own words


@dataclass(frozen=True)
class Due:
    """One server that is to be asked."""

    server_id: int
    #: When it is to be asked; in the past: at once.
    at: datetime
    name: str
    policy: HealthPolicy
    deployment_id: int
    instance_id: int
    #: As its executor knows the instance.
    instance: str
    transport: str
    executor: str
    #: What people are told now.
    status: str
    health: Health
    traffic: Traffic = field(default_factory=Traffic)


def claim(limit: int, *, ahead: timedelta) -> list[Due]:
    """Return up to ``limit`` servers whose check is due until ``ahead`` from now, each with the calls that tell of it."""
    until = now() + ahead
    rows = proxy.execute_sql(_CLAIM, (until, limit)).fetchall()
    if not rows:
        return []
    ids = [row[0] for row in rows]
    moments = [next_check(row[0], from_dict(row[3] or {}), until) for row in rows]
    proxy.execute_sql(_NEXT, (ids, moments))
    return _with_traffic(rows, now())


def one(server_id: int) -> Due | None:
    """Return a server to ask it now; ``None``: nothing of it runs."""
    rows = proxy.execute_sql(_ONE, (server_id,)).fetchall()
    return next(iter(_with_traffic(rows, now())), None)


def hurry(server_ids: Collection[int]) -> None:
    """Have these servers asked at once, if they are asked at all."""
    moment = now()
    proxy.execute_sql(_NEXT, (list(server_ids), [moment] * len(server_ids)))


def bring_near() -> None:
    """Have those asked at once whose next check lies further away than their rhythm."""
    proxy.execute_sql(_BRING_NEAR)


def _with_traffic(rows: Sequence[tuple[Any, ...]], moment: datetime) -> list[Due]:
    # Where no instance is there is nothing to ask: the reconciler sees to that.
    rows = [row for row in rows if row[5] is not None]
    since = {row[0]: max(row[9], moment - LOOKBACK - _LONGEST) for row in rows}
    calls = _traffic(since)
    return [
        Due(
            server_id=row[0],
            at=row[1] or moment,
            name=row[2],
            policy=from_dict(row[3] or {}),
            deployment_id=row[4],
            instance_id=row[5],
            instance=row[6],
            transport=row[7],
            executor=row[8],
            status=row[10],
            health=health_of(*row[11:]),
            traffic=calls.get(row[0], Traffic()),
        )
        for row in rows
    ]


def _traffic(since: dict[int, datetime]) -> dict[int, Traffic]:
    """Return the newest calls of servers, by what went well last and what failed."""
    if not since:
        return {}
    earliest = min(since.values())
    rows = proxy.execute_sql(
        _TRAFFIC, (list(since), list(since.values()), earliest, earliest)
    ).fetchall()
    good: dict[int, datetime | None] = {}
    failed: dict[int, list[FailedCall]] = {}
    for server_id, last_good, *call in rows:
        good[server_id] = last_good
        if call[0] is not None:
            failed.setdefault(server_id, []).append(FailedCall(*call))
    return {
        server_id: Traffic(
            last,
            tuple(
                sorted(
                    failed.get(server_id, []),
                    key=lambda item: item.ended_at,
                    reverse=True,
                )
            ),
        )
        for server_id, last in good.items()
    }
