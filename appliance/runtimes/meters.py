"""What a container has used so far, read from where the kernel keeps it. Blocking, for a thread.

A stream of the engine's own figures costs it about a percent of a core for each container; these few files cost some
microseconds.
"""

from dataclasses import dataclass
from pathlib import Path

_USEC_NS = 1000
#: Of a line of ``/proc/<pid>/net/dev``: bytes received and sent.
_RECEIVED, _SENT = 0, 8
_CGROUP_FIELDS = 3


@dataclass(frozen=True)
class Reading:
    """Figures of one moment; those that count, count from the container's start."""

    cpu_ns: int
    #: What the kernel could not take back: without the cache of files that nobody uses.
    memory_bytes: int
    received_bytes: int
    sent_bytes: int


class Meter:
    """Reads containers by the number of their first process.

    Args:
        proc: Where the kernel shows processes.
        cgroups: Where it shows control groups.
    """

    def __init__(
        self,
        proc: Path = Path("/proc"),
        cgroups: Path = Path("/sys/fs/cgroup"),
    ) -> None:
        """Find out which version of control groups the box has."""
        self._proc = proc
        self._cgroups = cgroups
        self._is_v2 = (cgroups / "cgroup.controllers").is_file()

    def read(self, pid: int, container_id: str) -> Reading | None:
        """Return the figures of a container; ``None``: it is not on this box, or no longer has that process."""
        try:
            groups = self._groups(pid)
            if not any(container_id in path for path in groups.values()):
                return None
            cpu, memory = self._v2(groups) if self._is_v2 else self._v1(groups)
            received, sent = _network(
                (self._proc / str(pid) / "net/dev").read_text("ascii")
            )
        except (OSError, ValueError, KeyError):
            return None
        return Reading(cpu, memory, received, sent)

    def _groups(self, pid: int) -> dict[str, str]:
        """Return the process's group of each controller; of version 2 under an empty name."""
        found = {}
        for line in (self._proc / str(pid) / "cgroup").read_text().splitlines():
            parts = line.split(":", _CGROUP_FIELDS - 1)
            if len(parts) == _CGROUP_FIELDS:
                for name in parts[1].split(","):
                    found[name] = parts[2].lstrip("/")
        return found

    def _v1(self, groups: dict[str, str]) -> tuple[int, int]:
        cpu = self._cgroups / "cpuacct" / groups["cpuacct"]
        memory = self._cgroups / "memory" / groups["memory"]
        used = int((memory / "memory.usage_in_bytes").read_text())
        cache = _item(memory / "memory.stat", "total_inactive_file")
        return int((cpu / "cpuacct.usage").read_text()), max(0, used - cache)

    def _v2(self, groups: dict[str, str]) -> tuple[int, int]:
        group = self._cgroups / groups[""]
        used = int((group / "memory.current").read_text())
        cache = _item(group / "memory.stat", "inactive_file")
        return _item(group / "cpu.stat", "usage_usec") * _USEC_NS, max(0, used - cache)


def _item(path: Path, name: str) -> int:
    for line in path.read_text("ascii").splitlines():
        found, _, value = line.partition(" ")
        if found == name:
            return int(value)
    return 0


def _network(text: str) -> tuple[int, int]:
    """Return bytes received and sent over everything but the loopback."""
    received = sent = 0
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        if name.strip() == "lo":
            continue
        fields = rest.split()
        received += int(fields[_RECEIVED])
        sent += int(fields[_SENT])
    return received, sent


def reading_of_stats(stats: dict[str, object]) -> Reading | None:
    """Return one answer of the engine's own figures as a reading; ``None``: the container does not run."""
    cpu, memory = stats.get("cpu_stats"), stats.get("memory_stats")
    if (
        not isinstance(cpu, dict)
        or not isinstance(memory, dict)
        or "usage" not in memory
    ):
        return None
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    networks = stats.get("networks")
    every = list(networks.values()) if isinstance(networks, dict) else []
    return Reading(
        int(cpu["cpu_usage"]["total_usage"]),
        max(0, int(memory["usage"]) - int(cache)),
        sum(int(item["rx_bytes"]) for item in every),
        sum(int(item["tx_bytes"]) for item in every),
    )
