"""The IPv4 routes of a box, as ``/proc/net/route`` tells them. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network


@dataclass(frozen=True)
class Route:
    """The way to some addresses."""

    interface: str
    #: ``0.0.0.0/0``: everywhere else.
    network: IPv4Network
    #: Whether another box passes on what goes this way.
    has_gateway: bool


def parse_routes(table: str) -> list[Route]:
    """Return the routes of a table, in its order.

    Args:
        table: Columns under one line of names; addresses are hexadecimal, least byte first.
    """
    found = []
    for line in table.splitlines()[1:]:
        interface, destination, gateway, _, _, _, _, mask, *_ = line.split()
        length = int(mask, 16).bit_count()
        network = IPv4Network((_address(destination), length), strict=False)
        found.append(Route(interface, network, bool(int(gateway, 16))))
    return found


def _address(number: str) -> IPv4Address:
    return IPv4Address(bytes.fromhex(number)[::-1])
