"""Calls to a stdio server through worker and bridge, eight clients, one core for worker and bridge together."""

import shutil
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.load import wrk
from tests.bench.stage import one_worker
from tests.cluster import throw_away_cluster
from tests.fakes.mcp_box import stdio_container
from tests.proofs.claim import hold
from tests.proofs.gateway_speed import require

CLIENTS, SECONDS, ROUNDS = 8, 4, 5
CALLS_PER_S, P99_MS = 1500, 25.0
SCRIPT = Path(__file__).parent.parent / "bench" / "stdio_echo.py"


def prove() -> None:
    """Measure, round by round."""
    require("wrk", "taskset", "docker")
    home = Path(tempfile.mkdtemp(prefix="gw-", dir="/var/tmp"))
    try:
        with (
            throw_away_cluster() as cluster,
            stdio_container(script=SCRIPT.read_text()) as container,
            one_worker(cluster.url(), home) as box,
        ):
            key = box.host_stdio("stdio", container)
            url = f"{box.url}/servers/stdio/mcp"
            rounds = [wrk(url, CLIENTS, key, SECONDS) for _ in range(ROUNDS)]
    finally:
        shutil.rmtree(home, ignore_errors=True)
    for item in rounds:
        print(
            f"{item.calls_per_s:,.0f} calls/s  p50 {item.p50_ms:.2f} ms  p99 {item.p99_ms:.2f} ms  {item.errors} errors"
        )
    rate = median(item.calls_per_s for item in rounds)
    p99 = median(item.p99_ms for item in rounds)
    errors = sum(item.errors for item in rounds)
    hold(
        rate >= CALLS_PER_S and p99 <= P99_MS and not errors,
        f"{rate:,.0f} calls/s (at least {CALLS_PER_S:,}), p99 {p99:.1f} ms (at most {P99_MS:.0f}), {errors} errors",
    )
