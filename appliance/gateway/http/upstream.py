"""Where a worker sends requests: made once, used for every call.

Three ways, because their doors differ: the bridge's socket, servers on this box's loopback, and remote servers, whose names
must not lead to private addresses.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from multidict import CIMultiDict

from appliance.gateway.http.client import (
    CONNECT_TIMEOUT_S,
    NotConnectedError,
    Origin,
)
from appliance.gateway.http.responses import Head
from appliance.gateway.http.signed import SignedRequests
from appliance.gateway.routes import Route
from appliance.gateway.signins import Signins

#: Less than the five seconds after which uvicorn and Node close an idle connection: no request must meet the closing.
IDLE_S = 4.0
#: The bridge never closes first.
BRIDGE_IDLE_S = 60.0
#: Servers on this box whose connections are remembered; beyond it the unused ones are forgotten.
ORIGINS_KEPT = 512
_NO_ANSWER = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class UpstreamAnswer(AbstractAsyncContextManager["UpstreamAnswer"], Protocol):
    """An answer that may still be arriving; to leave its ``async with`` early hangs up."""

    @property
    def head(self) -> Head:
        """What came before the body."""
        ...

    async def read(self) -> bytes:
        """Return the whole body; raises ``ConnectionError`` when the connection breaks."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raises ``ConnectionError`` when the connection breaks."""
        ...


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
    """Opens what is needed when entered and closes it when left.

    Args:
        bridge_socket: Where the bridge is.
        allow_private: Whether remote servers may be beside this box.
        signins: With what servers are called that ask who calls; ``None``: this process calls none.
    """

    def __init__(
        self,
        bridge_socket: str,
        *,
        allow_private: bool,
        signins: Signins | None = None,
    ) -> None:
        """Open nothing yet."""
        self._signed = (
            None if signins is None else SignedRequests(signins, self._ask_remote)
        )
        self._allow_private = allow_private
        self.bridge = Origin(bridge_socket, "bridge", idle_s=BRIDGE_IDLE_S)
        self._local: dict[tuple[str, int], Origin] = {}

    async def __aenter__(self) -> Self:
        """Open the client for remote servers."""
        resolver = None if self._allow_private else PublicResolver()
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=IDLE_S, resolver=resolver
        )
        self._remote = _remote_client(connector)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every connection."""
        self.bridge.close()
        for origin in self._local.values():
            origin.close()
        await self._remote.close()

    async def request(
        self, route: Route, method: str, headers: CIMultiDict[str], body: bytes
    ) -> UpstreamAnswer:
        """Send a request to the server behind ``route`` and return the answer when its head is there.

        Raises:
            NotConnectedError: Nothing was sent.
            ConnectionError: The connection broke.
            PermissionError: The address is remote and private, or wants a token that this process does not have.
            SigninNeededError: The server asks who calls, and the route's account has nothing to show.
            TokenNotRenewedError: What it has cannot be used just now.
        """
        local = self.local(route)
        if local is not None:
            origin, target = local
            return await origin.request(method, target, headers.items(), body)
        self._refuse_private_literal(route.address)
        if not route.signin:
            return await self._ask_remote(route.address, method, headers, body)
        if self._signed is None or not route.account:
            raise PermissionError("it asks who calls, and this process cannot say")
        return await self._signed.request(route, method, headers, body)

    def local(self, route: Route) -> tuple[Origin, str] | None:
        """Return where a server on this box is, and the target to ask for; ``None``: it is remote."""
        if not (route.container_id and route.address.startswith("http:")):
            return None
        parts = urlsplit(route.address)
        place = (parts.hostname or "", parts.port or 80)
        origin = self._local.get(place)
        if origin is None:
            self._forget_unused()
            # By this name servers that guard against DNS rebinding know those on their own box; their container's address
            # is no name that they were told.
            origin = self._local[place] = Origin(
                place, f"127.0.0.1:{place[1]}", idle_s=IDLE_S
            )
        return origin, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def _forget_unused(self) -> None:
        if len(self._local) >= ORIGINS_KEPT:
            self._local = {
                place: origin
                for place, origin in self._local.items()
                if not origin.is_unused
            }

    async def _ask_remote(
        self, url: str, method: str, headers: CIMultiDict[str], body: bytes
    ) -> UpstreamAnswer:
        try:
            response = await self._remote.request(
                method, url, data=body or None, headers=headers, allow_redirects=False
            )
        except _NO_ANSWER as error:
            raise NotConnectedError(str(error)) from error
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error
        return RemoteAnswer(response)

    def _refuse_private_literal(self, address: str) -> None:
        # Literal addresses pass the resolver by.
        host = urlsplit(address).hostname or ""
        is_literal = host.replace(".", "").isdigit() or ":" in host
        if is_literal and not self._allow_private and not is_public(host):
            raise PermissionError(
                f"{host} is a private address; REMOTE_ALLOW_PRIVATE=true would allow it"
            )


class RemoteReceiver(Protocol):
    """Who asked a remote server: is told what comes back, as it comes."""

    @property
    def is_over(self) -> bool:
        """Whether nobody wants the rest."""
        ...

    def started(self, head: Head) -> None:
        """The head; the body follows by ``piece``."""
        ...

    def piece(self, data: bytes) -> None:
        """A piece of the body."""
        ...

    def finished(self) -> None:
        """The body is complete."""
        ...

    def failed(self, error: OSError) -> None:
        """There is no answer, or it broke off."""
        ...


class RemotePass:
    """Passes what a remote server answers on to callbacks.

    Args:
        upstreams: To ask with.
        receiver: To tell.
    """

    def __init__(self, upstreams: Upstreams, receiver: RemoteReceiver) -> None:
        """Ask nothing yet."""
        self._upstreams = upstreams
        self._receiver = receiver
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()

    def abort(self) -> None:
        """Let who waits go on; the task is cancelled by whoever started it."""
        self._may_go_on.set()

    def pause(self) -> None:
        """Read no more for now."""
        self._may_go_on.clear()

    def resume(self) -> None:
        """Read on."""
        self._may_go_on.set()

    async def carry(
        self, route: Route, method: str, headers: CIMultiDict[str], body: bytes
    ) -> None:
        """Ask, and tell what comes back."""
        receiver = self._receiver
        try:
            async with await self._upstreams.request(
                route, method, headers, body
            ) as answer:
                receiver.started(answer.head)
                async for piece in answer.pieces():
                    if receiver.is_over:
                        return
                    receiver.piece(piece)
                    await self._may_go_on.wait()
                receiver.finished()
        except OSError as error:
            receiver.failed(error)


class RemoteAnswer:
    """What a remote server answers."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        """Take over a response of the general client."""
        self._response = response
        self.head = Head(
            response.status,
            list(response.headers.items()),
            response.content_length,
            is_reusable=False,
        )

    async def read(self) -> bytes:
        """Return the whole body."""
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""
        try:
            async for piece in self._response.content.iter_any():
                yield piece
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error

    async def __aenter__(self) -> Self:
        """Return the answer itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up, unless the answer is complete."""
        self._response.release() if self._response.content.at_eof() else self._response.close()


def _remote_client(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    options: dict[str, Any] = {
        # Streams have no end; calls are bounded by GW_TIMEOUT, by whoever made them.
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        "cookie_jar": aiohttp.DummyCookieJar(),
        "auto_decompress": False,
        "skip_auto_headers": ("User-Agent", "Accept-Encoding"),
    }
    return aiohttp.ClientSession(connector=connector, **options)
