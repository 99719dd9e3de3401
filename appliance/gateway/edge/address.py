"""Under which name a client reached the gateway: what it typed is what its tokens are for. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from appliance.core.oauth import origin_of
from appliance.gateway.edge.guard import LOOPBACK_NAMES
from appliance.gateway.names import host_of, port_of

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SCHEMES = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True)
class Address:
    """The gateway, as one client names it."""

    #: ``https://mcp.example.org``: what the path of an endpoint is put behind.
    origin: str
    #: Whether it is the gateway's own name: by its settings, or as every box calls itself.
    is_own: bool = True
    #: The name that leads to one server alone; empty: it is none.
    domain: str = ""

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return self.origin.partition(":")[0]

    @property
    def host(self) -> str:
        """Name and port."""
        return urlsplit(self.origin).netloc


class Addresses:
    """Tells how the gateway was named.

    Args:
        gateway_public_url: Where clients reach it; empty: under any name.
        public_url: Where people reach the hub; empty: it was not said.
        own_hosts: Host names, without port, of all that was said of the box.
        port: That the gateway listens on.
        is_domain: Whether a host leads to one server alone.
    """

    def __init__(
        self,
        gateway_public_url: str,
        public_url: str,
        *,
        own_hosts: tuple[str, ...],
        port: int,
        is_domain: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Keep them in the form in which they are compared."""
        self._is_domain = is_domain
        self._public = gateway_public_url.rstrip("/")
        self._schemes = {
            urlsplit(url).netloc.lower(): urlsplit(url).scheme
            for url in (public_url, gateway_public_url)
            if url
        }
        self._names = {name.lower() for name in own_hosts} | LOOPBACK_NAMES
        #: Whether the settings name the box at all.
        self.is_told = bool(gateway_public_url or public_url)
        self._default = self._public or f"http://127.0.0.1:{port}"
        #: Under which tokens are good wherever the request came in.
        self.public_origin = origin_of(self._public) if self._public else ""

    def of(self, headers: Mapping[str, str]) -> Address:
        """Return the name that a request was sent to.

        A proxy that does not pass the name on (Nginx does not by itself) is taken to stand at the public address.
        """
        host = headers.get("Host", "")
        if not _HOST.fullmatch(host):
            return Address(self._default)
        name = host_of(host)
        if self._is_domain(name):
            # Nobody but the front door leads here under such a name, and it speaks TLS.
            return Address(f"https://{name}{port_of(host)}", domain=name)
        is_public = bool(self._public) and (
            urlsplit(self._public).netloc.lower() == host.lower()
        )
        is_proxied = "X-Forwarded-For" in headers
        if is_public or (is_proxied and self._public):
            return Address(self._public)
        scheme = self._schemes.get(host.lower()) or "http"
        told = headers.get("X-Forwarded-Proto", "").lower()
        if is_proxied and told in _SCHEMES:
            scheme = told
        return Address(f"{scheme}://{host}", is_own=name in self._names)
