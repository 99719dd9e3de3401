"""Which Origin and Host headers are refused. Pure.

A web page may not use a visitor's browser to talk to a gateway on the visitor's own machine or network: neither from its own
origin nor under a name that it made point there (DNS rebinding).
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

#: Under which a box calls itself.
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """Knows the gateway's own names.

    Args:
        own_hosts: Host names, without port, of the public and the gateway's own URL.
    """

    def __init__(self, own_hosts: Iterable[str]) -> None:
        """Add the names of the loopback to ``own_hosts``."""
        self._names = LOOPBACK_NAMES | {name.lower() for name in own_hosts}

    @property
    def names(self) -> frozenset[str]:
        """The gateway's own."""
        return self._names

    def refuses_origin(self, origin: str | None, domain: str = "") -> bool:
        """Whether a browser's page of this origin may not call; programs send none.

        Args:
            origin: As it was sent.
            domain: The name of one server that the request came to, whose own pages may call; empty: it came to none.
        """
        if origin is None:
            return False
        if domain and _hostname(origin) == domain:
            return False
        return _hostname(origin) not in self._names

    def refuses_host(
        self, host: str | None, *, local_address: str | None, is_proxied: bool
    ) -> bool:
        """Whether the name under which we were called is not ours.

        Only asked where a rebound name could lead and where we know every right one: on a direct connection to the
        loopback. Elsewhere people reach a box under names that it does not know itself.
        """
        if is_proxied or local_address is None or not is_loopback(local_address):
            return False
        return _hostname(f"//{host or ''}") not in self._names


@lru_cache(maxsize=256)  # nearly every call names the same host
def _hostname(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


@lru_cache(maxsize=256)
def is_loopback(address: str) -> bool:
    """Whether an IP address is this box itself."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
