"""Limits that servers ran into: rows in, model objects out. Runs inside ``database.run``."""

from collections.abc import Mapping

from appliance.infra.database import proxy
from appliance.observability.events import publish_in_transaction
from appliance.servers.isolating.model import Limit, LimitHit
from appliance.servers.isolating.tables import LimitHitRow

HIT = "server.limit"


def hits(server_id: int) -> tuple[LimitHit, ...]:
    """Return the limits that a server ran into, the latest first."""
    rows = (
        LimitHitRow.select()
        .where(LimitHitRow.server_id == server_id)
        .order_by(LimitHitRow.last_at.desc())
    )
    return tuple(
        LimitHit(Limit(row.what), row.times, row.first_at, row.last_at) for row in rows
    )


def containers() -> dict[str, int]:
    """Return the server of each container that the gateway was told of."""
    found = proxy.execute_sql(
        "SELECT container_id, server_id FROM instances WHERE container_id <> ''"
    )
    return {container_id: int(server_id) for container_id, server_id in found}


def counted(
    server_id: int, container_id: str, counters: Mapping[Limit, int]
) -> list[Limit]:
    """Keep what the kernel counted for a container, tell of what rose, and return it."""
    return [
        limit
        for limit, counter in counters.items()
        if _kept(_COUNT, server_id, (limit, counter), container_id)
    ]


def filled(server_id: int, *, is_full: bool) -> bool:
    """Keep that a server's /data is full, or no longer; return whether it became so now."""
    return _kept(_FILL, server_id, (Limit.DATA, int(is_full)), "")


_NEW = """
    INSERT INTO server_limit_hits AS kept (server_id, what, times, container_id, counter)
    SELECT id, %s, %s, %s, %s FROM servers WHERE id = %s AND %s > 0
    ON CONFLICT (server_id, what) DO UPDATE SET
"""
#: A container's counter begins at 0.
_COUNT = f"""{_NEW}
    times = kept.times + excluded.counter - CASE WHEN kept.container_id = excluded.container_id THEN kept.counter ELSE 0 END,
    container_id = excluded.container_id, counter = excluded.counter, last_at = now()
    WHERE kept.container_id <> excluded.container_id OR kept.counter < excluded.counter
    RETURNING times
"""
_FILL = f"""{_NEW}
    times = kept.times + 1, counter = 1, last_at = now()
    WHERE kept.counter = 0
    RETURNING times
"""
_ROOM = "UPDATE server_limit_hits SET counter = 0 WHERE server_id = %s AND what = 'data' AND counter <> 0"


def _kept(sql: str, server_id: int, what: tuple[Limit, int], container_id: str) -> bool:
    """Store the counter, and tell of it and return whether it rose."""
    limit, counter = what
    if limit is Limit.DATA and not counter:
        proxy.execute_sql(_ROOM, (server_id,))
        return False
    values = (limit.value, counter, container_id, counter, server_id, counter)
    found = proxy.execute_sql(sql, values).fetchone()
    if found:
        publish_in_transaction(
            HIT, server_id, {"limit": limit.value, "times": int(found[0])}
        )
    return bool(found)
