"""Samples as rows. Every function runs inside ``database.run``."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from psycopg2.extras import execute_values

from appliance.infra.database import proxy
from appliance.measurements.model import RESOLUTIONS, Sample
from appliance.measurements.spans import SLACK_STEPS, floor

#: A server that was deleted in the meantime keeps nobody's samples from being stored.
_ADD = """
INSERT INTO server_samples (server_id, step_s, at, cpu_s, memory_bytes, received_bytes, sent_bytes, containers, covered_s)
SELECT v.* FROM (VALUES %s) AS v (server_id, step_s, at, cpu_s, memory_bytes, received_bytes, sent_bytes, containers, covered_s)
JOIN servers ON servers.id = v.server_id
ON CONFLICT DO NOTHING
"""
_ADD_TEMPLATE = "(%s::bigint, %s::int, %s::timestamptz, %s::float8, %s::bigint, %s::bigint, %s::bigint, %s::int, %s::float8)"
_BINNED = """
SELECT server_id, date_bin(%s, at, 'epoch'), sum(cpu_s)::float8, max(memory_bytes), sum(received_bytes)::bigint,
       sum(sent_bytes)::bigint, max(containers), sum(covered_s)::float8
FROM server_samples WHERE step_s = %s AND at >= %s AND at < %s
"""
_ROLL_UP = f"""
INSERT INTO server_samples (server_id, at, cpu_s, memory_bytes, received_bytes, sent_bytes, containers, covered_s, step_s)
SELECT binned.*, %s FROM ({_BINNED} GROUP BY 1, 2) AS binned
ON CONFLICT (server_id, step_s, at) DO UPDATE SET
    cpu_s = excluded.cpu_s, memory_bytes = excluded.memory_bytes, received_bytes = excluded.received_bytes,
    sent_bytes = excluded.sent_bytes, containers = excluded.containers, covered_s = excluded.covered_s
"""  # noqa: S608 - our own words
_SERIES = f"{_BINNED} AND server_id = %s GROUP BY 1, 2 ORDER BY 2"
_PRUNE = "DELETE FROM server_samples WHERE step_s = %s AND at < %s"
#: Spans that are put together anew each time: a hub that was away for so long leaves no hole.
_AGAIN = 3


def add(samples: Sequence[Sample]) -> None:
    """Write the samples of one look at all servers."""
    step_s = _seconds(RESOLUTIONS[0].step)
    rows = [
        (
            item.server_id,
            step_s,
            item.at,
            item.cpu_s,
            item.memory_bytes,
            item.received_bytes,
            item.sent_bytes,
            item.containers,
            item.covered_s,
        )
        for item in samples
    ]
    _execute(_ADD, rows)


def _execute(sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    with proxy.obj.cursor() as cursor:
        execute_values(cursor, sql, rows, template=_ADD_TEMPLATE, page_size=1000)


def roll_up(moment: datetime) -> None:
    """Put fine samples together to coarse ones, for every span that ended by ``moment``. Idempotent."""
    for fine, coarse in pairwise(RESOLUTIONS):
        end = floor(moment, coarse.step)
        if moment - end >= RESOLUTIONS[1].step:
            continue  # nothing ended since the last time
        begin = end - _AGAIN * coarse.step
        values = (_seconds(coarse.step), coarse.step, _seconds(fine.step), begin, end)
        proxy.execute_sql(_ROLL_UP, values)


def prune(moment: datetime) -> None:
    """Remove what is kept no longer; a little more than promised stays, so that windows are whole."""
    for item in RESOLUTIONS:
        oldest = moment - item.keep - (SLACK_STEPS + 1) * item.step
        proxy.execute_sql(_PRUNE, (_seconds(item.step), oldest))


def series(
    server_id: int,
    since: datetime,
    until: datetime,
    *,
    step: timedelta,
    stored: timedelta,
) -> list[Sample]:
    """Return samples of ``step``, made of those that are stored in spans of ``stored``, oldest first."""
    values = (step, _seconds(stored), since, until, server_id)
    return [Sample(*row) for row in proxy.execute_sql(_SERIES, values).fetchall()]


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())
