"""What the appliance needs of the box: the engine and its parts, the firewall, programs of the front door."""

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from appliance.doctor.model import Finding, fail, ok, warn
from appliance.infra.docker import local_socket
from appliance.infra.errors import EngineUnavailableError
from appliance.infra.pipes import ProgramFailedError, text_of
from appliance.infra.process import ProgramMissingError
from appliance.settings import Settings

_SBIN = "/usr/sbin:/sbin:/usr/local/sbin"
_TRIAL = "mcp_host_trial"
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_INTERPRETERS = {"linux/arm64": "qemu-aarch64", "linux/amd64": "qemu-x86_64"}


def _docker(settings: Settings, *words: str) -> str:
    address = settings.docker_host or local_socket()
    return text_of(["docker", *words], environment={"DOCKER_HOST": address})


def engine(settings: Settings) -> Iterator[Finding]:
    """Look at the engine, its builder, and what it can run containers by."""
    try:
        facts = json.loads(_docker(settings, "info", "--format", "{{json .}}"))
    except ProgramMissingError:
        yield fail(
            "engine",
            "The program docker is not on this box.",
            "apt-get install docker.io docker-cli",
        )
        return
    except (EngineUnavailableError, ProgramFailedError) as error:
        yield fail("engine", error.detail, "systemctl start docker")
        return
    if not facts.get("ServerVersion"):
        yield fail(
            "engine",
            " ".join(facts.get("ServerErrors") or ["The engine does not answer."]),
            "systemctl start docker",
        )
        return
    yield ok(
        "engine", f"Docker {facts['ServerVersion']}, images in {facts.get('Driver')}."
    )
    yield from _builder(settings)
    if "runsc" in (facts.get("Runtimes") or {}):
        yield ok("gvisor", "Servers can run in the tier hardened.")
    else:
        yield warn(
            "gvisor",
            "The engine has no runsc: servers cannot run in the tier hardened.",
            "scripts/install_gvisor.sh",
        )
    yield from _emulation(settings, str(facts.get("Architecture", "")))


def _builder(settings: Settings) -> Iterator[Finding]:
    try:
        said = _docker(settings, "buildx", "version").split()
    except (ProgramFailedError, ProgramMissingError):
        yield fail(
            "buildx",
            "docker buildx is not there: nothing can be built.",
            "apt-get install docker-buildx",
        )
        return
    yield ok("buildx", f"buildx {said[1] if len(said) > 1 else ''} is there.")


def _emulation(settings: Settings, machine: str) -> Iterator[Finding]:
    own = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(machine, "")
    foreign = [item for item in settings.arch_targets or () if item != own]
    missing = [
        item
        for item in foreign
        if item in _INTERPRETERS and not (_BINFMT / _INTERPRETERS[item]).exists()
    ]
    if missing:
        yield fail(
            "binfmt",
            f"{', '.join(missing)} cannot be built here: nothing runs its programs.",
            "apt-get install qemu-user-static binfmt-support",
        )
    elif foreign:
        yield ok("binfmt", f"{', '.join(foreign)} can be built here.")


def firewall(settings: Settings) -> Iterable[Finding]:
    """Look whether what keeps servers in can be there."""
    if settings.egress_skip_start:
        return [
            warn(
                "firewall",
                "EGRESS_SKIP_START is set: nothing of servers reaches the network.",
            )
        ]
    missing = [
        package
        for program, package in (("nft", "nftables"), ("ip", "iproute2"))
        if _program(program) is None
    ]
    if missing:
        return [
            fail(
                "firewall",
                f"{' and '.join(missing)} are missing: nothing of servers reaches the network.",
                f"apt-get install {' '.join(missing)}",
            )
        ]
    try:
        # Nothing is listed: Debian 12's nft crashes at tables that a newer one wrote.
        text_of([str(_program("nft")), "--check", "add", "table", "inet", _TRIAL])
    except ProgramFailedError as error:
        return [
            fail(
                "firewall",
                f"The firewall cannot be looked at: {error.detail}",
                "Run as root, or give the unit CAP_NET_ADMIN.",
            )
        ]
    return [ok("firewall", "nftables can be used.")]


def front_door(settings: Settings) -> Iterable[Finding]:
    """Look for Nginx where it stands before the hub."""
    if not settings.proxy_enabled:
        return [
            ok(
                "front door",
                "PROXY_ENABLED is not set: hub and gateway are reached directly.",
            )
        ]
    if _program("nginx") is None:
        return [
            fail("front door", "Nginx is not on this box.", "apt-get install nginx")
        ]
    certificates = settings.proxy_dir / "certificates"
    if not (certificates / "default.pem").is_file():
        return [
            warn(
                "front door", "There is no certificate for this box yet.", "mcp-host up"
            )
        ]
    return [
        ok(
            "front door",
            f"Nginx is there, {sum(1 for _ in certificates.glob('*.pem'))} certificates on disk.",
        )
    ]


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_SBIN)
