"""Documents of clients, fetched from wherever a stranger says: of others only, small, in time, without detours."""

import asyncio
import json
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from appliance.oauth.documents import checked_url
from appliance.oauth.errors import ClientDocumentError
from appliance.sources.reach import names_private
from appliance.sources.resolving import PublicResolver

MAX_BYTES = 64 * 1024
TIMEOUT_S = 5.0
#: Whoever is signed in may make the hub ask somewhere; so many at once.
AT_ONCE = 8
JSON_TYPES = ("application/json", "+json")


@dataclass(frozen=True)
class Fetched:
    """What was there."""

    content: Any
    cache_control: str


class Fetcher:
    """Fetches documents.

    Args:
        private_hosts: ``host`` or ``host:port`` that may lie on this box or beside it.
        ca_file: Certificates to trust; a file that is not there: those of the system.
    """

    def __init__(self, private_hosts: Collection[str], ca_file: Path) -> None:
        """Open nothing yet."""
        self._private_hosts = frozenset(host.lower() for host in private_hosts)
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def fetch(self, url: str) -> Fetched:
        """Return the JSON at ``url``.

        Raises:
            ClientDocumentError: It may not be asked for, does not answer, or is not what was asked for.
        """
        checked_url(url)
        is_trusted = self._is_trusted(url)
        if names_private(url) and not is_trusted:
            raise ClientDocumentError(_PRIVATE)
        if self._tls is None:
            self._tls = await asyncio.to_thread(self._load)
        resolver = aiohttp.ThreadedResolver() if is_trusted else PublicResolver()
        try:
            async with self._turn, asyncio.timeout(TIMEOUT_S):
                return await _get(url, resolver, self._tls)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = str(error) or "it took too long"
            raise ClientDocumentError(f"The client's document could not be fetched: {why}.") from error  # fmt: skip

    def _is_trusted(self, url: str) -> bool:
        parts = urlsplit(url)
        names = {parts.hostname or "", parts.netloc.lower()}
        return not names.isdisjoint(self._private_hosts)

    def _load(self) -> ssl.SSLContext:
        has_file = self._ca_file.is_file()
        return ssl.create_default_context(cafile=self._ca_file if has_file else None)


_PRIVATE = "The client's document is said to lie on this box or beside it."


async def _get(
    url: str, resolver: aiohttp.ThreadedResolver, tls: ssl.SSLContext
) -> Fetched:
    connector = aiohttp.TCPConnector(resolver=resolver, limit=1, ssl=tls)
    # No proxy of the environment: it would resolve the name once more.
    async with (
        aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as response,
    ):  # fmt: skip
        if response.status != HTTPStatus.OK:
            raise ClientDocumentError(
                f"The client's document answers {response.status}, and not 200."
            )
        if not response.content_type.endswith(JSON_TYPES):
            raise ClientDocumentError("The client's document is not of a JSON type.")
        body = await _bounded(response)
        cache_control = response.headers.get("Cache-Control", "")
    return Fetched(_parsed(body), cache_control)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) > MAX_BYTES:
            raise ClientDocumentError("The client's document is larger than 64 KiB.")
    return bytes(found)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ClientDocumentError("The client's document is not JSON.") from error
