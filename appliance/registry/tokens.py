"""Proves to one registry who we are, as it wants it proved, and keeps its tokens as long as they live."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from yarl import URL

from appliance.core.clock import now
from appliance.registry import answers
from appliance.registry.auth import (
    Challenge,
    Credentials,
    Token,
    joined,
    parse_challenges,
    read_token,
    token_query,
)
from appliance.registry.errors import ErrorKind, RegistryError

CredentialSource = Callable[[], Awaitable[Credentials | None]]
MAX_TOKEN_BYTES = 256 * 1024
CLIENT_ID = "mcp-host"


@dataclass(frozen=True)
class _Kept:
    token: Token
    fetched_at: float


class Doorman:
    """Who we are at one registry.

    Args:
        session: Carries the requests to token servers.
        origin: The registry's address.
        credentials: Asked each time something must be proved.
        timeout_s: Seconds of silence that end a request.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        origin: URL,
        *,
        credentials: CredentialSource | None,
        timeout_s: float,
    ) -> None:
        """Keep the parts; nothing is known of the registry yet."""
        self._session = session
        self._origin = origin
        self._source = credentials
        self._timeout_s = timeout_s
        self._challenge: Challenge | None = None
        self._kept: dict[tuple[str, ...], _Kept] = {}
        self._lock = asyncio.Lock()
        #: Whether the last proof was made with credentials.
        self.has_credentials = False

    def forget(self) -> None:
        """Fetch every token anew: the credentials have changed."""
        self._kept.clear()

    async def has_token(self, scopes: tuple[str, ...]) -> bool:
        """Tell whether there is a token to be had; never raises because there is none."""
        if self._challenge is None or self._challenge.scheme != "bearer":
            return False
        with contextlib.suppress(RegistryError):
            await self._token(self._challenge, scopes, "Fetching a token")
            return True
        return False

    async def headers(self, scopes: tuple[str, ...], doing: str) -> dict[str, str]:
        """Return the headers that prove it; none while the registry has not asked.

        Raises:
            RegistryError: The token server gave none.
        """
        if self._challenge is None:
            return {}
        if self._challenge.scheme == "basic":
            found = await self._credentials()
            return {"Authorization": found.basic()} if found is not None else {}
        token = await self._token(self._challenge, scopes, doing)
        return {"Authorization": f"Bearer {token.value.get_secret_value()}"}

    async def learn(
        self,
        response: aiohttp.ClientResponse,
        scopes: tuple[str, ...],
        doing: str,
        *,
        shown: str | None,
    ) -> bool:
        """Take a 401's challenge, and tell whether the same request may now be answered.

        Args:
            shown: What the request proved itself by; ``None``: nothing.

        Raises:
            RegistryError: It names a way that we do not know, or one that would betray the credentials.
        """
        challenge = parse_challenges(response.headers.getall("WWW-Authenticate", ()))
        if challenge is None:
            return False
        if challenge.scheme == "bearer":
            self._check_realm(challenge, doing)
            self._kept.pop(_key(scopes or challenge.scopes), None)
            self._challenge = challenge
            return True
        self._challenge = challenge
        # Another request may have been told of the challenge first; what counts is what this one has shown.
        found = await self._credentials()
        return found is not None and found.basic() != shown

    async def _credentials(self) -> Credentials | None:
        found = await self._source() if self._source is not None else None
        self.has_credentials = found is not None
        return found

    def _check_realm(self, challenge: Challenge, doing: str) -> None:
        realm = URL(challenge.realm)
        if realm.scheme == "https" or (
            realm.scheme == "http" and self._origin.scheme == "http"
        ):
            return
        raise RegistryError(
            ErrorKind.INVALID,
            f"{doing}: the registry wants the credentials sent to {realm.host} without TLS.",
        )

    async def _token(
        self, challenge: Challenge, scopes: tuple[str, ...], doing: str
    ) -> Token:
        key = _key(scopes or challenge.scopes)
        async with self._lock:
            kept = self._kept.get(key)
            if (
                kept is not None
                and time.monotonic() - kept.fetched_at < kept.token.renew_after_s()
            ):
                return kept.token
            asked_at = time.monotonic()
            token = await self._fetch(challenge, key, doing)
            self._kept[key] = _Kept(token, asked_at)
            return token

    async def _fetch(
        self, challenge: Challenge, scopes: tuple[str, ...], doing: str
    ) -> Token:
        doing = f"{doing}, fetching a token"
        found = await self._credentials()
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        try:
            async with self._ask(challenge, scopes, found, timeout) as response:
                body = await response.content.read(MAX_TOKEN_BYTES)
                if response.status != HTTPStatus.OK:
                    raise answers.refusal(
                        doing,
                        response.status,
                        response.headers,
                        body,
                        has_credentials=self.has_credentials,
                        now=now(),
                    )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise answers.failure(doing, error, timeout_s=self._timeout_s) from error
        token = _read(body)
        if token is None:
            raise RegistryError(ErrorKind.INVALID, f"{doing}: there is none in it.")
        return token

    def _ask(
        self,
        challenge: Challenge,
        scopes: Iterable[str],
        found: Credentials | None,
        timeout: aiohttp.ClientTimeout,
    ) -> "aiohttp.client._RequestContextManager":
        query = token_query(challenge, scopes)
        url = URL(challenge.realm).extend_query(query)
        if found is not None and found.identity_token is not None:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": found.identity_token.get_secret_value(),
                "client_id": CLIENT_ID,
                "service": challenge.service,
                "scope": " ".join(joined(scopes)),
            }
            return self._session.post(
                challenge.realm, data=form, timeout=timeout, allow_redirects=False
            )
        headers = {"Authorization": found.basic()} if found is not None else {}
        return self._session.get(
            url, headers=headers, timeout=timeout, allow_redirects=False
        )


def _key(scopes: Iterable[str]) -> tuple[str, ...]:
    return tuple(joined(scopes))


def _read(body: bytes) -> Token | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return read_token(answer) if isinstance(answer, dict) else None
