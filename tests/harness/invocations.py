"""Calls as the scribe would have written them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from appliance.infra.database import Database, proxy

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
_VALUES: dict[str, Any] = {
    "started_at": NOON,
    "duration_ms": 1.0,
    "server_id": 1,
    "principal": "hub",
    "method": "tools/call",
    "target": "echo",
    "http_status": 200,
    "error_class": "",
    "request_bytes": 20,
    "response_bytes": 30,
    "traceparent": "",
    "request": '{"ask":1}',
    "response": '{"answer":2}',
}


def add_call(**fields: Any) -> int:
    """Insert one call and return its id; runs inside ``database.run``."""
    values = _VALUES | fields
    columns = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    cursor = proxy.execute_sql(
        f"INSERT INTO invocations ({columns}) VALUES ({marks}) RETURNING id",  # noqa: S608 - a test's own words
        tuple(values.values()),
    )
    return int(cursor.fetchone()[0])


async def add_calls(database: Database, count: int, **fields: Any) -> list[int]:
    """Insert calls a second apart, the newest now, and return their ids, the oldest first."""
    now = datetime.now(UTC)

    def write() -> list[int]:
        return [
            add_call(**{"started_at": now - timedelta(seconds=count - number)} | fields)
            for number in range(count)
        ]

    return await database.run(write)
