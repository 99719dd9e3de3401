"""Which process a worker is, and whether one of this box is gone.

A lease says within ten seconds that its worker is gone. On one box there is more to know: a process that has ended cannot
come back, so its jobs are free at once, and a hub that was killed goes on where it was.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

_FIELDS = 4
#: Index of the start time among the fields of /proc/<pid>/stat that follow the program's name.
_START_TIME = 19


@dataclass(frozen=True)
class _Process:
    """A process for good: numbers are used again, but not with the same start time in the same boot and namespace."""

    place: str
    pid: int
    started: str


def worker_name() -> str:
    """Return a new name for a worker of this process."""
    pid = os.getpid()
    return f"{_place()}/{pid}/{_start_time(pid)}/{secrets.token_hex(4)}"


def is_gone(worker: str) -> bool:
    """Return whether ``worker`` was a process of this box that has ended; one of another box is never known to be gone."""
    process = _parse(worker)
    if process is None or process.place != _place():
        return False
    return _start_time(process.pid) != process.started


def _parse(worker: str) -> _Process | None:
    parts = worker.split("/")
    if len(parts) != _FIELDS or not parts[1].isdigit():
        return None
    return _Process(parts[0], int(parts[1]), parts[2])


def _place() -> str:
    """Return this boot and this process namespace as one word."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    return f"{boot}.{namespace}"


def _start_time(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    # The program's name comes in brackets and may hold anything, brackets included.
    return text.rpartition(")")[2].split()[_START_TIME]
