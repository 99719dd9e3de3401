"""Which subnet the next server gets. Pure.

Docker's own address pools end after some thirty networks; a /27 each from one range of
ours lasts for two thousand servers with thirty containers each.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, ip_network

from appliance.core.routes import parse_routes

PREFIX = 27


def free_subnets(pool: str, taken: Iterable[str]) -> Iterable[str]:
    """Yield the subnets of ``pool`` that overlap none of ``taken``, lowest first.

    Args:
        pool: An IPv4 range such as ``10.213.0.0/16``.
        taken: Ranges in use, of any size; what is not IPv4 is passed over.
    """
    used = [found for text in taken if (found := _ipv4(text))]
    for candidate in IPv4Network(pool).subnets(
        new_prefix=max(PREFIX, IPv4Network(pool).prefixlen)
    ):
        if not any(candidate.overlaps(other) for other in used):
            yield str(candidate)


def routed(table: str) -> list[str]:
    """Return the ranges that a box's routes lead to, the way to everywhere else not among them.

    Docker chooses no subnet itself where one is given, so nobody else looks whether something of another's is in the way.

    Args:
        table: As ``/proc/net/route`` has it.
    """
    return [
        str(route.network) for route in parse_routes(table) if route.network.prefixlen
    ]


def _ipv4(text: str) -> IPv4Network | None:
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        return None
    return found if isinstance(found, IPv4Network) else None
