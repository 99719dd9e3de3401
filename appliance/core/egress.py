"""Where a server may go: what is allowed, JSON and back, and what its bridge is called. Pure."""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Any

MAX_HOSTS = 200
#: ``api.example.com:443``, ``*.example.com:443``, ``192.0.2.1:5432``.
_ALLOWED = re.compile(
    r"(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?:[1-9][0-9]{0,4}"
)
MAX_PORT = 65535


class EgressMode(StrEnum):
    """How much of the network a server sees."""

    NONE = "none"
    ALLOW_LIST = "allow-list"
    OPEN = "open"


@dataclass(frozen=True)
class EgressPolicy:
    """Where a server may go."""

    mode: EgressMode = EgressMode.ALLOW_LIST
    #: ``host:port`` each; ``*.`` before a host means every name below it.
    hosts: tuple[str, ...] = ()
    #: Those of ``hosts`` that may lead to a private address; only administrators say so.
    private: tuple[str, ...] = ()
    #: Whether names that are not allowed are answered, so that a denied attempt shows the port too; it stays denied.
    learn: bool = False


def problems(policy: EgressPolicy) -> dict[str, str]:
    """Return what is wrong, by field."""
    if len(policy.hosts) > MAX_HOSTS:
        return {"egress.hosts": f"give at most {MAX_HOSTS} hosts"}
    wrong = [host for host in policy.hosts if not is_entry(host)]
    if wrong:
        return {
            "egress.hosts": f"give hosts with ports such as api.example.com:443, not {wrong[0][:100]!r}"
        }
    never = [host for host in policy.hosts if is_never(split(host)[0])]
    if never:
        return {"egress.hosts": f"{never[0]} is never reached, whoever allows it"}
    strange = [host for host in policy.private if host not in policy.hosts]
    if strange:
        return {"egress.private": f"{strange[0][:100]!r} is not one of the hosts"}
    return {}


def is_entry(host: str) -> bool:
    """Return whether a text is a ``host:port`` that can be allowed."""
    return bool(_ALLOWED.fullmatch(host)) and int(host.rpartition(":")[2]) <= MAX_PORT


def is_never(host: str) -> bool:
    """Return whether a host is an address that no server reaches: of the box itself, of the link, of nobody."""
    try:
        parsed = ip_address(host)
    except ValueError:
        return host == "localhost"
    return (
        parsed.is_loopback
        or parsed.is_link_local
        or parsed.is_multicast
        or parsed.is_unspecified
    )


def as_dict(policy: EgressPolicy) -> dict[str, Any]:
    """Return the policy as it is stored and answered."""
    return {
        "mode": policy.mode.value,
        "hosts": list(policy.hosts),
        "private": list(policy.private),
        "learn": policy.learn,
    }


def from_dict(data: Mapping[str, Any]) -> EgressPolicy:
    """Return what ``as_dict`` stored; absent keys take their defaults."""
    default = EgressPolicy()
    return EgressPolicy(
        mode=EgressMode(data.get("mode", default.mode)),
        hosts=tuple(data.get("hosts", ())),
        private=tuple(data.get("private", ())),
        learn=bool(data.get("learn", default.learn)),
    )


#: Where containers ask for names: an address of nobody's, which the firewall leads to the egress process.
RESOLVER = "198.18.0.53"
#: From which allowed names get the addresses that containers see; reserved for benchmarks (RFC 2544), so nobody's.
VIRTUAL = "198.18.0.0/15"
#: Of a server's network, the address that is the containers' gateway. Docker has the first; the egress process alone
#: puts this one on the bridge, so that without it there is no way out.
GATEWAY_OFFSET = 2
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def bridge_prefix(owner: str) -> str:
    """Return what the names of an installation's bridges begin with."""
    return f"mcp{zlib.crc32(owner.encode()) & 0xFFFFFF:06x}-"


def bridge_name(prefix: str, server_id: int) -> str:
    """Return the name of a server's bridge; at most 15 characters, as the kernel wants it.

    >>> bridge_name("mcpc0ffee-", 71)
    'mcpc0ffee-1z'
    """
    text = ""
    while server_id:
        server_id, digit = divmod(server_id, len(_DIGITS))
        text = _DIGITS[digit] + text
    return prefix + (text or "0")


def server_of(prefix: str, bridge: str) -> int | None:
    """Return the server whose bridge is called so; ``None``: it is nobody's of ours.

    >>> server_of("mcpc0ffee-", "mcpc0ffee-1z")
    71
    """
    text = bridge.removeprefix(prefix)
    if text == bridge or not text or any(sign not in _DIGITS for sign in text):
        return None
    return int(text, len(_DIGITS))


def split(entry: str) -> tuple[str, int]:
    """Return host and port of ``host:port``."""
    host, _, port = entry.rpartition(":")
    return host, int(port)


def covers(host: str, name: str) -> bool:
    """Return whether the host of an entry means ``name``; ``*.`` means what is below, and not the name itself."""
    if host.startswith("*."):
        return name.endswith(host[1:]) and name != host[2:]
    return name == host
