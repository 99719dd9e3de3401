"""Another authorization server in the place of our own: the clock fetches by what its tokens are checked, lest a call does."""

import json
from typing import Any, Final

import aiohttp
import structlog

from appliance.infra.database import Database
from appliance.oauth import issuer_store
from appliance.oauth.issuer_rules import (
    IssuerError,
    checked_metadata,
    metadata_urls,
    usable_keys,
)

log = structlog.get_logger("oauth.issuers")

#: Seconds between two looks: within these, a key that an issuer has withdrawn is good no more.
LOOK_EVERY_S: Final = 60.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_MAX_BYTES: Final = 256 * 1024
_OK: Final = 200


class OtherIssuer:
    """Keeps what an issuer publishes.

    Args:
        session: Asks it. It is the operator's own choice, and may be anywhere.
        issuer: As its metadata spells it.
    """

    def __init__(
        self, database: Database, session: aiohttp.ClientSession, issuer: str
    ) -> None:
        """Ask nothing yet."""
        self._database = database
        self._session = session
        self._issuer = issuer

    async def look(self) -> None:
        """Fetch metadata and keys, and keep them; a failure is written down, and what is known stays."""
        try:
            metadata = await self._metadata()
            keys = usable_keys(await self._get(metadata["jwks_uri"]))
        except IssuerError as error:
            log.warning("issuer_not_read", issuer=self._issuer, reason=error.reason)
            await self._database.run(
                issuer_store.note_failure, self._issuer, error.reason
            )
            return
        await self._database.run(issuer_store.keep, self._issuer, metadata, keys)

    async def state(self) -> issuer_store.IssuerState:
        """Return what is known of it."""
        return await self._database.run(issuer_store.state, self._issuer)

    async def _metadata(self) -> dict[str, Any]:
        """Return the first metadata that is found.

        Raises:
            IssuerError: There is none, or it is another's.
        """
        problem = ""
        for url in metadata_urls(self._issuer):
            try:
                return checked_metadata(await self._get(url), self._issuer)
            except IssuerError as error:
                problem = problem or f"{url}: {error.reason}"
        raise IssuerError(problem)

    async def _get(self, url: str) -> object:
        """Return the JSON at ``url``.

        Raises:
            IssuerError: There is none.
        """
        try:
            async with self._session.get(
                url, timeout=_TIMEOUT, headers={"Accept": "application/json"}
            ) as response:
                if response.status != _OK:
                    raise IssuerError(f"It answers {response.status}, and not 200.")
                return json.loads(await _bounded(response))
        except (aiohttp.ClientError, OSError) as error:
            why = str(error) or "it took too long"
            raise IssuerError(f"It does not answer: {why}.") from error
        except (ValueError, RecursionError) as error:
            raise IssuerError("It does not answer with JSON.") from error


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for piece in response.content.iter_any():
        found += piece
        if len(found) > _MAX_BYTES:
            raise IssuerError("The answer is larger than 256 KiB.")
    return bytes(found)
