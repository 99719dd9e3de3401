"""What a trace costs. Run as ``python -m tests.bench.traces [ROWS]``.

CPU a row, by part: what ``add`` costs a call, what a flush costs the worker, what reading, redacting and copying cost the
scribe, and what the rows cost Postgres. Without bodies, with small ones as most tool calls have them, and with large ones.
"""

import asyncio
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop

from appliance.gateway.counters import Counters
from appliance.gateway.traces.record import Invocation
from appliance.gateway.traces.ring import BATCH_ROWS, Ring
from appliance.gateway.traces.scribe import Scribe
from appliance.gateway.traces.spool import Spool
from appliance.infra import migrations
from appliance.infra.connections import connect, connection_arguments
from tests.bench.load import cpu_s
from tests.cluster import throw_away_cluster
from tests.fakes.mcp_box import ROOT
from tests.fakes.trace_processes import invocation

PLENTY = 1024 * 1024 * 1024
CALL = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hello there"}}}'
ANSWER = b'{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"hello there"}],"isError":false}}'
BODIES = {
    "no bodies": (b"", b""),
    "100 bytes each": (CALL, ANSWER),
    "4 KiB each": (CALL + b" more" * 800, ANSWER + b" text" * 800),
}


@dataclass
class Cost:
    """Microseconds a row, but for the longest flush."""

    add: float
    flush: float
    longest_flush_ms: float
    scribe: float
    postgres: float


def main(rows: int) -> None:
    """Print a line for each kind of row."""
    tell(f"{rows} rows; microseconds of CPU a row, and the longest flush")
    for name, bodies in BODIES.items():
        costs = [measured(rows, *bodies) for _ in range(3)]
        parts = ("add", "flush", "scribe", "postgres", "longest_flush_ms")
        add, flush, scribe, postgres, longest = (
            median(getattr(cost, part) for cost in costs) for part in parts
        )
        tell(
            f"{name:15} add {add:.2f}  flush {flush:.2f}  scribe {scribe:.1f}"
            f"  Postgres {postgres:.1f}  longest flush {longest:.2f} ms"
        )


def tell(line: str) -> None:
    """Print a figure."""
    print(line)  # noqa: T201 - what a bench is for


def measured(rows: int, request: bytes, response: bytes) -> Cost:
    """Spool and copy ``rows`` rows."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        directory = Path(place)
        items = [
            invocation(number, request=request, response=response)
            for number in range(rows)
        ]
        add, flush, longest = uvloop.run(spooled(directory, items))
        scribe, postgres = copied(directory, rows)
    return Cost(add, flush, longest, scribe, postgres)


async def spooled(
    directory: Path, items: list[Invocation]
) -> tuple[float, float, float]:
    """Add rows in bursts as a busy worker does, and return what that cost a row, and the longest flush."""
    ring = Ring(Spool(directory, PLENTY), asyncio.get_running_loop())
    adding = flushing = 0.0
    longest = 0.0
    for start in range(0, len(items), BATCH_ROWS):
        burst = items[start : start + BATCH_ROWS]
        began = time.process_time()
        for item in burst:
            ring.add(item)
        adding += time.process_time() - began
        while ring._pending:
            began = time.process_time()
            ring._flush()
            took = time.process_time() - began
            flushing += took
            longest = max(longest, took)
    ring.close()
    return adding / len(items) * 1e6, flushing / len(items) * 1e6, longest * 1e3


def copied(directory: Path, rows: int) -> tuple[float, float]:
    """Copy what is in the spool, and return what that cost a row: here, and in Postgres."""
    with throw_away_cluster() as cluster:
        arguments = connection_arguments(cluster.url())
        with closing(connect(arguments)) as connection:
            migrations.migrate(connection, ROOT / "migrations")
        scribe = Scribe(directory, arguments, Counters(1).row(0))
        backend = [scribe._connected().info.backend_pid]
        before, began = cpu_s(backend), time.process_time()
        while scribe.copy_once().positions:
            pass
        here, there = time.process_time() - began, cpu_s(backend) - before
        scribe._disconnect()
    return here / rows * 1e6, there / rows * 1e6


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
