"""The bridges of servers' networks on this box: which there are, whose packets they carry, and how each is held."""

import contextlib
import errno
import ipaddress
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance.core.egress import GATEWAY_OFFSET, server_of
from appliance.core.routes import Route, parse_routes
from appliance.egress.command import run

_ROUTES = Path("/proc/net/route")
#: Every address of this box, among other things.
_LOCAL = Path("/proc/net/fib_trie")
_DEVICES = Path("/sys/class/net")
_SETTINGS = Path("/proc/sys/net/ipv4/conf")
_STATUS = Path("/proc/self/status")
#: The capability's number.
_NET_ADMIN = 12


@dataclass(frozen=True)
class Bridge:
    """The bridge of one server's network."""

    name: str
    server: int
    network: ipaddress.IPv4Network
    #: The interface's number: another bridge of the same name has another.
    index: int = 0


def bridges(prefix: str) -> list[Bridge]:
    """Return the bridges that are there."""
    return bridges_among(parse_routes(_ROUTES.read_text()), prefix)


def bridges_among(routes: Iterable[Route], prefix: str) -> list[Bridge]:
    """Return the bridges that routes lead to."""
    found = {}
    for route in routes:
        name, network = route.interface, route.network
        server = server_of(prefix, name)
        if server is None or route.has_gateway:
            continue
        if 0 < network.prefixlen < network.max_prefixlen:
            found[name] = Bridge(name, server, network, _index(name))
    return list(found.values())


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def hold(bridge: Bridge, *, is_open: bool) -> bool:
    """Put the containers' gateway on a bridge, and say whether the kernel forwards what comes from there.

    What is not forwarded stays here whatever becomes of the firewall's rules; in a box whose kernel settings are read-only
    (one that is a container itself) the rules alone hold it.

    Returns:
        Whether it was done: the bridge may go meanwhile.
    """
    try:
        _forwarding(bridge).write_text(str(int(is_open)))
    except OSError as error:
        if error.errno != errno.EROFS:
            return False
    gateway = bridge.network.network_address + GATEWAY_OFFSET
    return not run("ip", "address", "replace", f"{gateway}/32", "dev", bridge.name)


def are_held(wanted: Iterable[tuple[Bridge, bool]]) -> set[tuple[Bridge, bool]]:
    """Return those bridges, with whether they are open, that are held already. Starts no program."""
    local = _LOCAL.read_text()
    return {
        (bridge, is_open)
        for bridge, is_open in wanted
        if f"-- {bridge.network.network_address + GATEWAY_OFFSET}\n" in local
        and _forwards(bridge, wanted=is_open)
    }


def settings_are_read_only() -> bool:
    """Return whether the kernel cannot be told what to forward, so that the firewall's rules alone hold bridges."""
    return bool(os.statvfs(_SETTINGS).f_flag & os.ST_RDONLY)


def _forwarding(bridge: Bridge) -> Path:
    return _SETTINGS / bridge.name / "forwarding"


def _forwards(bridge: Bridge, *, wanted: bool) -> bool:
    """Return whether the kernel forwards as is wanted, or cannot be told to."""
    return _read(_forwarding(bridge)) == str(int(wanted)) or settings_are_read_only()


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return ""


def separate(bridge: Bridge) -> None:
    """Keep the containers on a bridge from seeing each other: each may be a client's own."""
    with contextlib.suppress(OSError):
        for port in (_DEVICES / bridge.name / "brif").iterdir():
            if _read(port / "isolated") != "1":
                _isolate(port)


def _isolate(port: Path) -> None:
    try:
        (port / "isolated").write_text("1")
    except OSError as error:
        # In a box that is a container itself these files cannot be written; the kernel is told by its other way in.
        if error.errno == errno.EROFS:
            run("bridge", "link", "set", "dev", port.name, "isolated", "on")


def is_local(address: str) -> bool:
    """Return whether an address is one of this box."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def server_at(address: str, known: Iterable[Bridge]) -> Bridge | None:
    """Return the bridge that an address lies behind."""
    parsed = ipaddress.IPv4Address(address)
    return next((item for item in known if parsed in item.network), None)


def interface_name(index: int) -> str:
    """Return what an interface is called; empty: it is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""


def has_rights() -> bool:
    """Return whether this process may change the network's settings: as root, or with the capability alone."""
    return may_administer(_STATUS.read_text())


def may_administer(status: str) -> bool:
    """Return whether CAP_NET_ADMIN is in effect, as the kernel tells it of a process."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(found and int(found[1], 16) >> _NET_ADMIN & 1)
