"""Who asks, and under which name, where proxies stand between: only those that the settings name are believed. Pure."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: A host's name or address, perhaps with a port; what else may stand there makes URLs that lead elsewhere.
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SCHEMES = frozenset({"http", "https"})
#: Where our own Nginx asks from.
LOOPBACK = "127.0.0.0/8,::1"
#: More proxies in a row than anybody has.
_MAX_HOPS = 20


@dataclass(frozen=True)
class Caller:
    """Who asks, and how they reached the box."""

    address: str
    scheme: str
    #: Name and perhaps port.
    host: str


def networks_of(text: str) -> tuple[Network, ...]:
    """Return the networks that ``text`` names, with commas or spaces between.

    Raises:
        ValueError: One of them is none; the text names it.
    """
    found = []
    for item in text.replace(",", " ").split():
        try:
            found.append(ipaddress.ip_network(item))
        except ValueError as error:
            raise ValueError(
                f"{item!r} is no network; give such as 127.0.0.1 or 10.0.0.0/8"
            ) from error
    return tuple(found)


class TrustedProxies:
    """Reads what proxies say of those whom they ask for.

    Args:
        networks: Where the proxies are that may say so.
    """

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        """Keep the networks."""
        self._networks = tuple(networks)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._networks)

    def trusts(self, address: str) -> bool:
        """Return whether a proxy at ``address`` is believed."""
        found = _address(address)
        return found is not None and any(found in item for item in self._networks)

    def caller(
        self,
        direct: Caller,
        *,
        addresses: Sequence[str] = (),
        schemes: Sequence[str] = (),
        hosts: Sequence[str] = (),
    ) -> Caller:
        """Return who asks.

        Args:
            direct: Whoever opened the connection, and what the request itself says.
            addresses: Values of ``X-Forwarded-For``, the client's first, each proxy's own peer added at the end.
            schemes: Values of ``X-Forwarded-Proto``.
            hosts: Values of ``X-Forwarded-Host``.
        """
        if not self.trusts(direct.address):
            return direct
        address = direct.address
        # From the end: what stands before the first address that no proxy of ours wrote was made up by the caller.
        for told in reversed(_items(addresses)[-_MAX_HOPS:]):
            if not self.trusts(address):
                break
            found = _address(told)
            if found is None:
                break
            address = str(found)
        scheme = (_items(schemes) or [direct.scheme])[-1].lower()
        host = (_items(hosts) or [direct.host])[-1]
        return Caller(
            address,
            scheme if scheme in _SCHEMES else direct.scheme,
            host if _HOST.fullmatch(host) else direct.host,
        )


def _items(values: Sequence[str]) -> list[str]:
    return [item.strip() for value in values for item in value.split(",")]


@lru_cache(maxsize=256)  # every request of a connection asks for the same one
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    # What a socket for both families calls an IPv4 peer.
    mapped = getattr(found, "ipv4_mapped", None)
    return mapped or found
