"""What the front door costs a call: the gateway alone, and behind Nginx with TLS.

Run as ``python -m tests.bench.front_door [SECONDS] [ROUNDS]``.

Rounds alternate. Nginx and the gateway's worker share one CPU, wrk and the server behind have the other, on kept connections.
"""

import os
import sys
import tempfile
from pathlib import Path
from shutil import rmtree

from appliance.proxy import nginx
from tests.bench.gateway import Row
from tests.bench.load import MEASURED_CPU, cpu_s, wrk
from tests.bench.stage import Stage, stage
from tests.harness.front_door import FrontDoor, front_door

CLIENTS = (1, 16, 64)


def measure(
    where: Stage, door: FrontDoor, clients: int, *, seconds: int, rounds: int
) -> tuple[Row, Row]:
    """Return the rows of both."""
    alone, behind = Row("gateway", clients), Row("door", clients)
    path = "/servers/http/mcp"
    workers = sorted(nginx.workers(door.places))
    for _ in range(rounds):
        for row, url, meter in (
            (alone, where.box.url, where.worker_cpu_s),
            (behind, f"https://127.0.0.1:{door.https}", lambda: cpu_s(workers)),
        ):
            before = meter()
            row.figures.append(wrk(url + path, clients, where.box.key, seconds))
            spent = meter() - before
            row.cpu_us.append(spent / max(1, row.figures[-1].calls) * 1e6)
    return alone, behind


def main() -> None:
    """Measure and print."""
    seconds, rounds = (int(item) for item in [*sys.argv[1:], "3", "3"][:2])
    home = Path(tempfile.mkdtemp(prefix="fd-", dir="/var/tmp"))
    try:
        with (
            stage(trusted_proxies="127.0.0.1") as where,
            front_door(
                home,
                mcp_gateway_url=where.box.url,
                proxy_requests_per_second=0,
                proxy_connections_per_address=0,
            ) as door,
        ):
            for pid in nginx.workers(door.places):
                os.sched_setaffinity(pid, {MEASURED_CPU})
            for clients in CLIENTS:
                alone, behind = measure(
                    where, door, clients, seconds=seconds, rounds=rounds
                )
                added = behind.p50_ms - alone.p50_ms
                print(alone, behind, sep="\n")  # noqa: T201 - figures
                print(  # noqa: T201 - as above
                    f"{'':<8}{clients:>3} clients: {behind.rate / alone.rate:.2f} of its calls, {added:+.3f} ms at p50",
                    flush=True,
                )
    finally:
        rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
