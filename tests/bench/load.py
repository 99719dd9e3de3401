"""Load from wrk, and what processes spend on it."""

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
#: The processes that are measured have the first CPU to themselves, wrk and the server behind share the second.
MEASURED_CPU, LOAD_CPU = 0, 1


@dataclass(frozen=True)
class Figures:
    """One run of wrk."""

    calls: int
    calls_per_s: float
    p50_ms: float
    p99_ms: float
    #: Answers that are not 2xx, and connections that broke.
    errors: int


def wrk(url: str, clients: int, key: str, seconds: int) -> Figures:
    """Call a tool as fast as ``clients`` connections can, each one call at a time."""
    command = [
        *("taskset", "-c", str(LOAD_CPU)),
        *("wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", str(HERE / "call.lua")),
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
    rate, p50, p99 = (float(figure) for figure in figures[:3])
    return Figures(int(figures[4]), rate, p50, p99, int(figures[3]))


def cpu_s(pids: list[int]) -> float:
    """Return the CPU seconds that processes have used, their threads included; those that ended meanwhile count nothing."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def descendants(pid: int) -> list[int]:
    """Return ``pid`` and all that descend from it."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
            for task in Path(f"/proc/{parent}/task").glob("*/children"):
                found += [int(child) for child in task.read_text().split()]
    return found


def pss_mb(pid: int) -> float:
    """Return a process's proportional set size in megabytes of 1,000,000 bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    size = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return size * 1024 / 1e6
