"""What a provider is asked over HTTP: small, in time, without detours, and at no neighbour of this box that nobody named."""

import asyncio
import json
from collections.abc import Collection, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from appliance.signin.errors import ProviderAwayError
from appliance.sources.strangers import Strangers, bounded

MAX_BYTES: Final = 256 * 1024
TIMEOUT_S: Final = 10.0
_JSON: Final = {"Accept": "application/json"}


class Asking:
    """Asks one provider.

    Args:
        hosts: ``host`` or ``host:port`` that may lie on this box or beside it; the issuer's own is one.
        ca_file: Certificates to trust; a file that is not there: those of the system.
    """

    def __init__(self, hosts: Collection[str], ca_file: Path) -> None:
        """Open nothing yet."""
        self._strangers = Strangers(hosts, ca_file)

    async def get(self, url: str, *, bearer: str = "") -> Any:
        """Return the JSON at ``url``.

        Raises:
            ProviderAwayError: There is none, or it may not be asked for.
        """
        headers = _JSON | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
        status, found = await self._ask("GET", url, headers, None)
        if status != HTTPStatus.OK:
            raise ProviderAwayError(f"{_host(url)} answers {status}, and not 200.")
        return found

    async def post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, Any]:
        """Send a form; return status and the JSON of the answer.

        Raises:
            ProviderAwayError: There is no answer, or it may not be asked.
        """
        return await self._ask("POST", url, {**_JSON, **headers}, form)

    async def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
    ) -> tuple[int, Any]:
        host = _host(url)
        if not self._strangers.may_ask(url):
            raise ProviderAwayError(
                f"The provider's metadata leads to {host}, which is said to be this box or beside it.",
                hint="OIDC_PRIVATE_HOSTS names such hosts where that is meant.",
            )
        too_much = ProviderAwayError(f"{host} answers more than 256 KiB.")
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._strangers.ask(method, url, headers=headers, form=form) as response,
            ):  # fmt: skip
                if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise ProviderAwayError(f"{host} answers {response.status}.")
                body = await bounded(response, MAX_BYTES, too_much)
                return response.status, _parsed(body, url)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = str(error) or "it took too long"
            raise ProviderAwayError(f"{host} does not answer: {why}.") from error


def _parsed(body: bytes, url: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProviderAwayError(f"{_host(url)} does not answer with JSON.") from error


def _host(url: str) -> str:
    return urlsplit(url).netloc
