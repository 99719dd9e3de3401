"""How fast the gateway carries calls, and how much memory it takes. Run as ``python -m tests.bench.gateway``.

One worker and the bridge on the first CPU, wrk and the server behind on the second, so a figure is calls a second and core of
gateway. wrk sends the next call when the last is answered; p99 with many clients is p99 at saturation. Errors are
counted and must be none. ``direct`` is wrk on the HTTP server itself, measured in the same minute.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from appliance.infra import migrations
from appliance.infra.connections import connect, connection_arguments
from tests.cluster import throw_away_cluster
from tests.fakes.mcp_box import ROOT, Box, stdio_container, wait_until

CLIENTS = (1, 8, 16, 64)
SECONDS = 3
HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    with (
        throw_away_cluster() as cluster,
        upstream() as port,
        stdio_container(script=stdio_script()) as container,
    ):
        with closing(connect(connection_arguments(cluster.url()))) as connection:
            migrations.migrate(connection, ROOT / "migrations")
        run_dir = Path(tempfile.mkdtemp(prefix="gw-", dir="/var/tmp"))
        box = Box(cluster.url(), run_dir, gw_workers=1)
        try:
            box.start()
            for pid in (box.pid, *box.children().values()):
                os.sched_setaffinity(pid, {0})
            box.host_http("http", f"http://127.0.0.1:{port}/mcp")
            box.host_stdio("stdio", container)
            memory(box, "at rest")
            rows(f"http://127.0.0.1:{port}/mcp", "direct", box)
            rows(f"{box.url}/servers/http/mcp", "http", box)
            rows(f"{box.url}/servers/stdio/mcp", "stdio", box)
            memory(box, "after load")
        finally:
            box.stop()
            shutil.rmtree(run_dir)


def rows(url: str, name: str, box: Box) -> None:
    """Print one line for each number of clients."""
    for clients in CLIENTS:
        before = cpu_s(box)
        rate, p50, p99, errors = wrk(url, clients, box.internal_key)
        spent_us = (cpu_s(box) - before) / max(1.0, rate * SECONDS) * 1e6
        show(
            f"{name:<7} {clients:>3} clients {rate:>9,.0f} calls/s  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms"
            f"  {spent_us:6.1f} µs CPU a call  {errors} errors"
        )


def wrk(url: str, clients: int, key: str) -> tuple[float, float, float, int]:
    """Return calls a second, p50 and p99 in milliseconds, and errors."""
    command = [
        "taskset",
        "-c",
        "1",
        "wrk",
        "-t1",
        f"-c{clients}",
        f"-d{SECONDS}s",
        "-s",
        str(HERE / "call.lua"),
        url,
    ]
    finished = subprocess.run(
        command,
        env=os.environ | {"KEY": key},
        capture_output=True,
        text=True,
        check=True,
    )
    figures = finished.stdout.rpartition("FIGURES ")[2].split()
    return float(figures[0]), float(figures[1]), float(figures[2]), int(figures[3])


def cpu_s(box: Box) -> float:
    """Return the CPU seconds that worker and bridge have used."""
    total = 0
    for pid in box.children().values():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory(box: Box, when: str) -> None:
    """Print the proportional set size of each process."""
    sizes = {
        name: pss_mb(pid) for name, pid in {"master": box.pid, **box.children()}.items()
    }
    parts = ", ".join(f"{name} {size:.1f}" for name, size in sizes.items())
    show(f"memory {when}: {sum(sizes.values()):.1f} MB PSS ({parts})")


def pss_mb(pid: int) -> float:
    """Return a process's proportional set size in megabytes of 1,000,000 bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return (
        next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        * 1024
        / 1e6
    )


def show(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def stdio_script() -> str:
    """Return the program of the stdio server."""
    return (HERE / "stdio_echo.py").read_text()


@contextmanager
def upstream() -> Iterator[int]:
    """Run the HTTP server on the second CPU and yield its port."""
    port = 5290
    command = [
        "taskset",
        "-c",
        "1",
        sys.executable,
        "-m",
        "tests.bench.upstream",
        str(port),
    ]
    with subprocess.Popen(command, cwd=ROOT) as server:
        probe = ["bash", "-c", f"</dev/tcp/127.0.0.1/{port}"]
        wait_until(
            lambda: (
                subprocess.run(probe, capture_output=True, check=False).returncode == 0
            ),
            "upstream listens",
        )
        yield port
        server.kill()


if __name__ == "__main__":
    main()
