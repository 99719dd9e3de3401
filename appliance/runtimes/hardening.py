"""What keeps a container in its place: from how far an instance is kept apart to what the engine is asked for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.runtimes.isolation import GPU, Isolation, Relaxation, Tier
from appliance.runtimes.seccomp import security_option

#: What gVisor is called among an engine's runtimes, by its own installer and by custom.
GVISOR_RUNTIMES = ("runsc", "gvisor")
#: Handed over by the engine itself where a vendor described its devices to it (CDI).
CDI_GPUS = "nvidia.com/gpu=all"
#: What is killed first when the box itself is short of memory: servers, never those who host them.
OOM_SCORE = 500

#: Memory-backed and bounded. Programs may be executed there: noexec stops no
#: interpreter, and it breaks native add-ons that unpack themselves into /tmp (Node
#: prebuilds, PyInstaller).
TMPFS = {"/tmp": "rw,nosuid,nodev,exec,size=64m,mode=1777"}  # noqa: S108 - the container's own


@dataclass(frozen=True)
class EngineFacts:
    """What an engine offers to keep containers apart."""

    #: What gVisor is called there; empty: it is not there.
    gvisor: str = ""
    has_seccomp: bool = True
    has_apparmor: bool = False
    #: Whether root in a container is somebody else outside.
    has_user_namespaces: bool = False
    has_gpu: bool = False
    #: Whether devices are named in the way that all vendors share.
    has_cdi_gpu: bool = False

    @property
    def tiers(self) -> frozenset[Tier]:
        """The tiers that instances can have."""
        return frozenset(
            {Tier.STANDARD, Tier.SANDBOXED} if self.gvisor else {Tier.STANDARD}
        )

    @property
    def capabilities(self) -> frozenset[str]:
        """What instances can be given besides."""
        return frozenset({GPU} if self.has_gpu or self.has_cdi_gpu else ())


def engine_facts(info: Mapping[str, Any]) -> EngineFacts:
    """Return what the answer of ``GET /info`` says."""
    runtimes = info.get("Runtimes") or {}
    options = {
        part.partition("=")[2]
        for option in info.get("SecurityOptions") or []
        for part in option.split(",")
        if part.startswith("name=")
    }
    devices = [item.get("ID", "") for item in info.get("DiscoveredDevices") or []]
    return EngineFacts(
        gvisor=next((name for name in GVISOR_RUNTIMES if name in runtimes), ""),
        has_seccomp="seccomp" in options,
        has_apparmor="apparmor" in options,
        has_user_namespaces=bool(options & {"userns", "rootless"}),
        has_gpu="nvidia" in runtimes,
        has_cdi_gpu=CDI_GPUS in devices,
    )


def hardening(isolation: Isolation, facts: EngineFacts) -> dict[str, Any]:
    """Return the part of a container's ``HostConfig`` that keeps it in its place.

    Every container gets all of it but what is named among its relaxations.
    """
    relaxed = set(isolation.relaxations)
    config: dict[str, Any] = {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": Relaxation.WRITABLE_ROOT not in relaxed,
        "Tmpfs": TMPFS,
        "Init": True,
        "IpcMode": "private",
        "OomScoreAdj": OOM_SCORE,
        "PidsLimit": isolation.pids,
        "Ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "nofile", "Soft": isolation.files, "Hard": isolation.files},
        ],
    }
    if isolation.tier is Tier.SANDBOXED:
        # It answers system calls itself; a list of them would bind nobody.
        config["Runtime"] = facts.gvisor
    elif facts.has_seccomp and Relaxation.ENGINE_SYSCALLS not in relaxed:
        config["SecurityOpt"].append(security_option())
    if isolation.use_gpu:
        config["DeviceRequests"] = [_gpu(facts)]
    return config


def _gpu(facts: EngineFacts) -> dict[str, Any]:
    if facts.has_gpu:
        return {"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}
    return {"Driver": "cdi", "DeviceIDs": [CDI_GPUS]}
