"""The box: disk, memory, clock, network, files that hold secrets."""

import os
import socket
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from appliance.core.units import size
from appliance.doctor.model import Finding, fail, ok, warn
from appliance.infra import disk_space
from appliance.infra.pipes import ProgramFailedError, text_of
from appliance.infra.process import ProgramMissingError
from appliance.settings import Settings, env_file

_MIB = 1024**2
#: Below these, in MiB of memory that is available, things are slow and things fail.
_LITTLE_MIB, _NONE_MIB = 512, 128
_PRIVATE = 0o077


def secret_files(settings: Settings) -> list[Path]:
    """Return the files that nobody else may read, whether they are there or not. Pure."""
    named = (
        settings.master_key_file,
        settings.backup_passphrase_file,
        settings.backup_ssh_key_file,
        settings.registry_auth_dockerconfig,
    )
    return [env_file().absolute(), *(path for path in named if path is not None)]


def modes(settings: Settings) -> Iterator[Finding]:
    """Look who may read files that hold secrets."""
    wrong = False
    for path in secret_files(settings):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        except PermissionError:
            wrong = True
            yield fail(
                "secrets",
                f"{path} cannot be looked at by this user.",
                f"chown {os.geteuid()} {path}",
            )
            continue
        if stat.S_IMODE(found.st_mode) & _PRIVATE:
            wrong = True
            yield fail(
                "secrets",
                f"{path} can be read by others on this box.",
                f"chmod 600 {path}",
            )
        elif not os.access(path, os.R_OK):
            wrong = True
            yield fail(
                "secrets",
                f"{path} cannot be read by this user.",
                f"chown {os.geteuid()} {path}",
            )
    if not wrong:
        yield ok("secrets", "Files that hold secrets are read by their owner alone.")


def disk(settings: Settings) -> Iterator[Finding]:
    """Look how much room is left, and whether DATA_DIR can be written to."""
    data = settings.data_dir.absolute()
    if not data.is_dir():
        yield warn("disk", f"DATA_DIR {data} is not there yet.", "mcp-host up")
        return
    if not os.access(data, os.W_OK):
        yield fail(
            "disk",
            f"DATA_DIR {data} cannot be written to by this user.",
            f"chown {os.geteuid()} {data}",
        )
    engine = Path("/var/lib/docker")
    rooms = disk_space.rooms([data, settings.run_dir, engine])
    try:
        yield ok(
            "disk",
            disk_space.told(rooms, low_bytes=settings.disk_low_mib * disk_space.MIB),
        )
    except disk_space.DiskFullError as error:
        yield fail(
            "disk", error.detail, "docker image prune; mcpctl servers delete NAME"
        )
    except disk_space.DiskTightError as error:
        yield warn(
            "disk", error.detail, "docker image prune; mcpctl servers delete NAME"
        )


def memory() -> Iterable[Finding]:
    """Look how much memory is available."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines}
    available, total = found["MemAvailable"], found["MemTotal"]
    text = f"{size(available * _MIB)} of {size(total * _MIB)} memory are available."
    if available < _NONE_MIB:
        return [
            fail(
                "memory",
                text,
                "mcpctl metrics shows who takes it; stop one, or give the box more.",
            )
        ]
    if available < _LITTLE_MIB:
        return [
            warn(
                "memory",
                text,
                "mcpctl metrics shows who takes it; stop one, or give the box more.",
            )
        ]
    return [ok("memory", text)]


def clock() -> Iterable[Finding]:
    """Look whether somebody keeps the clock right; tokens and certificates go by it."""
    try:
        said = text_of(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    except (ProgramMissingError, ProgramFailedError):
        return [
            ok("clock", "Nothing on this box tells whether its clock is kept right.")
        ]
    if said.strip() == "yes":
        return [ok("clock", "It is kept right over the network.")]
    return [
        warn(
            "clock",
            "Nobody keeps the clock right; tokens and certificates go by it.",
            "timedatectl set-ntp true",
        )
    ]


def names(hosts: Iterable[str]) -> Iterator[Finding]:
    """Look whether names of this box and its domains lead anywhere."""
    looked = 0
    for host in hosts:
        looked += 1
        try:
            socket.getaddrinfo(host, None)
        except OSError:
            yield warn(
                "dns",
                f"{host} leads nowhere as this box sees it.",
                f"Set an A or AAAA record for {host}.",
            )
    if looked:
        yield ok("dns", f"{looked} names were looked up.")


def way_out() -> Iterable[Finding]:
    """Look whether this box has a way to anywhere: builds and remote servers need one."""
    routes = [line.split() for line in Path("/proc/net/route").read_text().splitlines()]
    has_default = any(len(item) > 1 and item[1] == "00000000" for item in routes)
    has_v6 = Path("/proc/net/ipv6_route").is_file() and any(
        line.startswith("0" * 32 + " 00 ") and line.split()[-1] != "lo"
        for line in Path("/proc/net/ipv6_route").read_text().splitlines()
    )
    if has_default or has_v6:
        return [ok("network", "There is a way out of this box.")]
    return [
        warn(
            "network",
            "This box has no way out: packages cannot be installed, remote servers not reached.",
            "ip route add default via GATEWAY",
        )
    ]
