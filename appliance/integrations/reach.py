"""Where the hub connects to when somebody has a service tested. Pure: names are resolved elsewhere.

A test makes the hub connect to an address that a person chose, from inside, and tells what it found: a lever for looking
around. Private networks are where databases are, so they are open. Shut are the box itself, where the hub, its database and
the engine listen, and other people's servers; what answers for everybody on a link, above all a cloud's metadata, which
gives out credentials; and what is no one's address. An administrator, who may see all of the box anyway, may have the box
itself tested.
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

_NAT64 = IPv6Network("64:ff9b::/96")
#: Metadata of clouds that is not on the link.
METADATA = frozenset(
    map(
        ip_address,
        ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"),
    )
)


def refusal(
    address: str, *, is_own: bool, server_networks: Iterable[str], is_admin: bool
) -> str:
    """Return why nothing is connected to at an address; empty: it may be.

    Args:
        address: As resolved.
        is_own: Whether it is one of this box.
        server_networks: Where hosted servers are.
        is_admin: Whether an administrator asks.
    """
    found = meant(address)
    if found in METADATA or found.is_link_local:
        return "gives out a cloud's credentials, or is on the box's own link"
    if found.is_multicast or found.is_unspecified or found.is_reserved:
        return "is nobody's address"
    if any(_is_in(found, network) for network in server_networks):
        return "is a hosted server's"
    if (found.is_loopback or is_own) and not is_admin:
        return "is this box itself, which only an administrator may have tested"
    return ""


def meant(address: str) -> IPv4Address | IPv6Address:
    """Return the address that is meant, however it is wrapped."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv4Address):
        return found
    inner = found.ipv4_mapped or found.sixtofour
    if inner is None and found in _NAT64:
        inner = IPv4Address(found.packed[12:])
    return inner or found


def _is_in(address: IPv4Address | IPv6Address, network: str) -> bool:
    found = ip_network(network, strict=False)
    return address.version == found.version and address in found
