"""Documents of clients, fetched from wherever a stranger says: of others only, small, in time, without detours."""

import asyncio
import json
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from appliance.oauth.documents import checked_url
from appliance.oauth.errors import ClientDocumentError
from appliance.sources.strangers import Strangers, bounded

MAX_BYTES = 64 * 1024
TIMEOUT_S = 5.0
#: Whoever is signed in may make the hub ask somewhere; so many at once.
AT_ONCE = 8
JSON_TYPES = ("application/json", "+json")
_HEADERS = {"Accept": "application/json"}


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
        self._strangers = Strangers(private_hosts, ca_file)
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def fetch(self, url: str) -> Fetched:
        """Return the JSON at ``url``.

        Raises:
            ClientDocumentError: It may not be asked for, does not answer, or is not what was asked for.
        """
        checked_url(url)
        if not self._strangers.may_ask(url):
            raise ClientDocumentError(
                "The client's document is said to lie on this box or beside it."
            )
        try:
            async with (
                self._turn,
                asyncio.timeout(TIMEOUT_S),
                self._strangers.ask("GET", url, headers=_HEADERS) as response,
            ):
                return await _read(response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = str(error) or "it took too long"
            raise ClientDocumentError(f"The client's document could not be fetched: {why}.") from error  # fmt: skip


async def _read(response: aiohttp.ClientResponse) -> Fetched:
    if response.status != HTTPStatus.OK:
        raise ClientDocumentError(
            f"The client's document answers {response.status}, and not 200."
        )
    if not response.content_type.endswith(JSON_TYPES):
        raise ClientDocumentError("The client's document is not of a JSON type.")
    body = await bounded(
        response,
        MAX_BYTES,
        ClientDocumentError("The client's document is larger than 64 KiB."),
    )
    return Fetched(_parsed(body), response.headers.get("Cache-Control", ""))


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ClientDocumentError("The client's document is not JSON.") from error
