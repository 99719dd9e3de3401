"""What this box asks of servers that others run: of others only, little, in time, without detours."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from appliance.sources.reach import names_private
from appliance.sources.resolving import PublicResolver
from appliance.upstreams.errors import UpstreamAwayError
from appliance.upstreams.metadata import is_safe

MAX_BYTES = 256 * 1024
TIMEOUT_S = 10.0
#: Whoever may call a server may make the hub ask somewhere; so many at once.
AT_ONCE = 16
_REVISION = "2025-11-25"
_CLIENT = {"name": "mcp-host", "version": "1"}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    #: As JSON; ``None``: it was none.
    content: Any
    challenge: str = ""


class Asker:
    """Asks.

    Args:
        allow_private: Whether what is asked may be on this box or beside it, and do without TLS.
        ca_file: Certificates to trust; a file that is not there: those of the system.
    """

    def __init__(self, *, allow_private: bool, ca_file: Path) -> None:
        """Open nothing yet."""
        self._allow_private = allow_private
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def document(self, url: str) -> Any:
        """Return the JSON at ``url``; ``None``: there is none.

        Raises:
            UpstreamAwayError: Nothing answers, or it may not be asked.
        """
        answer = await self._ask("GET", url, headers={"Accept": "application/json"})
        return answer.content if answer.status == HTTPStatus.OK else None

    async def send(self, url: str, content: Mapping[str, Any]) -> Answer:
        """Send JSON.

        Raises:
            UpstreamAwayError: Nothing answers, or it may not be asked.
        """
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        return await self._ask(
            "POST", url, headers=headers, data=json.dumps(content).encode()
        )

    async def submit(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> Answer:
        """Send a form.

        Raises:
            UpstreamAwayError: Nothing answers, or it may not be asked.
        """
        return await self._ask("POST", url, headers=headers, data=dict(form))

    async def challenge(self, endpoint: str) -> str | None:
        """Return what an MCP server says in ``WWW-Authenticate`` to whoever shows nothing; ``None``: it lets everybody in.

        Raises:
            UpstreamAwayError: Nothing answers, or it may not be asked.
        """
        params = {
            "protocolVersion": _REVISION,
            "capabilities": {},
            "clientInfo": _CLIENT,
        }
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        headers = {
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
        }
        answer = await self._ask(
            "POST",
            endpoint,
            headers=headers,
            data=json.dumps(hello).encode(),
            reads=False,
        )
        is_asked = answer.status == HTTPStatus.UNAUTHORIZED
        return answer.challenge if is_asked else None

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        data: bytes | dict[str, str] | None = None,
        reads: bool = True,
    ) -> Answer:
        self._check(url)
        try:
            async with (
                self._turn,
                asyncio.timeout(TIMEOUT_S),
                self._session() as session,
                session.request(
                    method, url, headers=headers, data=data, allow_redirects=False
                ) as response,
            ):
                content = _parsed(await _bounded(response)) if reads else None
                said = ", ".join(response.headers.getall("WWW-Authenticate", ()))
                return Answer(response.status, content, said)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            why = str(error) or "it took too long"
            raise UpstreamAwayError(f"{url} could not be asked: {why}.") from error

    def _check(self, url: str) -> None:
        if not is_safe(url, may_be_plain=self._allow_private):
            raise UpstreamAwayError(
                f"{url[:200]} is no https address, so nothing secret may go there."
            )
        if names_private(url) and not self._allow_private:
            raise UpstreamAwayError(
                f"{url[:200]} is on this box or beside it; REMOTE_ALLOW_PRIVATE=true would allow it."
            )

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        if self._tls is None:
            self._tls = await asyncio.to_thread(self._load)
        resolver = (
            aiohttp.ThreadedResolver() if self._allow_private else PublicResolver()
        )
        connector = aiohttp.TCPConnector(resolver=resolver, limit=1, ssl=self._tls)
        # No proxy of the environment: it would resolve the name once more.
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            yield session

    def _load(self) -> ssl.SSLContext:
        has_file = self._ca_file.is_file()
        return ssl.create_default_context(cafile=self._ca_file if has_file else None)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) > MAX_BYTES:
            raise OSError("it answers with more than 256 KiB")
    return bytes(found)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
