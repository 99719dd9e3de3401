"""Vault: values in its KV engine (version 2), by token or AppRole; the token is renewed while it may be."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
import structlog
from pydantic import SecretStr

from appliance.core.errors import DomainError
from appliance.secrets.errors import VaultAwayError, VaultValueMissingError
from appliance.secrets.model import VaultPlace
from appliance.settings import Settings

log = structlog.get_logger("secrets.vault")

TIMEOUT_S = 10.0
#: Seconds between looks at whether the token is to be renewed.
LOOK_EVERY_S = 20.0
#: Of a token's life; renewed when so much of it is left.
_RENEW_AT = 1 / 2
#: Vault's own answers for "sealed", "standby" and the like.
_NOT_NOW = {
    HTTPStatus.TOO_MANY_REQUESTS: "it is overloaded, or in standby",
    472: "it is a replica that takes no such requests",
    473: "it is in standby",
    HTTPStatus.NOT_IMPLEMENTED: "it is not initialised",
    HTTPStatus.SERVICE_UNAVAILABLE: "it is sealed",
}


@dataclass(frozen=True)
class VaultAccess:
    """Where Vault is and how we get in."""

    address: str
    token: SecretStr | None = None
    role_id: str | None = None
    secret_id: SecretStr | None = None
    #: Of the KV engine, and of the AppRole method.
    mount: str = "secret"
    role_mount: str = "approle"
    #: Before every path of ours.
    prefix: str = "mcp-host"
    namespace: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> "VaultAccess | None":
        """Return what the settings say; ``None``: secrets are kept here."""
        if not settings.vault_addr:
            return None
        return cls(
            address=settings.vault_addr.rstrip("/"),
            token=settings.vault_token,
            role_id=settings.vault_role_id,
            secret_id=settings.vault_secret_id,
            mount=settings.vault_mount.strip("/"),
            role_mount=settings.vault_approle_mount.strip("/"),
            prefix=settings.vault_prefix.strip("/"),
            namespace=settings.vault_namespace,
        )


@dataclass
class _Token:
    value: SecretStr
    #: ``time.monotonic()`` of its end; ``None``: it has none, or that is not known yet.
    ends_at: float | None = None
    life_s: float = 0.0
    is_renewable: bool = False


class Vault:
    """Reads and writes values.

    Args:
        session: Shared by the process.
    """

    def __init__(self, access: VaultAccess, session: aiohttp.ClientSession) -> None:
        """Keep the parts; nobody is asked yet."""
        self._access = access
        self._session = session
        self._entering = asyncio.Lock()
        self._token = _Token(access.token) if access.token else None
        self._is_known = False

    @property
    def address(self) -> str:
        """Where it is."""
        return self._access.address

    def new_path(self, server_name: str, name: str) -> str:
        """Return where a secret is put that is new; no server gets where another one's was, be they of one name."""
        mark = secrets.token_hex(4)
        return f"{self._access.prefix}/{server_name}/{name}-{mark}"

    async def write(self, path: str, value: str) -> VaultPlace:
        """Put a value there, as a new version, and return where it is.

        Raises:
            VaultAwayError: It does not answer, or does not let us.
        """
        body = {"data": {"value": value}}
        found = await self._call("POST", f"{self._access.mount}/data/{path}", body)
        return VaultPlace(path, int(found["data"]["version"]))

    async def read(self, place: VaultPlace) -> str:
        """Return a value.

        Raises:
            VaultAwayError: It does not answer, or does not let us.
            VaultValueMissingError: It is not there.
        """
        path = f"{self._access.mount}/data/{place.path}?version={place.version}"
        found = await self._call("GET", path)
        value = (found["data"].get("data") or {}).get("value")
        if not isinstance(value, str):
            raise _missing(place.path)
        return value

    async def remove(self, path: str) -> None:
        """Remove a secret with all its versions. Unknown: nothing to do.

        Raises:
            VaultAwayError: It does not answer, or does not let us.
        """
        try:
            await self._call("DELETE", f"{self._access.mount}/metadata/{path}")
        except VaultValueMissingError:
            return

    async def check(self) -> str:
        """Return in words how it is.

        Raises:
            VaultAwayError: It does not answer, or does not let us.
        """
        token = await self._look_up()
        if token.ends_at is None:
            return f"Vault answers at {self.address}."
        left = max(0.0, token.ends_at - time.monotonic())
        how = "renewed" if self._can_stay(token) else "not renewable"
        if left == 0:
            raise self._away("our token has ended")
        return f"Vault answers at {self.address}; our token lives {left:.0f} s more, {how}."

    async def keep_renewed(self) -> None:
        """Renew the token before its end, for ever; what fails is tried again."""
        while True:
            try:
                await self._renew_if_due()
            except DomainError as error:
                log.warning("vault_not_renewed", reason=error.reason)
            await asyncio.sleep(LOOK_EVERY_S)

    # -- the token

    def _can_stay(self, token: _Token) -> bool:
        return token.is_renewable or self._access.role_id is not None

    async def _renew_if_due(self) -> None:
        token = await self._look_up()
        if token.ends_at is None:
            return
        if token.ends_at - time.monotonic() > max(
            token.life_s * _RENEW_AT, LOOK_EVERY_S
        ):
            return
        if token.is_renewable:
            try:
                found = await self._send("POST", "auth/token/renew-self", {}, token)
                self._take(found["auth"], token.value)
                log.info("vault_token_renewed")
            except VaultAwayError:
                if self._access.role_id is None:
                    raise
            else:
                return
        if self._access.role_id is not None:
            async with self._entering:
                await self._log_in()

    async def _look_up(self) -> _Token:
        """Return the token, with its end if it has one."""
        token = await self._entered()
        if self._is_known:
            return token
        found = await self._call("GET", "auth/token/lookup-self")
        data, token = found["data"], await self._entered()
        if data.get("ttl"):
            token.life_s = float(data["ttl"])
            token.ends_at = time.monotonic() + token.life_s
            token.is_renewable = bool(data.get("renewable"))
        self._is_known = True
        return token

    async def _entered(self) -> _Token:
        async with self._entering:
            return self._token or await self._log_in()

    async def _log_in(self) -> _Token:
        """Get a token by AppRole; whoever calls this holds the lock."""
        access = self._access
        if access.role_id is None or access.secret_id is None:
            raise self._away("there is neither a token nor a role to log in with")
        body = {
            "role_id": access.role_id,
            "secret_id": access.secret_id.get_secret_value(),
        }
        path = f"auth/{access.role_mount}/login"
        found = await self._send("POST", path, body, None)
        return self._take(found["auth"], None)

    def _take(self, auth: Mapping[str, Any], before: SecretStr | None) -> _Token:
        life_s = float(auth.get("lease_duration") or 0)
        given = auth.get("client_token")
        value = SecretStr(given) if given else before
        if value is None:
            raise self._away("it let us in without a token")
        ends_at = time.monotonic() + life_s if life_s else None
        self._token = _Token(value, ends_at, life_s, bool(auth.get("renewable")))
        self._is_known = True
        return self._token

    # -- one exchange

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        token = await self._entered()
        try:
            return await self._send(method, path, body, token)
        except _RefusedError:
            if self._access.role_id is None:
                raise
        # The token ended early, or Vault forgot it: a role gets another.
        async with self._entering:
            is_newer = self._token is not None and self._token is not token
            entered = self._token if is_newer else await self._log_in()
        return await self._send(method, path, body, entered)

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        token: _Token | None,
    ) -> dict[str, Any]:
        headers = {"X-Vault-Request": "true"}
        if token is not None:
            headers["X-Vault-Token"] = token.value.get_secret_value()
        if self._access.namespace:
            headers["X-Vault-Namespace"] = self._access.namespace
        url = f"{self.address}/v1/{path}"
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._session.request(
                method,
                url,
                json=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return await self._answer(path, response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            why = str(error) or "no answer in time"
            raise self._away(why) from error

    async def _answer(
        self, path: str, response: aiohttp.ClientResponse
    ) -> dict[str, Any]:
        status = response.status
        if status == HTTPStatus.NOT_FOUND:
            raise _missing(path.partition("?")[0])
        if status in {HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED}:
            raise _RefusedError(
                f"Vault at {self.address} refuses our token, or does not let it use {path.partition('?')[0]}.",
                hint="Give VAULT_TOKEN, or the role, a policy for that path.",
            )
        if status in _NOT_NOW:
            raise self._away(_NOT_NOW[status])
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise self._away(f"it answered {status}")
        if status == HTTPStatus.NO_CONTENT:
            return {}
        found: dict[str, Any] = await response.json()
        return found

    def _away(self, why: str) -> VaultAwayError:
        return VaultAwayError(f"Vault at {self.address} is away: {why.rstrip('.')}.")


class _RefusedError(VaultAwayError):
    """Vault answers, and does not let us in."""


def _missing(path: str) -> VaultValueMissingError:
    return VaultValueMissingError(
        f"Vault has no value at {path}.",
        hint="Set the secret anew, or restore it in Vault.",
    )
