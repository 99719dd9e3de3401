"""Where servers and authorization servers describe themselves, and what of it can be used. Pure.

The order is that of MCP's revisions 2025-11-25 and 2026-07-28: what the challenge names, then the place below the endpoint's
path, then that of the whole host; and of an authorization server RFC 8414 before OpenID Connect.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from appliance.core.challenges import Challenge
from appliance.upstreams.errors import DiscoveryError
from appliance.upstreams.model import AuthorizationServer, Resource

_PROTECTED = "/.well-known/oauth-protected-resource"
_OAUTH = "/.well-known/oauth-authorization-server"
_OPENID = "/.well-known/openid-configuration"
#: Entries of a list, and letters of a text, that are looked at.
_MANY, _LONG = 200, 2000


def resource_places(endpoint: str, challenge: Challenge | None) -> list[str]:
    """Return the addresses at which a server's metadata may be, the likeliest first."""
    if challenge is not None and challenge.resource_metadata:
        return [challenge.resource_metadata]
    origin, path = _parts(endpoint)
    places = [f"{origin}{_PROTECTED}{path}", f"{origin}{_PROTECTED}"]
    return list(dict.fromkeys(places))


def server_places(issuer: str) -> list[str]:
    """Return the addresses at which an authorization server's metadata may be, the likeliest first."""
    origin, path = _parts(issuer)
    if not path:
        return [f"{origin}{_OAUTH}", f"{origin}{_OPENID}"]
    return [
        f"{origin}{_OAUTH}{path}",
        f"{origin}{_OPENID}{path}",
        f"{origin}{path}{_OPENID}",
    ]


def without_metadata(endpoint: str) -> Resource:
    """Return what is taken of a server that has no metadata: it is its own authorization server (revision 2025-03-26)."""
    origin, _ = _parts(endpoint)
    return Resource(resource=endpoint, issuer=origin)


def read_resource(endpoint: str, document: object) -> Resource:
    """Return what a server's metadata says.

    Raises:
        DiscoveryError: It is another server's, or names no authorization server.
    """
    said = document if isinstance(document, Mapping) else {}
    named = _text(said, "resource")
    if not covers(named, endpoint):
        raise DiscoveryError(
            f"The server's metadata is about {named or 'nothing'}, not about {endpoint}."
        )
    issuers = _texts(said, "authorization_servers")
    if not issuers:
        raise DiscoveryError("The server's metadata names no authorization server.")
    scopes = _texts(said, "scopes_supported") if "scopes_supported" in said else None
    return Resource(named, issuers[0], scopes)


def covers(resource: str, endpoint: str) -> bool:
    """Return whether a token for ``resource`` may be shown at ``endpoint``: it is the same, or lies above it."""
    one, other = urlsplit(resource), urlsplit(endpoint)
    if not one.hostname or one.query or one.fragment or _place(one) != _place(other):
        return False
    above = one.path.rstrip("/")
    path = other.path.rstrip("/")
    return path == above or path.startswith(f"{above}/")


def read_server(issuer: str, document: object) -> AuthorizationServer:
    """Return what an authorization server's metadata says.

    Raises:
        DiscoveryError: It is another one's, or the server cannot do what is needed.
    """
    said = document if isinstance(document, Mapping) else {}
    named = _text(said, "issuer")
    # Not a letter may differ: that is what keeps one server from passing for another (RFC 8414, 3.3).
    if named != issuer:
        raise DiscoveryError(
            f"The authorization server {issuer} says that it is {named or 'nobody'}."
        )
    authorize, token = _text(said, "authorization_endpoint"), _text(said, "token_endpoint")  # fmt: skip
    if not authorize or not token:
        raise DiscoveryError(f"{issuer} names no authorization or no token endpoint.")
    methods = _texts(said, "code_challenge_methods_supported")
    if "S256" not in methods:
        raise DiscoveryError(f"{issuer} does not say that it knows PKCE with S256.")
    return AuthorizationServer(
        issuer=issuer,
        authorization_endpoint=authorize,
        token_endpoint=token,
        registration_endpoint=_text(said, "registration_endpoint"),
        revocation_endpoint=_text(said, "revocation_endpoint"),
        scopes=_texts(said, "scopes_supported"),
        auth_methods=_texts(said, "token_endpoint_auth_methods_supported"),
        takes_documents=said.get("client_id_metadata_document_supported") is True,
        says_iss=said.get("authorization_response_iss_parameter_supported") is True,
    )


def is_safe(url: str, *, may_be_plain: bool) -> bool:
    """Return whether secrets may be sent to an address.

    Args:
        url: The address.
        may_be_plain: Whether it may do without TLS, on this box or beside it.
    """
    parts = urlsplit(url)
    kinds = {"https", "http"} if may_be_plain else {"https"}
    return parts.scheme in kinds and bool(parts.hostname) and not parts.username


def _parts(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")


def _place(parts: Any) -> tuple[str, str, int | None]:
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


def _text(said: Mapping[str, Any], name: str) -> str:
    found = said.get(name)
    return found if isinstance(found, str) and len(found) <= _LONG else ""


def _texts(said: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = said.get(name)
    if not isinstance(found, list):
        return ()
    return tuple(item for item in found[:_MANY] if isinstance(item, str))
