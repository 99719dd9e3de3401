"""Clients that register themselves (RFC 7591). Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.oauth import redirects
from appliance.oauth.documents import GRANTS, clean_name, client_uri
from appliance.oauth.errors import OAuthError
from appliance.oauth.model import AuthMethod, Client, ClientKind

_METHODS = (AuthMethod.NONE, AuthMethod.BASIC, AuthMethod.POST)
UNNAMED = "A client without a name"


def client_of(client_id: str, wanted: Any) -> Client:
    """Return the client that registers itself, without a secret yet.

    Args:
        client_id: What it is called from now on.
        wanted: What it sent.

    Raises:
        OAuthError: It wants what is not to be had, or lacks something.
    """
    if not isinstance(wanted, Mapping):
        raise _bad("The body must be a JSON object.")
    return Client(
        client_id=client_id,
        kind=ClientKind.DYNAMIC,
        name=clean_name(wanted.get("client_name")) or UNNAMED,
        redirect_uris=_redirect_uris(wanted.get("redirect_uris")),
        grant_types=_grants(wanted),
        auth_method=_auth_method(wanted),
        uri=client_uri(wanted),
    )


def answer_of(client: Client, secret: str, issued_at: int) -> dict[str, Any]:
    """Return what the client is told of its registration.

    Args:
        secret: Shown this once; empty: it has none.
        issued_at: Seconds since the epoch.
    """
    found: dict[str, Any] = {
        "client_id": client.client_id,
        "client_id_issued_at": issued_at,
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "response_types": ["code"],
        "token_endpoint_auth_method": client.auth_method.value,
    }
    if client.uri:
        found["client_uri"] = client.uri
    if secret:
        found |= {"client_secret": secret, "client_secret_expires_at": 0}
    return found


def _redirect_uris(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not 0 < len(found) <= redirects.MAX_URIS:
        raise OAuthError(
            "invalid_redirect_uri",
            f"redirect_uris must hold 1 to {redirects.MAX_URIS} addresses.",
        )
    if not all(isinstance(uri, str) for uri in found):
        raise OAuthError("invalid_redirect_uri", "redirect_uris must hold texts.")
    return tuple(redirects.checked(uri) for uri in found)


def _grants(wanted: Mapping[str, Any]) -> tuple[str, ...]:
    found = wanted.get("grant_types", list(GRANTS))
    known = [item for item in GRANTS if isinstance(found, list) and item in found]
    if GRANTS[0] not in known:
        raise _bad("grant_types must hold authorization_code.")
    responses = wanted.get("response_types", ["code"])
    if not isinstance(responses, list) or "code" not in responses:
        raise _bad("response_types must hold code.")
    return tuple(known)


def _auth_method(wanted: Mapping[str, Any]) -> AuthMethod:
    found = wanted.get("token_endpoint_auth_method", AuthMethod.BASIC.value)
    if found not in {item.value for item in _METHODS}:
        raise _bad(
            "token_endpoint_auth_method must be none, client_secret_basic or client_secret_post."
        )
    return AuthMethod(found)


def _bad(detail: str) -> OAuthError:
    return OAuthError("invalid_client_metadata", detail)
