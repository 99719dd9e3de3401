"""Days of invocations as tables: made ahead, dropped when they are old. Every function runs inside ``database.run``."""

from datetime import UTC, date, datetime, time, timedelta

from appliance.infra.database import proxy
from appliance.invocations.days import partition_name

#: Calls wait behind a table that is being changed; rather than hold them up, the change is tried again later.
_PATIENCE = "SET LOCAL lock_timeout = '3s'"
_TAKEN_OUT = """
WITH moved AS (DELETE FROM invocations_default WHERE started_at >= %s AND started_at < %s RETURNING *)
"""
_PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'invocations'::regclass"


def names() -> list[str]:
    """Return the partitions that there are."""
    return [row[0] for row in proxy.execute_sql(_PARTITIONS).fetchall()]


def make(day: date) -> None:
    """Make the day's partition, with what the default one took in its place; if it is there already, do nothing."""
    name = partition_name(day)
    if name in names():
        return
    first = datetime.combine(day, time(), UTC)
    bounds = (first, first + timedelta(days=1))
    proxy.execute_sql(_PATIENCE)
    # Whoever writes to the default partition has ended when we have its lock, and nobody writes before we are done.
    proxy.execute_sql("LOCK TABLE invocations_default IN ACCESS EXCLUSIVE MODE")
    proxy.execute_sql(
        f"CREATE TABLE {name} (LIKE invocations INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
    )
    proxy.execute_sql(
        f"{_TAKEN_OUT} INSERT INTO {name} SELECT * FROM moved",  # noqa: S608 - eight digits
        bounds,
    )
    proxy.execute_sql(
        f"ALTER TABLE invocations ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)",
        bounds,
    )


def drop(name: str) -> None:
    """Remove a day with all its calls."""
    proxy.execute_sql(_PATIENCE)
    proxy.execute_sql(f"DROP TABLE IF EXISTS {name}")


def prune_default(before: datetime) -> None:
    """Remove old calls that no day's partition took, and places of spools that are long gone."""
    proxy.execute_sql(
        "DELETE FROM invocations_default WHERE started_at < %s", (before,)
    )
    proxy.execute_sql("DELETE FROM invocation_spools WHERE updated_at < %s", (before,))
