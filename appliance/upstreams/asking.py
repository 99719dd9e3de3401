"""What is asked of an authorization server, and what of its answers counts. Pure."""

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit, urlunsplit

from pydantic import SecretStr

from appliance.upstreams.errors import (
    DiscoveryError,
    NoClientError,
    SigninRefusedError,
    TokenRefusedError,
)
from appliance.upstreams.model import (
    AuthMethod,
    AuthorizationServer,
    Client,
    ClientKind,
    Offer,
    Place,
    Tokens,
)

OFFLINE = "offline_access"
#: As people see this box at an authorization server.
CLIENT_NAME = "MCP Host"
_GRANTS = ("authorization_code", "refresh_token")
_LONGEST_TOKEN = 32 * 1024
_LONGEST_TEXT = 300


def scopes_for(
    offer: Offer, *, had: Collection[str] = (), wanted: Collection[str] = ()
) -> tuple[str, ...]:
    """Return what to ask for: what the challenge names, else all that the resource knows, else nothing at all.

    What the account had already stays: whoever asks for less would lose the rest.

    Args:
        offer: What the other side says.
        had: By the account, until now.
        wanted: By the server, of what it could not do so far.
    """
    asked = [*(offer.scope or offer.resource.scopes or ()), *wanted, *had]
    if OFFLINE in offer.server.scopes and asked:
        asked.append(OFFLINE)
    return tuple(dict.fromkeys(asked))


def client_without_asking(
    server: AuthorizationServer, place: Place, *, given: Client | None
) -> Client | None:
    """Return what this box is to an authorization server without registering there; ``None``: it has to."""
    if given is not None:
        return given
    # Nobody would fetch a document from an address without TLS.
    if server.takes_documents and place.origin.startswith("https://"):
        return Client(ClientKind.DOCUMENT, place.document_url, AuthMethod.NONE)
    return None


def given_method(server: AuthorizationServer, *, has_secret: bool) -> AuthMethod:
    """Return how a client that somebody registered shows itself."""
    if not has_secret:
        return AuthMethod.NONE
    methods = server.auth_methods or (AuthMethod.BASIC,)
    for method in (AuthMethod.BASIC, AuthMethod.POST):
        if method in methods:
            return method
    raise NoClientError(
        f"{server.issuer} takes neither client_secret_basic nor client_secret_post."
    )


def registration(server: AuthorizationServer, place: Place) -> dict[str, Any]:
    """Return with what to register (RFC 7591).

    Raises:
        NoClientError: One cannot.
    """
    if not server.registration_endpoint:
        raise NoClientError(
            f"{server.issuer} lets no client register itself.",
            hint="Register one there by hand, and give its client id on the server's page Account.",
        )
    return describe(place) | {"token_endpoint_auth_method": _preferred(server)}


def describe(place: Place) -> dict[str, Any]:
    """Return how this box describes itself as a client."""
    return {
        "client_name": CLIENT_NAME,
        "client_uri": place.origin,
        "redirect_uris": [place.redirect_uri],
        "grant_types": list(_GRANTS),
        "response_types": ["code"],
        # RFC 7591's words for a program on a server, to those who tell them apart (OpenID Connect).
        "application_type": "web" if place.origin.startswith("https://") else "native",
    }


def document(place: Place) -> dict[str, Any]:
    """Return the client ID metadata document of this box."""
    return {
        "client_id": place.document_url,
        **describe(place),
        "token_endpoint_auth_method": AuthMethod.NONE.value,
    }


def registered(answer: object, server: AuthorizationServer) -> Client:
    """Return what this box has become by registering.

    Raises:
        NoClientError: The answer names no client, or one that cannot show itself.
    """
    said = answer if isinstance(answer, Mapping) else {}
    client_id, secret = said.get("client_id"), said.get("client_secret")
    if not isinstance(client_id, str) or not client_id:
        raise NoClientError(f"{server.issuer} answered a registration without an id.")
    has_secret = isinstance(secret, str) and bool(secret)
    named = said.get("token_endpoint_auth_method") or (
        _preferred(server) if has_secret else AuthMethod.NONE
    )
    try:
        method = AuthMethod(str(named))
    except ValueError as error:
        raise NoClientError(
            f"{server.issuer} wants a client that shows itself by {named}."
        ) from error
    if not has_secret:
        method = AuthMethod.NONE
    shown = SecretStr(secret) if has_secret and isinstance(secret, str) else None
    return Client(ClientKind.REGISTERED, client_id, method, shown)


def _preferred(server: AuthorizationServer) -> AuthMethod:
    """Return how to show oneself, as the server likes it; one that does not say takes what RFC 8414 says it does."""
    methods = server.auth_methods or (AuthMethod.BASIC,)
    for method in (AuthMethod.BASIC, AuthMethod.POST, AuthMethod.NONE):
        if method in methods:
            return method
    raise NoClientError(
        f"{server.issuer} takes clients by {', '.join(methods)[:_LONGEST_TEXT]} alone."
    )


# -- the way there and back


def verifier_of(secret: bytes, state: str) -> str:
    """Return the PKCE verifier that belongs to a state, which nobody can tell from the state (RFC 7636)."""
    return _text(hmac.new(secret, f"pkce {state}".encode(), hashlib.sha256).digest())


def authorization_url(
    offer: Offer,
    client: Client,
    place: Place,
    *,
    state: str,
    verifier: str,
    scopes: Collection[str],
) -> str:
    """Return where to send the person."""
    fields = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": place.redirect_uri,
        "state": state,
        "code_challenge": _text(hashlib.sha256(verifier.encode()).digest()),
        "code_challenge_method": "S256",
        "resource": offer.resource.resource,
    }
    if scopes:
        fields["scope"] = " ".join(scopes)
    if OFFLINE in scopes:
        # OpenID Connect gives a token that outlives the session to those alone who were asked.
        fields["prompt"] = "consent"
    parts = urlsplit(offer.server.authorization_endpoint)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *fields.items()])  # fmt: skip
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def code_in(answer: Mapping[str, str], server: AuthorizationServer) -> str:
    """Return the code that a person came back with.

    Raises:
        SigninRefusedError: It comes from another server (RFC 9207), or is a refusal.
    """
    iss = answer.get("iss")
    if (server.says_iss and iss is None) or (iss is not None and iss != server.issuer):
        # Nothing else that it says may be believed, its error texts included.
        raise SigninRefusedError(
            f"The answer does not come from {server.issuer}, where the sign-in began. Nothing was connected."
        )
    if error := answer.get("error"):
        why = answer.get("error_description") or error
        raise SigninRefusedError(f"{server.issuer} did not sign you in: {_plain(why)}.")
    code = answer.get("code")
    if not code:
        raise SigninRefusedError(f"{server.issuer} answered without a code.")
    return code


def token_request(
    client: Client, fields: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return form and headers of a request to a token or revocation endpoint."""
    form, headers = dict(fields), {"Accept": "application/json"}
    secret = client.secret.get_secret_value() if client.secret else ""
    # Needless beside Basic, and yet some servers look for it before they look at the header.
    form["client_id"] = client.client_id
    if client.auth_method is AuthMethod.BASIC:
        # RFC 6749, 2.3.1: both are form-encoded first.
        pair = f"{quote_plus(client.client_id)}:{quote_plus(secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return form, headers
    if client.auth_method is AuthMethod.POST:
        form["client_secret"] = secret
    return form, headers


def code_form(
    code: str, *, verifier: str, redirect_uri: str, resource: str
) -> dict[str, str]:
    """Return what is asked with a code."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
        "resource": resource,
    }


def refresh_form(token: str, *, resource: str) -> dict[str, str]:
    """Return what is asked with a refresh token."""
    return {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "resource": resource,
    }


def tokens_in(status: int, answer: object) -> Tokens:
    """Return the tokens that a token endpoint gave.

    Raises:
        TokenRefusedError: It gave none; ``error`` is empty where it did not say why.
        DiscoveryError: What it gave cannot be used.
    """
    said = answer if isinstance(answer, Mapping) else {}
    access = said.get("access_token")
    if said.get("error") or not isinstance(access, str) or not access:
        code = _plain(str(said.get("error") or ""))
        why = _plain(str(said.get("error_description") or code or f"status {status}"))
        raise TokenRefusedError(f"The token endpoint gave no token: {why}.", error=code)
    if str(said.get("token_type", "")).lower() != "bearer":
        raise DiscoveryError("The token endpoint gave a token that is none to bear.")
    if len(access) > _LONGEST_TOKEN or not access.isascii() or not access.isprintable():
        raise DiscoveryError("The token endpoint gave a token that fits no header.")
    refresh, scope = said.get("refresh_token"), said.get("scope")
    return Tokens(
        access=SecretStr(access),
        refresh=SecretStr(refresh) if isinstance(refresh, str) and refresh else None,
        expires_in=_seconds(said.get("expires_in")),
        scopes=tuple(scope.split()) if isinstance(scope, str) else None,
    )


def _seconds(value: object) -> float | None:
    try:
        found = float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None
    # A year is as good as for ever, and a clock that is told more may overflow.
    return None if found is None or found <= 0 else min(found, 366 * 86400.0)


def _plain(text: str) -> str:
    """Return others' words as they may be shown."""
    cut = text[:_LONGEST_TEXT].rstrip(". ")
    return "".join(letter if letter.isprintable() else " " for letter in cut)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
