"""Authenticated and traced calls through one worker on one core, beside Nginx in the same minutes.

The worker has the first CPU to itself. wrk, the server behind, the scribe and Postgres share the second; what the last two
spend is told beside. What one client waits longer is against the server itself on the first CPU, as far from its client
as the gateway is. Ratios are medians over rounds that alternate between the server itself, Nginx and the gateway.
"""

import shutil
from contextlib import closing
from statistics import median

import httpx
import psycopg2

from tests.bench.gateway import Row, measure
from tests.bench.load import pss_mb, wrk
from tests.bench.stage import Stage, stage
from tests.fakes.mcp_box import wait_until
from tests.proofs.claim import MissingError, hold

SECONDS, ROUNDS = 4, 5
RATE_TIMES, CPU_TIMES, P99_TIMES = 0.65, 1.6, 2.5
ADDED_MS, WORKER_MB = 0.10, 40.0


def prove() -> None:
    """Measure with 1, 16 and 64 clients."""
    require("wrk", "nginx", "taskset")
    with stage() as where:
        rows = {}
        for clients in (1, 16, 64):
            rows[clients] = measure(where, clients, SECONDS, ROUNDS)
            for row in rows[clients].values():
                print(row, flush=True)
        near = [wrk(where.near_url, 1, "none", SECONDS) for _ in range(ROUNDS)]
        memory = pss_mb(where.box.children()["worker-0"])
        traced = _traced(where, sum(one["gateway"].answered for one in rows.values()))
    near_ms = median(item.p50_ms for item in near)
    print(f"the server itself on the first CPU, 1 client: p50 {near_ms:.3f} ms")
    _judge(rows, near_ms, memory, traced)


def require(*programs: str) -> None:
    """Raise ``MissingError`` unless every program is there."""
    for program in programs:
        if shutil.which(program) is None:
            package = {"taskset": "util-linux", "nginx": "nginx-light"}.get(program)
            raise MissingError(f"{program}: apt-get install {package or program}")


def _traced(where: Stage, answered: int) -> float:
    """Return which part of the calls that were answered has become rows."""

    def count() -> int:
        url = where.box.database_url
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as at:
            at.execute("SELECT count(*) FROM invocations")
            row = at.fetchone()
        return int(row[0]) if row else 0

    def waiting() -> float:
        told = metrics(where.box.url)
        return told["spooled"] - told["copied"]

    wait_until(lambda: waiting() <= 0, "the spool is copied", within_s=60)
    print(f"traces: {metrics(where.box.url)}, rows: {count()}, answers: {answered}")
    return count() / answered


def metrics(url: str) -> dict[str, float]:
    """Return how many traces were spooled, dropped and copied."""
    found = {}
    for outcome in ("spooled", "dropped", "copied"):
        text = httpx.get(f"{url}/metrics").text
        line = text.partition(f'mcp_gateway_traces_total{{outcome="{outcome}"}} ')[2]
        found[outcome] = float(line.partition("\n")[0])
    return found


def _judge(
    rows: dict[int, dict[str, Row]], near_ms: float, memory: float, traced: float
) -> None:
    """Hold every figure against its limit."""
    errors = sum(row.errors for one in rows.values() for row in one.values())
    added = rows[1]["gateway"].p50_ms - near_ms
    figures, holds = [f"{errors} errors"], errors == 0
    for clients in (16, 64):
        mine, nginx = rows[clients]["gateway"], rows[clients]["nginx"]
        rate = _ratio(
            [item.calls_per_s for item in mine.figures],
            [item.calls_per_s for item in nginx.figures],
        )
        cpu = _ratio(mine.cpu_us, nginx.cpu_us)
        p99 = _ratio(
            [item.p99_ms for item in mine.figures],
            [item.p99_ms for item in nginx.figures],
        )
        figures.append(
            f"{clients} clients: {rate:.2f} times Nginx's rate (at least {RATE_TIMES}), {cpu:.2f} times its CPU a call"
            f" (at most {CPU_TIMES}), {p99:.2f} times its p99"
        )
        holds = holds and rate >= RATE_TIMES and cpu <= CPU_TIMES
        if clients == max(rows):
            figures[-1] += f" (at most {P99_TIMES})"
            holds = holds and p99 <= P99_TIMES
    figures.append(
        f"1 client: {added:+.3f} ms (at most {ADDED_MS:+.2f}; Nginx {rows[1]['nginx'].p50_ms - near_ms:+.3f})"
    )
    figures.append(f"worker {memory:.1f} MB PSS (at most {WORKER_MB:.0f})")
    figures.append(f"{traced:.4f} of the calls traced")
    hold(
        holds and added <= ADDED_MS and memory <= WORKER_MB and traced >= 1,
        "\n  ".join(figures),
    )


def _ratio(mine: list[float], theirs: list[float]) -> float:
    """Return the median of the ratios, round by round."""
    return median(one / other for one, other in zip(mine, theirs, strict=True))
