"""How far an instance is kept apart from its box, and what it may use of it: bounds, JSON and back. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MIN_PIDS, MAX_PIDS = 8, 32768
MIN_FILES, MAX_FILES = 64, 1_048_576
MIN_DATA_BYTES = 1024**2


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


def problems(isolation: Isolation) -> dict[str, str]:
    """Return what is wrong, by field."""
    found = {}
    if not MIN_PIDS <= isolation.pids <= MAX_PIDS:
        found["isolation.pids"] = f"give {MIN_PIDS} to {MAX_PIDS} processes"
    if not MIN_FILES <= isolation.files <= MAX_FILES:
        found["isolation.files"] = f"give {MIN_FILES} to {MAX_FILES} open files"
    if isolation.data_bytes is not None and isolation.data_bytes < MIN_DATA_BYTES:
        found["isolation.data_bytes"] = "give at least 1,048,576 bytes, or nothing"
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
