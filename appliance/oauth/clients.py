"""Clients: found by their id, described by their documents, registered by themselves, recognised by what they show."""

import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any

from appliance.accounts import attempt_store
from appliance.accounts.model import SYSTEM
from appliance.core.clock import now
from appliance.core.ids import key_hash, new_key
from appliance.infra.database import Database
from appliance.oauth import client_store, documents, registration
from appliance.oauth.credentials import Credentials, check_secret, checked_assertion
from appliance.oauth.errors import (
    ClientDocumentError,
    OAuthError,
    TooManyRegistrationsError,
    bad_client,
)
from appliance.oauth.fetching import Fetcher
from appliance.oauth.model import AuthMethod, Client, ClientKind
from appliance.observability import audit

SECRET_PREFIX = "mcpo_"  # noqa: S105 - what a scanner recognises
#: Registrations from one address, and all that nobody was granted anything for.
PER_ADDRESS, WINDOW = 60, timedelta(hours=1)
MAX_DYNAMIC = 2000
MAX_CLIENT_ID = 1024
_FORGOTTEN = (
    "There is no such client. What nobody uses is forgotten: register it again."
)
_CLOSED = "Clients do not register themselves here: use an id that is the address of a metadata document."


class Clients:
    """Knows clients.

    Args:
        fetcher: Fetches their documents.
        registers: Whether they may register themselves.
    """

    def __init__(
        self, database: Database, fetcher: Fetcher, *, registers: bool
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._fetcher = fetcher
        self.registers = registers

    async def find(self, client_id: str, *, fetch: bool = False) -> Client:
        """Return a client.

        Args:
            client_id: As the request names it.
            fetch: Whether its document may be fetched, if its id is an address: only for somebody who is signed in.

        Raises:
            OAuthError: There is none, or its document will not do.
        """
        if not 0 < len(client_id) <= MAX_CLIENT_ID:
            raise bad_client("client_id is missing or too long.")
        known = await self._database.run(client_store.find, client_id)
        if not documents.is_document_url(client_id):
            if known is None:
                raise bad_client(_FORGOTTEN)
            return known
        is_fresh = known and known.fresh_until and known.fresh_until > now()
        if known is not None and (is_fresh or not fetch):
            return known
        if not fetch:
            raise bad_client("Nobody has granted this client anything.")
        return await self._fetched(client_id)

    async def _fetched(self, client_id: str) -> Client:
        fetched = await self._fetcher.fetch(client_id)
        fresh_until = now() + documents.lasts(fetched.cache_control)
        client = documents.client_of(
            client_id, fetched.content, fresh_until=fresh_until
        )
        if uri := documents.jwks_uri_of(fetched.content):
            keys = await self._fetcher.fetch(uri)
            client = replace(client, jwks=documents.checked_jwks(keys.content))
        if client.auth_method is AuthMethod.PRIVATE_KEY and client.jwks is None:
            raise ClientDocumentError("The client's document lacks its keys.")
        await self._database.run(client_store.keep, client)
        return client

    async def recognise(self, shown: Credentials, audiences: tuple[str, ...]) -> Client:
        """Return the client that a request comes from.

        Args:
            shown: What the request shows.
            audiences: For whom an assertion may be signed.

        Raises:
            OAuthError: It is not known, or not itself.
        """
        client = await self.find(shown.client_id)
        check_secret(client, shown, now())
        assertion = (
            checked_assertion(client, shown.assertion, audiences, now())
            if client.auth_method is AuthMethod.PRIVATE_KEY
            else None
        )

        def note() -> None:
            if assertion and not client_store.add_assertion(
                assertion.jti_hash, assertion.expires_at
            ):
                raise bad_client("The client's assertion was used before.")
            client_store.note_use(client.client_id)

        await self._database.run(note)
        return client

    async def register(self, wanted: Any, *, address: str) -> tuple[Client, str]:
        """Return the client that registers itself, and its secret, which is shown this once; empty: it has none.

        Raises:
            OAuthError: It wants what is not to be had, or nobody may register.
            TooManyRegistrationsError: Too many did.
        """
        if not self.registers:
            raise OAuthError("access_denied", _CLOSED)
        client = registration.client_of(secrets.token_urlsafe(18), wanted)
        secret = ""
        if client.auth_method is not AuthMethod.NONE:
            secret = new_key(SECRET_PREFIX)
            client = replace(client, secret_hash=key_hash(secret))
        return await self._database.run(_register, client, address), secret


def _register(client: Client, address: str) -> Client:
    subject = f"oauth-register:{address}"
    attempt_store.lock((subject,))
    recent = attempt_store.failures(subject, now() - WINDOW)
    if len(recent) >= PER_ADDRESS:
        wait = recent[-PER_ADDRESS] + WINDOW - now()
        raise TooManyRegistrationsError(
            "Too many clients registered themselves from this address.",
            retry_after_s=max(1, int(wait.total_seconds())),
        )
    if client_store.count_dynamic() >= MAX_DYNAMIC:
        raise TooManyRegistrationsError(
            "Too many clients registered themselves; those that nobody uses go within a day.",
            retry_after_s=3600,
        )
    # Counted like a try to sign in, with which it shares the table and its upkeep.
    attempt_store.add((subject,), succeeded=False)
    added = client_store.add(client)
    audit.record(
        SYSTEM,
        "oauth.register_client",
        object_type="oauth_client",
        object_name=client.name,
        details={
            "client_id": client.client_id,
            "kind": ClientKind.DYNAMIC.value,
            "redirect_uris": list(client.redirect_uris),
        },
    )
    return added
