"""How many refused attempts of one address become lines of the trail in a minute. Pure.

A flood must not fill the disk, nor hide among its own lines what else was refused: each address has a few lines a minute, all
together some more, and of the others it is written once how many there were.
"""

import ipaddress
from dataclasses import dataclass

#: Lines a minute.
PER_ADDRESS = 20
TOGETHER = 300
#: Addresses that are counted one by one; further ones are counted together.
ADDRESSES = 1000
ELSEWHERE = "other addresses"
#: What one customer of a provider is given.
_IPV6_NETWORK = 64


@dataclass(frozen=True)
class Unwritten:
    """Attempts that became no lines."""

    address: str
    count: int


def counted_as(address: str) -> str:
    """Return what attempts from ``address`` count under: for IPv6, the network that one customer has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:  # noqa: PLR2004 - IPv4
        return str(found)
    return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False))


class DenialMeter:
    """Counts refused attempts by address and minute."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._minute = 0
        self._written = 0
        self._by_address: dict[str, int] = {}
        self._unwritten: dict[str, int] = {}

    def take(self, address: str, minute: int) -> bool:
        """Count an attempt; return whether it becomes a line.

        Args:
            address: Where it came from.
            minute: Which minute it is, by any clock that does not go back.
        """
        if minute != self._minute:
            self._minute, self._written = minute, 0
            self._by_address.clear()
        whose = counted_as(address)
        if whose not in self._by_address and len(self._by_address) >= ADDRESSES:
            whose = ELSEWHERE
        count = self._by_address[whose] = self._by_address.get(whose, 0) + 1
        if count <= PER_ADDRESS and self._written < TOGETHER:
            self._written += 1
            return True
        if whose not in self._unwritten and len(self._unwritten) >= ADDRESSES:
            whose = ELSEWHERE
        self._unwritten[whose] = self._unwritten.get(whose, 0) + 1
        return False

    def unwritten(self) -> list[Unwritten]:
        """Return what became no lines since this was asked last; the most first."""
        found = [Unwritten(*item) for item in self._unwritten.items()]
        self._unwritten.clear()
        return sorted(found, key=lambda item: item.count, reverse=True)
