"""Queries about invocations. Every function runs inside ``database.run``; none reads more than a bounded number of rows."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from peewee import Tuple

from appliance.infra.database import proxy
from appliance.invocations.model import (
    Cursor,
    Figures,
    Filter,
    FullInvocation,
    Invocation,
    Outcome,
    Page,
)
from appliance.invocations.tables import InvocationRow

#: Calls that one page looks at; if fewer match than it has room for, the next page goes on from there.
SCAN_ROWS = 20_000
#: The newest calls that figures are made of.
SAMPLE_ROWS = 50_000
#: The newest calls that a series is made of.
SERIES_ROWS = 200_000
#: Kinds of calls that a summary tells apart.
MOST_KINDS = 200
_COLUMNS = (
    "id, started_at, duration_ms, server_id, bundle_id, deployment_id, principal, method, target,"
    " http_status, error_class, rpc_code, request_bytes, response_bytes, traceparent"
)
_NEWEST_FIRST = "ORDER BY started_at DESC, id DESC"
#: What clients and people call. The hub shakes hands and lists by itself, with versions too that never answer anybody; the
#: tools that it calls, it calls for people: its checks leave no trace.
_OTHERS = "(principal <> 'hub' OR method = 'tools/call')"
# Resources are as many as a server likes, so only what has a short list of names is told apart by name.
_FIGURES = f"""
WITH newest AS (
    SELECT method, CASE WHEN method IN ('tools/call', 'prompts/get') THEN target ELSE '' END AS target, duration_ms, error_class
    FROM invocations WHERE server_id = %s AND started_at >= %s AND started_at < %s AND {_OTHERS}
    ORDER BY started_at DESC, id DESC LIMIT %s
)
SELECT coalesce(method, ''), coalesce(target, ''), count(*), count(*) FILTER (WHERE error_class <> ''),
       percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP (ORDER BY duration_ms), max(duration_ms)
FROM newest GROUP BY GROUPING SETS ((method, target), ())
ORDER BY GROUPING(method) DESC, count(*) DESC, 1, 2 LIMIT %s
"""  # noqa: S608 - our own words

_SERIES = f"""
WITH newest AS (
    SELECT date_bin(%s, started_at, 'epoch') AS span, duration_ms, error_class
    FROM invocations WHERE server_id = %s AND started_at >= %s AND started_at < %s AND {_OTHERS}
    ORDER BY started_at DESC, id DESC LIMIT %s
)
SELECT span, count(*), count(*) FILTER (WHERE error_class <> ''),
       percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP (ORDER BY duration_ms)
FROM newest GROUP BY span ORDER BY span
"""  # noqa: S608 - our own words


def page(server_id: int, wanted: Filter, after: Cursor | None, limit: int) -> Page:
    """Return up to ``limit`` calls that match, newest first, among the next ``SCAN_ROWS``."""
    scanned, scan_values = _scan(server_id, wanted, after)
    matching, match_values = _matching(wanted)
    rows = _fetch(
        f"SELECT {_COLUMNS} FROM ({scanned} LIMIT {SCAN_ROWS}) AS scanned WHERE {matching} {_NEWEST_FIRST} LIMIT %s",  # noqa: S608 - our own words
        (*scan_values, *match_values, limit + 1),
    )
    items = [Invocation(*row) for row in rows[:limit]]
    if len(rows) > limit:
        return Page(items, Cursor(items[-1].started_at, items[-1].id))
    last = _fetch(f"{scanned} LIMIT 1 OFFSET {SCAN_ROWS - 1}", scan_values)
    return Page(items, Cursor(last[0][1], last[0][0]) if last else None)


def _scan(
    server_id: int, wanted: Filter, after: Cursor | None
) -> tuple[str, list[Any]]:
    """Return the part of the query that an index answers."""
    conditions = ["server_id = %s"]
    values: list[Any] = [server_id]
    if wanted.since is not None:
        conditions.append("started_at >= %s")
        values.append(wanted.since)
    if wanted.until is not None:
        conditions.append("started_at < %s")
        values.append(wanted.until)
    if after is not None:
        # The first of the two lets Postgres leave younger days out.
        conditions += ["started_at <= %s", "(started_at, id) < (%s, %s)"]
        values += [after.started_at, after.started_at, after.id]
    if wanted.outcome is Outcome.ERROR or wanted.error_class:
        conditions.append("error_class <> ''")
    where = " AND ".join(conditions)
    return f"SELECT {_COLUMNS} FROM invocations WHERE {where} {_NEWEST_FIRST}", values  # noqa: S608 - our own words


def _matching(wanted: Filter) -> tuple[str, list[Any]]:
    """Return the part of the query that is asked of each row."""
    conditions: dict[str, Any] = {
        "principal = %s": wanted.principal or None,
        "method = %s": wanted.method or None,
        "target = %s": wanted.target or None,
        "strpos(lower(target), lower(%s)) > 0": wanted.text or None,
        "error_class = %s": wanted.error_class or None,
        "http_status / 100 = %s": wanted.status_class,
        "duration_ms >= %s": wanted.min_duration_ms or None,
        "(error_class = '') = %s": True if wanted.outcome is Outcome.OK else None,
    }
    given = {text: value for text, value in conditions.items() if value is not None}
    return " AND ".join(given) or "true", list(given.values())


def find(server_id: int, invocation_id: int) -> FullInvocation | None:
    """Return one call of the server, if there is such a one."""
    row = InvocationRow.get_or_none(
        InvocationRow.id == invocation_id, InvocationRow.server_id == server_id
    )
    if row is None:
        return None
    return _full(row)


def figures(
    server_id: int, since: datetime, until: datetime
) -> tuple[Figures, list[Figures]]:
    """Return what the newest ``SAMPLE_ROWS`` calls of the window were like: all together, and each kind."""
    rows = _fetch(_FIGURES, (server_id, since, until, SAMPLE_ROWS, MOST_KINDS + 1))
    found = [_figures(*row) for row in rows]
    return found[0], found[1:]


def series(
    server_id: int, since: datetime, until: datetime, step: timedelta
) -> tuple[list[tuple[datetime, int, int, list[float]]], int | None]:
    """Return rows of (beginning, calls, errors, [p50, p90, p99 in ms]) for every span of ``step`` that had calls.

    And of how many of the newest calls they are; ``None``: of all.
    """
    rows = _fetch(_SERIES, (step, server_id, since, until, SERIES_ROWS))
    found = [(row[0], row[1], row[2], row[3]) for row in rows]
    total = sum(row[1] for row in found)
    return found, total if total >= SERIES_ROWS else None


def _figures(  # noqa: PLR0917 - the columns of a row
    method: str,
    target: str,
    calls: int,
    errors: int,
    percentiles: list[float] | None,
    longest: float | None,
) -> Figures:
    p50, p90, p99 = percentiles or (0.0, 0.0, 0.0)
    return Figures(
        method=method,
        target=target,
        calls=calls,
        errors=errors,
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        max_ms=longest or 0.0,
    )


def _fetch(sql: str, values: Any) -> list[tuple[Any, ...]]:
    return list(proxy.execute_sql(sql, tuple(values)).fetchall())


def recorded_calls(
    server_id: int, *, deployment_id: int | None, most: int, at_once: int = 100
) -> Iterator[FullInvocation]:
    """Yield calls of tools with what is kept of their bodies, newest first; reads a few at a time.

    Args:
        server_id: Of the server.
        deployment_id: Only what this deployment answered; ``None``: any.
        most: No more than so many.
        at_once: How many are read together.
    """
    after: Cursor | None = None
    while most > 0:
        rows = InvocationRow.select().where(
            InvocationRow.server_id == server_id, InvocationRow.method == "tools/call"
        )
        if deployment_id is not None:
            rows = rows.where(InvocationRow.deployment_id == deployment_id)
        if after is not None:
            rows = rows.where(
                Tuple(InvocationRow.started_at, InvocationRow.id)
                < Tuple(after.started_at, after.id)
            )
        newest = (InvocationRow.started_at.desc(), InvocationRow.id.desc())
        found = list(rows.order_by(*newest).limit(min(at_once, most)))
        yield from (_full(row) for row in found)
        if len(found) < at_once:
            return
        most -= len(found)
        after = Cursor(found[-1].started_at, found[-1].id)


def _full(row: InvocationRow) -> FullInvocation:
    call = Invocation(*(getattr(row, name) for name in _COLUMNS.split(", ")))
    return FullInvocation(call, row.request, row.response)
