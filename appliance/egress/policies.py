"""What each server may, looked up by name, by address and by port. Pure."""

import ipaddress
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.core.egress import RESOLVER, VIRTUAL, covers, split

_FIRST = int(ipaddress.IPv4Address(VIRTUAL.partition("/")[0])) + 256
_LAST = int(ipaddress.IPv4Network(VIRTUAL).broadcast_address) - 1
#: Names below a wildcard, or asked while learning, that a server gets addresses for; beyond it the oldest go.
NAMES_KEPT = 2000
#: What is never reached, whoever allows it. Addresses of this box are looked at by port, see ``verdict``.
_NEVER = [
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        # Metadata of clouds that is not on the link.
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "224.0.0.0/4",
        "240.0.0.0/4",
        VIRTUAL,
    )
]
#: Of IPv6, which leads to IPv4 again.
_WRAPPED = [ipaddress.IPv6Network(text) for text in ("64:ff9b::/96", "2002::/16")]


@dataclass(frozen=True)
class Rule:
    """One destination."""

    host: str
    port: int
    #: Whether it may lead to a private address.
    private: bool = False


@dataclass(frozen=True)
class Policy:
    """What one server may."""

    mode: str
    rules: tuple[Rule, ...] = ()
    learn: bool = False

    def knows(self, name: str) -> bool:
        """Return whether a name is one that the server may reach on some port."""
        return self.mode != "none" and any(
            covers(rule.host, name) for rule in self.rules
        )

    def rule(self, host: str, port: int) -> Rule | None:
        """Return by what a name or an address is allowed on a port."""
        if self.mode == "none":
            return None
        found = [r for r in self.rules if r.port == port and covers(r.host, host)]
        return max(found, key=lambda rule: rule.private, default=None)

    def ports(self, name: str) -> list[int]:
        """Return the ports on which the server may reach a name."""
        if self.mode == "none":
            return []
        return sorted({r.port for r in self.rules if covers(r.host, name)})


def policy_of(row: Mapping[str, Any]) -> Policy:
    """Return a row of ``egress_rules`` as a policy."""
    private = set(row["private"])
    rules = tuple(Rule(*split(item), item in private) for item in row["hosts"])
    return Policy(row["mode"], rules, bool(row["learn"]))


def is_address(host: str) -> bool:
    """Return whether a host is an IPv4 address and no name."""
    parts = host.split(".")
    return len(parts) == 4 and all(  # noqa: PLR2004 - as addresses have it
        part.isdecimal() and int(part) <= 255  # noqa: PLR2004 - as above
        for part in parts
    )


@dataclass
class Names:
    """Which virtual address stands for which name; the same name has the same everywhere, and after a restart."""

    by_name: dict[str, str] = field(default_factory=dict)
    by_address: dict[str, str] = field(default_factory=dict)

    def address(self, name: str) -> str:
        """Return the address of a name, which gets one if it has none."""
        if known := self.by_name.get(name):
            return known
        size = _LAST - _FIRST + 1
        place = zlib.crc32(name.encode()) % size
        while (found := str(ipaddress.IPv4Address(_FIRST + place))) in self.by_address:
            place = (place + 1) % size
        self.by_name[name] = found
        self.by_address[found] = name
        return found

    def keep(self, names: Iterable[str]) -> None:
        """Forget every name but these."""
        kept = set(names)
        for name in [item for item in self.by_name if item not in kept]:
            del self.by_address[self.by_name.pop(name)]


@dataclass
class Board:
    """All that the process knows: policies by server, names, and which names a server asked for below a wildcard."""

    policies: dict[int, Policy] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    asked: dict[int, dict[str, None]] = field(default_factory=dict)

    def replace(self, policies: Mapping[int, Policy]) -> None:
        """Take new policies; what was asked under the old ones is kept where it is still allowed."""
        self.policies = dict(policies)
        self.asked = {
            server: {name: None for name in names if self.answers(server, name)}
            for server, names in self.asked.items()
            if server in policies
        }
        plain = [
            rule.host
            for policy in policies.values()
            for rule in policy.rules
            if not rule.host.startswith("*.") and not is_address(rule.host)
        ]
        # In order, so that who takes a place that two names want is the same after every restart.
        for name in sorted(set(plain)):
            self.names.address(name)
        self.names.keep(
            [*plain, *(name for names in self.asked.values() for name in names)]
        )

    def answers(self, server: int, name: str) -> bool:
        """Return whether a server gets an address for a name."""
        policy = self.policies.get(server)
        return policy is not None and (policy.learn or policy.knows(name))

    def ask(self, server: int, name: str) -> tuple[str, bool]:
        """Return the address of a name that ``answers`` agreed to, and whether the rules need it as well."""
        names = self.asked.setdefault(server, {})
        policy = self.policies[server]
        is_plain = any(rule.host == name for rule in policy.rules)
        is_new = not is_plain and name not in names
        if is_new:
            if len(names) >= NAMES_KEPT:
                names.pop(next(iter(names)))
            names[name] = None
        return self.names.address(name), is_new and bool(policy.ports(name))

    def allowed(self) -> Iterator[tuple[int, str, int]]:
        """Yield server, address and port of everything that passes."""
        for server, policy in self.policies.items():
            for rule in policy.rules if policy.mode != "none" else ():
                if is_address(rule.host):
                    yield server, rule.host, rule.port
                elif not rule.host.startswith("*."):
                    yield server, self.names.address(rule.host), rule.port
            for name in self.asked.get(server, ()):
                address = self.names.address(name)
                yield from ((server, address, port) for port in policy.ports(name))
        yield from ((server, RESOLVER, 53) for server in self.open_servers())

    def open_servers(self) -> list[int]:
        """Return the servers that may go everywhere that is public."""
        return [n for n, policy in self.policies.items() if policy.mode == "open"]


def verdict(
    address: str,
    port: int,
    *,
    rule: Rule,
    pool: str,
    is_local: bool,
    own_ports: Iterable[int],
) -> str:
    """Return why an address that a name led to is not connected to; empty: it may be.

    Args:
        rule: By what the name is allowed.
        pool: Range of servers' networks.
        is_local: Whether it is an address of this box.
        own_ports: Of this box, which no server reaches.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if any(parsed in network for network in _WRAPPED):
            return "it leads to IPv4 behind IPv6"
        parsed = parsed.ipv4_mapped or parsed
    if _is_never(parsed):
        return "it leads to an address that is never reached"
    if parsed in ipaddress.ip_network(pool):
        return "it leads to another server"
    if is_local and port in own_ports:
        return "it leads to this appliance"
    if (is_local or not parsed.is_global) and not rule.private:
        return "it leads to a private address"
    return ""


def _is_never(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return any(address in network for network in _NEVER)
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or str(address) == "fd00:ec2::254"
    )
