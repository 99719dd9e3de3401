"""The way to a code: what a client asks for is proven step by step, then a person decides.

A request whose client or redirect is not proven is answered with a page (``OAuthError``); any other refusal goes back to
the client (``RefusedError``), as RFC 6749 4.1.2.1 has it.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from appliance.accounts.model import Principal
from appliance.core.clock import now
from appliance.core.ids import key_hash
from appliance.infra.database import Database
from appliance.oauth import grant_store, pkce, redirects, resources, scopes
from appliance.oauth.clients import Clients
from appliance.oauth.errors import OAuthError, bad_request
from appliance.oauth.model import AuthorizationRequest, Client, ClientKind
from appliance.observability import audit

#: A code is redeemed at once, by a program.
CODE_LASTS = timedelta(seconds=60)
MAX_STATE = 4096


class RefusedError(OAuthError):
    """A refusal that the client is told of, because where it is sent was proven."""

    def __init__(self, why: OAuthError, location: str) -> None:
        """Keep the refusal and where the browser is sent with it."""
        super().__init__(why.error, why.detail)
        self.location = location


@dataclass(frozen=True)
class Place:
    """Where the request came to."""

    issuer: str
    #: Where a resource may lie.
    origins: frozenset[str]
    #: BASE_DOMAIN, below which each server has a name; empty: there is none.
    base: str = ""


class Authorizing:
    """Takes requests for authorization, and people's answers to them."""

    def __init__(self, database: Database, clients: Clients) -> None:
        """Keep the parts."""
        self._database = database
        self._clients = clients

    async def begin(
        self, principal: Principal, asked: Mapping[str, str], place: Place
    ) -> AuthorizationRequest:
        """Return what a client asks for.

        Args:
            principal: Who is signed in.
            asked: The request's parameters.
            place: Where it came to.

        Raises:
            OAuthError: The client or its redirect is not proven.
            RefusedError: Something else is not right.
        """
        client = await self._clients.find(asked.get("client_id", ""), fetch=True)
        redirect_uri = _redirect(client, asked.get("redirect_uri", ""))
        state = asked.get("state", "")
        try:
            request = _checked(client, redirect_uri, asked, place)
            resource = resources.checked(request.resource, place.origins)
            await self._database.run(
                resources.require_callable, principal, resource, place.base
            )
        except OAuthError as error:
            raise RefusedError(
                error,
                _back(redirect_uri, place.issuer, state, _told(error)),
            ) from error
        return request

    async def is_remembered(
        self, principal: Principal, request: AuthorizationRequest
    ) -> bool:
        """Return whether the person need not be asked again.

        Only where the redirect leads to a host that the client alone holds: any program on the person's computer could
        take the place of one that listens there (RFC 8252, 8.6).
        """
        is_local = redirects.target_of(request.redirect_uri).is_local
        if is_local or principal.user_id is None:
            return False
        return await self._database.run(
            grant_store.is_remembered,
            principal.user_id,
            request.client.client_id,
            request.resource,
            request.scope,
        )

    async def allow(self, principal: Principal, request: AuthorizationRequest) -> str:
        """Grant what was asked for, and return where the browser is sent with the code."""
        user_id = principal.user_id
        if user_id is None or principal.via != "session":
            raise bad_request("Only a person who is signed in can allow this.")
        code = secrets.token_urlsafe(32)

        def write() -> None:
            grant = grant_store.add_grant(
                user_id,
                request.client.client_id,
                issuer=request.issuer,
                resource=request.resource,
                scope=request.scope,
            )
            grant_store.add_code(
                key_hash(code),
                grant.id,
                redirect_uri=request.redirect_uri,
                challenge=request.challenge,
                expires_at=now() + CODE_LASTS,
            )
            _audit(principal, "oauth.grant", request, grant_id=grant.id)

        await self._database.run(write)
        return _back(
            request.redirect_uri, request.issuer, request.state, {"code": code}
        )

    async def deny(self, principal: Principal, request: AuthorizationRequest) -> str:
        """Note that the person said no, and return where the browser is sent with that."""
        await self._database.run(_audit_denial, principal, request)
        answer = {"error": "access_denied", "error_description": "The person said no."}
        return _back(request.redirect_uri, request.issuer, request.state, answer)


def _redirect(client: Client, asked: str) -> str:
    if client.kind is ClientKind.MACHINE:
        raise OAuthError("unauthorized_client", "A machine client acts without people.")
    if not asked and len(client.redirect_uris) == 1:
        asked = client.redirect_uris[0]
    if not asked or not redirects.matches(client.redirect_uris, asked):
        raise bad_request(
            "redirect_uri is missing, or not among those that the client named."
        )
    return redirects.checked(asked)


def _checked(
    client: Client, redirect_uri: str, asked: Mapping[str, str], place: Place
) -> AuthorizationRequest:
    if asked.get("response_type", "") != "code":
        raise OAuthError("unsupported_response_type", "response_type must be code.")
    if asked.get("response_mode", "query") != "query":
        raise bad_request("response_mode must be query.")
    if "request" in asked:
        raise OAuthError("request_not_supported", "request is not supported.")
    if "request_uri" in asked:
        raise OAuthError("request_uri_not_supported", "request_uri is not supported.")
    if asked.get("prompt", "") == "none":
        raise OAuthError("interaction_required", "A person has to be asked.")
    state = asked.get("state", "")
    if len(state) > MAX_STATE:
        raise bad_request(f"state is longer than {MAX_STATE} characters.")
    challenge = pkce.checked_challenge(
        asked.get("code_challenge", ""), asked.get("code_challenge_method", "")
    )
    return AuthorizationRequest(
        client=client,
        redirect_uri=redirect_uri,
        challenge=challenge,
        resource=asked.get("resource", ""),
        scope=scopes.asked(asked.get("scope", ""), client.scope),
        state=state,
        issuer=place.issuer,
    )


def _told(error: OAuthError) -> dict[str, str]:
    # RFC 6749 has no quotes and no characters beyond ASCII in descriptions.
    plain = "".join(
        char if " " <= char <= "~" and char not in '"\\' else "?"
        for char in error.detail
    )
    return {"error": error.error, "error_description": plain[:300]}


def _back(redirect_uri: str, issuer: str, state: str, answer: dict[str, str]) -> str:
    """Return where a browser is sent: with what the client gave to tell its request by, and who answers (RFC 9207)."""
    kept = state[:MAX_STATE]
    return redirects.with_answer(redirect_uri, {**answer, "state": kept, "iss": issuer})


def _audit_denial(principal: Principal, request: AuthorizationRequest) -> None:
    _audit(principal, "oauth.grant", request, outcome=audit.Outcome.DENIED)


def _audit(
    principal: Principal,
    action: str,
    request: AuthorizationRequest,
    *,
    grant_id: int | None = None,
    outcome: audit.Outcome = audit.Outcome.ALLOWED,
) -> None:
    audit.record(
        principal,
        action,
        object_type="oauth_grant",
        object_id=grant_id,
        object_name=request.client.name,
        outcome=outcome,
        details={
            "client_id": request.client.client_id,
            "resource": request.resource,
            "scope": " ".join(request.scope),
            "redirect_uri": request.redirect_uri,
        },
    )
