"""The HTTP clients of a worker: made once, used for every call.

Three of them, because their doors differ: the bridge's socket, servers on this box's loopback, and remote servers, whose
names must not lead to private addresses.
"""

import asyncio
import ipaddress
import socket
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from appliance.gateway.routes import Route

CONNECT_TIMEOUT_S = 5.0
#: Less than the five seconds after which uvicorn and Node close an idle connection: no request must meet the closing.
IDLE_S = 4.0


class PublicResolver(AbstractResolver):
    """Resolves names, and refuses those that lead to a private address."""

    def __init__(self) -> None:
        """Wrap the usual resolver."""
        self._inner = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the public addresses of ``host``.

        Raises:
            OSError: There are none.
        """
        found = await self._inner.resolve(host, port, family)
        public = [item for item in found if is_public(item["host"])]
        if not public:
            raise OSError(
                f"{host} leads to a private address; REMOTE_ALLOW_PRIVATE=true would allow it"
            )
        return public

    async def close(self) -> None:
        """Close the usual resolver."""
        await self._inner.close()


def is_public(address: str) -> bool:
    """Whether an IP address is reachable from anywhere; not an address at all is not."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_global and not parsed.is_multicast


class Upstreams:
    """Opens the clients when entered and closes them when left."""

    def __init__(self, bridge_socket: str, *, allow_private: bool) -> None:
        """Open nothing yet."""
        self._bridge_socket = bridge_socket
        self._allow_private = allow_private

    async def __aenter__(self) -> Self:
        """Open the clients."""
        resolver = None if self._allow_private else PublicResolver()
        self.bridge = _session(
            aiohttp.UnixConnector(self._bridge_socket, limit=0, keepalive_timeout=60.0)
        )
        self._local = _session(aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S))
        self._remote = _session(
            aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S, resolver=resolver)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the clients."""
        await asyncio.gather(
            self.bridge.close(), self._local.close(), self._remote.close()
        )

    def for_route(self, route: Route) -> tuple[aiohttp.ClientSession, str]:
        """Return the client for ``route`` and the URL to call.

        Raises:
            PermissionError: The address is remote and private.
        """
        if route.transport == "stdio":
            return self.bridge, f"http://bridge/instances/{route.container_id}/mcp"
        if route.container_id:
            return self._local, route.address
        self._refuse_private_literal(route.address)
        return self._remote, route.address

    def _refuse_private_literal(self, address: str) -> None:
        # Literal addresses pass the resolver by.
        host = urlsplit(address).hostname or ""
        is_literal = host.replace(".", "").isdigit() or ":" in host
        if is_literal and not self._allow_private and not is_public(host):
            raise PermissionError(
                f"{host} is a private address; REMOTE_ALLOW_PRIVATE=true would allow it"
            )


def _session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    options: dict[str, Any] = {
        # Streams have no end; calls are bounded by GW_TIMEOUT, by whoever made them.
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        "cookie_jar": aiohttp.DummyCookieJar(),
        "auto_decompress": False,
        "skip_auto_headers": ("User-Agent", "Accept-Encoding"),
    }
    return aiohttp.ClientSession(connector=connector, **options)
