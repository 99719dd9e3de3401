"""What the kernel counted when a container wanted more than it may: read from its control groups, without the engine."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
#: Below a controller's directory, where engines keep containers: without and with systemd.
_PLACES = ("docker/{id}", "system.slice/docker-{id}.scope")


@dataclass(frozen=True)
class Pressure:
    """How often one container was held back since it began."""

    #: Processes and threads that it could not start.
    processes: int = 0
    #: Processes of it that were killed for want of memory.
    memory: int = 0


def pressure(container_id: str, *, root: Path = CGROUPS) -> Pressure | None:
    """Return what the kernel counted; ``None`` where it cannot be seen, or the container is gone. Blocking."""
    for place in _PLACES:
        below = place.format(id=container_id)
        unified = root / below
        pids, memory = (
            (unified / "pids.events", unified / "memory.events")
            if (root / "cgroup.controllers").exists()
            else (
                root / "pids" / below / "pids.events",
                root / "memory" / below / "memory.oom_control",
            )
        )
        try:
            refused, killed = counts(pids.read_text()), counts(memory.read_text())
        except OSError:
            continue
        return Pressure(refused.get("max", 0), killed.get("oom_kill", 0))
    return None


def pressures(container_ids: Iterable[str]) -> Mapping[str, Pressure]:
    """Return what the kernel counted for each container that it can be seen of. Blocking."""
    found = {item: pressure(item) for item in container_ids}
    return {item: what for item, what in found.items() if what is not None}


def counts(text: str) -> dict[str, int]:
    """Return the lines ``name number`` of a control group's file. Pure."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}  # noqa: PLR2004 - a pair
