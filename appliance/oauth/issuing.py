"""The token endpoint: a code, a refresh token, or a machine client's own word become access tokens."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.accounts.model import SYSTEM, Principal
from appliance.core.clock import now
from appliance.core.ids import key_hash
from appliance.core.oauth import resource_of
from appliance.infra.database import Database
from appliance.oauth import grant_store, pkce, resources, scopes
from appliance.oauth.authorizing import Place
from appliance.oauth.errors import OAuthError, bad_grant, bad_request, bad_target
from appliance.oauth.keys import TokenKeys
from appliance.oauth.model import Claims, Client, ClientKind, Grant, Tokens
from appliance.oauth.tokens import claims_of, sign
from appliance.observability import audit

REFRESH_PREFIX = "mcpr_"
AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a grant type
CLIENT_CREDENTIALS = "client_credentials"


@dataclass(frozen=True)
class Lifetimes:
    """How long tokens are good."""

    access: timedelta
    refresh: timedelta


@dataclass(frozen=True)
class _Issued:
    """What a transaction came to; a refusal that revokes something must not take that back."""

    tokens: Tokens | None = None
    refusal: OAuthError | None = None


class Issuing:
    """Issues tokens."""

    def __init__(
        self, database: Database, keys: TokenKeys, lifetimes: Lifetimes
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._keys = keys
        self._lifetimes = lifetimes

    async def issue(
        self, client: Client, asked: Mapping[str, str], place: Place
    ) -> Tokens:
        """Return the tokens that a client asks for.

        Args:
            client: Who asks, recognised.
            asked: The request's parameters.
            place: Where it came to.

        Raises:
            OAuthError: It gets none.
        """
        kind = asked.get("grant_type", "")
        ways = {
            AUTHORIZATION_CODE: self._redeem,
            REFRESH_TOKEN: self._refresh,
            CLIENT_CREDENTIALS: self._machine,
        }
        if not kind:
            raise bad_request("grant_type is missing.")
        if kind not in ways:
            raise OAuthError("unsupported_grant_type", f"grant_type must be one of {', '.join(ways)}.")  # fmt: skip
        if kind not in _allowed(client):
            raise OAuthError("unauthorized_client", f"This client may not use {kind}.")
        issued = await self._database.run(ways[kind], client, asked, place)
        if issued.refusal is not None:
            raise issued.refusal
        if issued.tokens is None:
            raise AssertionError("unreachable: neither tokens nor a refusal")
        return issued.tokens

    # -- the three ways; each is one transaction

    def _redeem(
        self, client: Client, asked: Mapping[str, str], place: Place
    ) -> _Issued:
        hashed = key_hash(_required(asked, "code"))
        code = grant_store.code(hashed)
        grant = grant_store.grant(code.grant_id) if code else None
        if code is None or grant is None or grant.client_id != client.client_id:
            return _refused("The code is not known, or another client's.")
        if code.used_at is not None:
            # Somebody has it who should not: what came of it ends (RFC 6749, 4.1.2).
            _end(grant, client, "the code came twice")
            return _refused("The code was used before; what it granted was revoked.")
        grant_store.use_code(hashed)
        try:
            if code.expires_at < now():
                raise bad_grant("The code has run out.")
            if asked.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
                raise bad_grant("redirect_uri is another than the code was sent to.")
            pkce.verify(asked.get("code_verifier", ""), code.challenge)
            principal = _usable(grant, asked, place)
        except OAuthError as error:
            # The code is spent all the same: nobody gets to guess at it.
            return _Issued(refusal=error)
        return self._tokens(client, grant, principal, grant.scope)

    def _refresh(
        self, client: Client, asked: Mapping[str, str], place: Place
    ) -> _Issued:
        hashed = key_hash(_required(asked, REFRESH_TOKEN))
        token = grant_store.refresh_token(hashed)
        grant = grant_store.grant(token.grant_id) if token else None
        if token is None or grant is None or grant.client_id != client.client_id:
            return _refused("The refresh token is not known, or another client's.")
        if token.used_at is not None:
            # Client or thief: one of the two has a token that was replaced, and nobody knows which (RFC 9700, 4.14).
            _end(grant, client, "a refresh token came twice")
            return _refused(
                "The refresh token was replaced; what it granted was revoked."
            )
        try:
            if token.expires_at < now():
                raise bad_grant("The refresh token has run out.")
            principal = _usable(grant, asked, place)
            scope = scopes.narrowed(grant.scope, asked.get("scope", ""))
        except OAuthError as error:
            return _Issued(refusal=error)
        grant_store.use_refresh_token(hashed)
        return self._tokens(client, grant, principal, scope)

    def _machine(
        self, client: Client, asked: Mapping[str, str], place: Place
    ) -> _Issued:
        url = asked.get("resource", "")
        resource = resources.checked(url, place.origins)
        scope = scopes.asked(asked.get("scope", ""), client.scope)
        principal = grant_store.person(client.user_id or 0)
        if principal is None or principal.user_id is None:
            return _refused("Whoever made this client has no account any more.")
        resources.require_callable(principal, resource, place.base)
        known = grant_store.machine_grant(
            client.client_id, issuer=place.issuer, resource=url, scope=scope
        )
        grant = known or grant_store.add_grant(
            principal.user_id,
            client.client_id,
            issuer=place.issuer,
            resource=url,
            scope=scope,
            is_machine=True,
        )
        return self._tokens(client, grant, principal, scope)

    def _tokens(
        self,
        client: Client,
        grant: Grant,
        principal: Principal,
        scope: tuple[str, ...],
    ) -> _Issued:
        moment = now()
        claims = _claims(client, grant, principal, scope)
        payload = claims_of(
            claims,
            token_id=secrets.token_urlsafe(16),
            at=moment,
            lasts=self._lifetimes.access,
        )
        access_token = sign(self._keys.signer_in_transaction(), payload)
        grant_store.note_token(grant.id, moment + self._lifetimes.access)
        tokens = Tokens(
            access_token,
            int(self._lifetimes.access.total_seconds()),
            scope,
            self._refresh_token(client, grant, moment),
        )
        return _Issued(tokens)

    def _refresh_token(self, client: Client, grant: Grant, moment: datetime) -> str:
        if grant.is_machine or REFRESH_TOKEN not in client.grant_types:
            return ""
        token = REFRESH_PREFIX + secrets.token_urlsafe(32)
        grant_store.add_refresh_token(
            key_hash(token), grant.id, expires_at=moment + self._lifetimes.refresh
        )
        return token


def _allowed(client: Client) -> tuple[str, ...]:
    if client.kind is ClientKind.MACHINE:
        return (CLIENT_CREDENTIALS,)
    return client.grant_types


def _required(asked: Mapping[str, str], name: str) -> str:
    if not asked.get(name):
        raise bad_request(f"{name} is missing.")
    return asked[name]


def _usable(grant: Grant, asked: Mapping[str, str], place: Place) -> Principal:
    """Return as whom a token of this grant acts.

    Raises:
        OAuthError: It holds no more, is for another resource, or its person may not call it any more.
    """
    if grant.revoked_at is not None:
        raise bad_grant("What was granted was revoked.")
    # A client that learned of this issuer under another name would be told of one that it does not expect.
    if grant.issuer != place.issuer:
        raise bad_grant("It was granted by another issuer.")
    named = asked.get("resource", grant.resource)
    resource = resource_of(grant.resource)
    if resource is None or resource_of(named) != resource:
        raise bad_target("It was granted for another resource.")
    principal = grant_store.person(grant.user_id)
    if principal is None:
        raise bad_grant("Whoever granted it has no account any more.")
    resources.require_callable(principal, resource, place.base)
    return principal


def _claims(
    client: Client, grant: Grant, principal: Principal, scope: tuple[str, ...]
) -> Claims:
    person = f"user:{principal.user_id}"
    return Claims(
        issuer=grant.issuer,
        subject=f"client:{client.client_id}" if grant.is_machine else person,
        audience=grant.resource,
        client_id=client.client_id,
        scope=scope,
        grant_id=grant.id,
        acts_for=person if grant.is_machine else "",
    )


def _refused(detail: str) -> _Issued:
    return _Issued(refusal=bad_grant(detail))


def _end(grant: Grant, client: Client, why: str) -> None:
    if grant_store.revoke(grant.id, why):
        audit.record(
            SYSTEM,
            "oauth.revoke",
            object_type="oauth_grant",
            object_id=grant.id,
            object_name=client.name,
            details={"client_id": client.client_id, "why": why},
        )
