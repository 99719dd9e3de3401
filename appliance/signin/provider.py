"""The provider: what it publishes, and what it gives for a code."""

import time
from base64 import b64encode
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote_plus

from appliance.core.clock import now
from appliance.signin import id_tokens
from appliance.signin.asking import Asking
from appliance.signin.errors import (
    SignInFailedError,
    TokenError,
    UnknownKeyIdError,
)
from appliance.signin.metadata import (
    Key,
    checked_metadata,
    keys_of,
    metadata_url,
)
from appliance.signin.model import (
    Attempt,
    Claims,
    Client,
    Expected,
    Metadata,
    Tokens,
)

#: Seconds for which what a provider publishes is taken as it was read.
FRESH_S: Final = 3600.0
_MAX_TOLD = 200


class Provider:
    """Asks a provider, and checks what it says.

    Args:
        client: What this box is there.
        asking: How it is asked.
    """

    def __init__(self, client: Client, asking: Asking) -> None:
        """Ask nothing yet."""
        self.client = client
        self._asking = asking
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, tuple[Key, ...]] | None = None

    async def metadata(self) -> Metadata:
        """Return what the provider says of itself.

        Raises:
            ProviderAwayError: It does not answer, or is another.
        """
        if self._metadata is None or _is_old(self._metadata[0]):
            issuer = self.client.issuer
            found = await self._asking.get(metadata_url(issuer))
            self._metadata = time.monotonic(), checked_metadata(found, issuer)
        return self._metadata[1]

    async def redeem(self, code: str, attempt: Attempt) -> Tokens:
        """Return what the provider gives for a code.

        Raises:
            SignInFailedError: It takes the code not, or not from us.
            ProviderAwayError: It does not answer.
        """
        metadata = await self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        headers: dict[str, str] = {}
        if not self.client.secret:
            form["client_id"] = self.client.client_id
        elif _posts_secret(metadata):
            form |= {
                "client_id": self.client.client_id,
                "client_secret": self.client.secret,
            }
        else:
            headers["Authorization"] = f"Basic {_basic(self.client)}"
        status, found = await self._asking.post(metadata.token_endpoint, form, headers)
        if status != HTTPStatus.OK or not isinstance(found, Mapping):
            raise SignInFailedError(f"The provider did not take the code: {_told(found)}.")  # fmt: skip
        id_token, access_token = found.get("id_token"), found.get("access_token")
        if not isinstance(id_token, str):
            raise SignInFailedError("The provider gave no ID token.")
        return Tokens(id_token, access_token if isinstance(access_token, str) else "")

    async def claims(self, tokens: Tokens, nonce: str) -> Claims:
        """Return what an ID token says that is good; keys that are not known are read again, once.

        Raises:
            TokenError: It is not to be believed.
            ProviderAwayError: The keys cannot be had.
        """
        expected = Expected(self.client.issuer, self.client.client_id, nonce, now())
        try:
            claims = id_tokens.read(tokens.id_token, await self._known(), expected)
        except UnknownKeyIdError:
            self._keys = None
            claims = id_tokens.read(tokens.id_token, await self._known(), expected)
        id_tokens.check_access_token(tokens.id_token, claims, tokens.access_token)
        return claims

    async def told(self, access_token: str) -> Claims:
        """Return what the userinfo endpoint says; nothing, where there is none.

        Raises:
            TokenError: It says nothing that can be read.
            ProviderAwayError: It does not answer.
        """
        endpoint = (await self.metadata()).userinfo_endpoint
        if not endpoint or not access_token:
            return {}
        found = await self._asking.get(endpoint, bearer=access_token)
        if not isinstance(found, Mapping):
            raise TokenError("the userinfo endpoint says nothing of them")
        return found

    async def _known(self) -> tuple[Key, ...]:
        if self._keys is None or _is_old(self._keys[0]):
            found = await self._asking.get((await self.metadata()).jwks_uri)
            self._keys = time.monotonic(), keys_of(found)
        return self._keys[1]


def _is_old(read_at: float) -> bool:
    return time.monotonic() - read_at > FRESH_S


def _posts_secret(metadata: Metadata) -> bool:
    # Who says nothing takes Basic (OpenID Connect Discovery).
    methods = metadata.auth_methods or ("client_secret_basic",)
    return "client_secret_basic" not in methods and "client_secret_post" in methods


def _basic(client: Client) -> str:
    # Both are encoded like a form's, as RFC 6749 has it.
    shown = f"{quote_plus(client.client_id)}:{quote_plus(client.secret)}"
    return b64encode(shown.encode()).decode()


def _told(found: Any) -> str:
    error = found.get("error") if isinstance(found, Mapping) else None
    return printable(error) or "it says no more"


def printable(text: object) -> str:
    """Return what may be shown of a provider's words."""
    if not isinstance(text, str):
        return ""
    return "".join(filter(str.isprintable, text))[:_MAX_TOLD]
