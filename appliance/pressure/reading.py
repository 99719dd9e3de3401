"""Finds out how the box is. Everything here is blocking, but only on memory and on file systems' own figures."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from appliance.infra.supervision import ProgramState
from appliance.pressure.model import Memory, Process

_KIB = 1024
_CGROUP: Final = Path("/sys/fs/cgroup")


def memory() -> Memory:
    """Return how much memory there is: the box's, or less where the appliance is in a container with a limit."""
    found = _pairs(Path("/proc/meminfo").read_text().splitlines(), ":")
    total = int(found["MemTotal"].split()[0]) * _KIB
    available = int(found["MemAvailable"].split()[0]) * _KIB
    with contextlib.suppress(OSError, ValueError, KeyError):
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        cached = int(_pairs((_CGROUP / "memory.stat").read_text().splitlines(), " ")["inactive_file"])  # fmt: skip
        if limit < total:
            return Memory(limit, min(available, max(0, limit - used + cached)))
    return Memory(total, available)


def processes(programs: Mapping[str, ProgramState]) -> list[Process]:
    """Return what the appliance's processes take; one that is gone meanwhile is left out."""
    pids = {name: state.pid for name, state in programs.items() if state.pid}
    pids.setdefault("hub", os.getpid())
    found = []
    for name, pid in pids.items():
        with contextlib.suppress(OSError, ValueError, KeyError):
            found.append(_process(name, Path(f"/proc/{pid}"), pid))
    return found


def _process(name: str, place: Path, pid: int) -> Process:
    status = _pairs((place / "status").read_text().splitlines(), ":")
    limits = (place / "limits").read_text()
    line = next(item for item in limits.splitlines() if item.startswith("Max open files"))  # fmt: skip
    soft = line.removeprefix("Max open files").split()[0]
    return Process(
        name,
        pid,
        int(status["VmRSS"].split()[0]) * _KIB,
        sum(1 for _ in (place / "fd").iterdir()),
        0 if soft == "unlimited" else int(soft),
    )


def _pairs(lines: Iterable[str], sign: str) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition(sign) for line in lines)}
