"""Calls of other programs: signed, small, in time, without detours, and never of this box or its neighbours."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

from appliance.notifying.errors import NotSentError, SendRefusedError
from appliance.notifying.signing import signature
from appliance.sources.reach import names_private
from appliance.sources.resolving import PublicResolver

TIMEOUT_S = 10.0
SIGNATURE_HEADER = "X-MCP-Host-Signature"
STAMP_HEADER = "X-MCP-Host-Timestamp"
#: The same for every attempt at one delivery, so that a receiver may leave out what it had.
DELIVERY_HEADER = "X-MCP-Host-Delivery"
#: What may be different at the next attempt, although the receiver refused this one.
_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}  # fmt: skip


@dataclass(frozen=True)
class Delivery:
    """One thing to tell a program."""

    url: str
    #: Stays the same however often it is tried.
    id: str
    body: Mapping[str, Any]
    #: What it is signed with.
    secret: bytes


class Sender:
    """Sends what programs are told.

    Args:
        allow_private: Whether an address may be one of this box or its neighbours.
    """

    def __init__(self, *, allow_private: bool) -> None:
        """Keep what may be called."""
        self._allow_private = allow_private

    async def send(self, delivery: Delivery) -> int:
        """Return the status, 200 to 299, with which a program took a delivery.

        Raises:
            SendRefusedError: It cannot be sent there, or the program refused it.
            NotSentError: It did not arrive; another attempt may.
        """
        if not self._allow_private and names_private(delivery.url):
            raise SendRefusedError(
                "The address is one of this box or its neighbours.",
                hint="If calling there is meant, set REMOTE_ALLOW_PRIVATE=true.",
            )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await self._post(delivery)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = str(error) or "it took too long"
            raise NotSentError(f"{delivery.url} could not be told: {why}.") from error
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return status
        told = f"{delivery.url} answered {status}."
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER:
            raise NotSentError(told)
        raise SendRefusedError(told)

    async def _post(self, delivery: Delivery) -> int:
        body = json.dumps(delivery.body).encode()
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "mcp-host",
            DELIVERY_HEADER: delivery.id,
            STAMP_HEADER: stamp,
            SIGNATURE_HEADER: signature(delivery.secret, stamp, body),
        }
        resolver = aiohttp.ThreadedResolver() if self._allow_private else PublicResolver()  # fmt: skip
        connector = aiohttp.TCPConnector(resolver=resolver, limit=1)
        # No proxy of the environment: it would resolve the name once more.
        async with (
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(delivery.url, data=body, headers=headers, allow_redirects=False) as response,
        ):  # fmt: skip
            return response.status
