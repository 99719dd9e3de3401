"""How far an instance is kept apart from its box, and what it may use of it: bounds, JSON and back. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

#: The capability of executors that can hand over a GPU.
GPU = "gpu"
MIN_PIDS, MAX_PIDS = 8, 32768
MIN_FILES, MAX_FILES = 64, 1_048_576
#: Below, a file system has hardly room for itself.
MIN_DATA_BYTES = 16 * 1024**2
MAX_DATA_BYTES = 16 * 1024**4
_KEPT = 32 * 1024**2


class Tier(StrEnum):
    """Who stands between an instance and the kernel."""

    #: The kernel's own namespaces, hardened.
    STANDARD = "standard"
    #: gVisor.
    SANDBOXED = "sandboxed"
    #: A machine of its own.
    VM = "vm"


class Relaxation(StrEnum):
    """A piece of the hardening that somebody took away, in full knowledge: shown, and in the audit trail."""

    #: The root file system can be written.
    WRITABLE_ROOT = "writable-root"
    #: The image's own user runs it, though that be root.
    ROOT_USER = "root-user"
    #: The engine's own list of system calls holds, not our stricter one.
    ENGINE_SYSCALLS = "engine-syscalls"


#: What each of them gives away, in words for people.
MEANINGS = {
    Relaxation.WRITABLE_ROOT: "The server can change its own programs; what breaks into it can stay.",
    Relaxation.ROOT_USER: "The server runs as the user whom its image names, even if that is root.",
    Relaxation.ENGINE_SYSCALLS: "The server may make system calls, such as ptrace, that are otherwise refused.",
}


@dataclass(frozen=True)
class Isolation:
    """How far an instance is kept apart."""

    tier: Tier = Tier.STANDARD
    pids: int = 256
    #: Open files of one process.
    files: int = 4096
    #: What may lie in ``/data``; ``None``: as the box's settings say.
    data_bytes: int | None = None
    use_gpu: bool = False
    relaxations: tuple[Relaxation, ...] = ()


@dataclass(frozen=True)
class DataUse:
    """What lies in a server's ``/data``."""

    size_bytes: int
    used_bytes: int

    @property
    def is_full(self) -> bool:
        """Whether nothing more can be written, but what the file system keeps for itself: 2 % of it, at most 16 MiB."""
        return self.size_bytes - self.used_bytes < min(self.size_bytes // 32, _KEPT)


def problems(isolation: Isolation) -> dict[str, str]:
    """Return what is wrong, by field."""
    found = {}
    if not MIN_PIDS <= isolation.pids <= MAX_PIDS:
        found["isolation.pids"] = f"give {MIN_PIDS} to {MAX_PIDS} processes"
    if not MIN_FILES <= isolation.files <= MAX_FILES:
        found["isolation.files"] = f"give {MIN_FILES} to {MAX_FILES} open files"
    data = isolation.data_bytes
    if data is not None and not MIN_DATA_BYTES <= data <= MAX_DATA_BYTES:
        found["isolation.data_bytes"] = "give a size of at least 16m, or nothing"
    return found


def unmet(
    isolation: Isolation, *, tiers: Collection[str], capabilities: Collection[str]
) -> dict[str, str]:
    """Return what an executor cannot give, by field, each with what to do.

    Args:
        tiers: Those that the executor has.
        capabilities: What it says it can do.
    """
    found = {}
    if isolation.tier is Tier.VM and Tier.VM not in tiers:
        found["isolation.tier"] = (
            "machines of their own are not available on this box; choose standard or sandboxed"
        )
    elif isolation.tier not in tiers:
        found["isolation.tier"] = (
            "gVisor is not registered with this box's container engine; install runsc and add it to the engine's"
            " runtimes (docs/isolation.md says how), or choose standard"
        )
    if isolation.use_gpu and GPU not in capabilities:
        found["isolation.use_gpu"] = (
            "the container engine of this box offers no GPU; install the vendor's container toolkit and register it with"
            " the engine, or leave the GPU out"
        )
    elif isolation.use_gpu and isolation.tier is Tier.SANDBOXED:
        found["isolation.use_gpu"] = "a sandboxed server gets no GPU; choose standard"
    return found


def as_dict(isolation: Isolation) -> dict[str, Any]:
    """Return it as it is stored and answered."""
    return {
        "tier": isolation.tier.value,
        "pids": isolation.pids,
        "files": isolation.files,
        "data_bytes": isolation.data_bytes,
        "use_gpu": isolation.use_gpu,
        "relaxations": [item.value for item in isolation.relaxations],
    }


def from_dict(data: Mapping[str, Any]) -> Isolation:
    """Return what ``as_dict`` stored; absent keys take their defaults."""
    default = Isolation()
    return Isolation(
        tier=Tier(data.get("tier", default.tier)),
        pids=data.get("pids", default.pids),
        files=data.get("files", default.files),
        data_bytes=data.get("data_bytes"),
        use_gpu=bool(data.get("use_gpu", default.use_gpu)),
        relaxations=tuple(Relaxation(item) for item in data.get("relaxations", ())),
    )
