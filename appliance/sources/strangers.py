"""Requests to hosts that somebody else named: in the open world only, unless they are known, and without detours."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from appliance.sources.reach import names_private
from appliance.sources.resolving import PublicResolver


class Strangers:
    """Asks hosts that a document or a stranger named.

    Args:
        private_hosts: ``host`` or ``host:port`` that may lie on this box or beside it.
        ca_file: Certificates to trust; a file that is not there: those of the system.
    """

    def __init__(self, private_hosts: Collection[str], ca_file: Path) -> None:
        """Open nothing yet."""
        self._private_hosts = frozenset(host.lower() for host in private_hosts)
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None

    def may_ask(self, url: str) -> bool:
        """Return whether ``url`` names no neighbour of this box, or one that may be asked."""
        return self._is_known(url) or not names_private(url)

    @asynccontextmanager
    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request to a host that may be asked; a redirect is not followed, but is the answer.

        Raises:
            aiohttp.ClientError: There is no answer.
            OSError: There is none, or the name leads to this box or beside it.
        """
        if self._tls is None:
            self._tls = await asyncio.to_thread(self._load)
        resolver = (
            aiohttp.ThreadedResolver() if self._is_known(url) else PublicResolver()
        )
        connector = aiohttp.TCPConnector(resolver=resolver, limit=1, ssl=self._tls)
        # No proxy of the environment: it would resolve the name once more.
        async with (
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            ) as session,
            session.request(
                method, url, headers=headers, data=form, allow_redirects=False
            ) as response,
        ):
            yield response

    def _is_known(self, url: str) -> bool:
        parts = urlsplit(url)
        names = {(parts.hostname or "").lower(), parts.netloc.lower()}
        return not names.isdisjoint(self._private_hosts)

    def _load(self) -> ssl.SSLContext:
        has_file = self._ca_file.is_file()
        return ssl.create_default_context(cafile=self._ca_file if has_file else None)


async def bounded(
    response: aiohttp.ClientResponse, most: int, refusal: Exception
) -> bytes:
    """Return the body of an answer; raise ``refusal`` as soon as it is above ``most`` bytes."""
    found = bytearray()
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) > most:
            raise refusal
    return bytes(found)
