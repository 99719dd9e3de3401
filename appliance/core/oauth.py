"""What the hub, which gives out access tokens, and the gateway, which takes them, agree about. Pure."""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

#: Lists, reads, prompts and completions.
READ_SCOPE: Final = "mcp:read"
#: Calls of tools.
CALL_SCOPE: Final = "mcp:call"
SCOPES: Final = (READ_SCOPE, CALL_SCOPE)
#: Of the header of our own access tokens (RFC 9068).
JWT_TYPE: Final = "at+jwt"
#: What signs them.
ALGORITHM: Final = "ES256"
#: ``issuer`` of our own keys in ``gateway_token_keys``; the address follows from ``issuer_of``.
OWN_ISSUER: Final = ""
#: How clients may show that they are themselves, and what they may sign with where they sign.
CLIENT_AUTH_METHODS: Final = (
    "none",
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
)
CLIENT_ALGORITHMS: Final = ("ES256", "ES384", "RS256", "PS256", "EdDSA")
PROTECTED_RESOURCE: Final = "/.well-known/oauth-protected-resource"
AUTHORIZATION_SERVER: Final = "/.well-known/oauth-authorization-server"
OPENID_CONFIGURATION: Final = "/.well-known/openid-configuration"

#: ``domains``: a name of its own, which stands for the server that it leads to.
Kind = Literal["servers", "bundles", "domains"]
_ENDPOINT = re.compile(r"/(servers|bundles)/([a-z0-9-]{1,63})/(?:mcp/?|sse)")
_DOMAIN_ENDPOINT = re.compile(r"/(?:mcp/?|sse)")
_PORTS: Final = {"http": 80, "https": 443}
_MAX_URL = 2048


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server or a bundle, as clients name it, or a domain: all its doors are one resource."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Resource:
    """What a token is for, however it was spelled: two that are equal are the same."""

    #: Such as ``https://mcp.example.org``: in lower case, without the scheme's own port and a slash at the end; it may have
    #: a path, where a gateway lies under one.
    origin: str
    endpoint: Endpoint


def endpoint_of(path: str) -> Endpoint | None:
    """Return the endpoint at ``path``, with or without a slash at its end; ``None`` if it is none."""
    match = _ENDPOINT.fullmatch(path)
    if match is None:
        return None
    return Endpoint("bundles" if match[1] == "bundles" else "servers", match[2])


def is_domain_endpoint(path: str) -> bool:
    """Whether ``path`` is where the one server of a domain is reached."""
    return _DOMAIN_ENDPOINT.fullmatch(path) is not None


def domain_of(origin: str) -> str:
    """Return the host of an origin, in the form in which domains are kept."""
    return (urlsplit(origin).hostname or "").lower()


def resource_of(url: str) -> Resource | None:
    """Return what a ``resource`` parameter or an audience means; ``None``: it is no endpoint of any gateway.

    A query, a fragment, a user or an escape make it none: nobody types them, and they would be a second name.
    """
    if (
        len(url) > _MAX_URL
        or not url.isascii()
        or any(sign in url for sign in "?#@%\\")
    ):
        return None
    origin, path = _split(url)
    if origin.startswith("https:") and is_domain_endpoint(path):
        return Resource(origin, Endpoint("domains", domain_of(origin)))
    match = re.search(r"/(?:servers|bundles)/[^/]*/[^/]*/?$", path)
    endpoint = endpoint_of(match[0]) if match else None
    if not origin or endpoint is None or match is None:
        return None
    return Resource(origin + path[: match.start()], endpoint)


def origin_of(url: str) -> str:
    """Return ``url`` in the form in which origins are compared; empty: it is none of HTTP."""
    origin, path = _split(url)
    return origin + path.rstrip("/") if origin else ""


def is_issuer(url: str) -> bool:
    """Whether ``url`` may name an issuer (RFC 8414): no query, no fragment, nobody's name in it."""
    is_plain = url.isascii() and url.isprintable() and len(url) <= _MAX_URL
    return is_plain and not any(sign in url for sign in "?#@ ") and bool(_split(url)[0])


def is_safe_issuer(url: str) -> bool:
    """Whether ``url`` may name an issuer whose word on people is taken: over TLS, or on this very box."""
    host = urlsplit(url).hostname if is_issuer(url) else None
    is_here = host in {"localhost", "127.0.0.1", "::1"}
    return host is not None and (is_here or url.lower().startswith("https:"))


def issuer_of(public_url: str | None, scheme: str, host: str, hub_port: int) -> str:
    """Return the issuer of the built-in authorization server, as whoever asks for it reaches the hub.

    Args:
        public_url: Where browsers reach the hub; ``None``: under the name that the request has.
        scheme: Of the request.
        host: Its ``Host``, with or without a port.
        hub_port: That the hub listens on.
    """
    if public_url:
        return public_url.rstrip("/")
    name = re.sub(r":[0-9]+$", "", host)
    port = "" if _PORTS.get(scheme) == hub_port else f":{hub_port}"
    return f"{scheme}://{name}{port}"


def authorization_server(issuer: str, *, registers: bool) -> dict[str, Any]:
    """Return the metadata of the built-in authorization server (RFC 8414).

    Args:
        issuer: Its URL, without a slash at the end.
        registers: Whether clients may register themselves.
    """
    document: dict[str, Any] = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "jwks_uri": f"{issuer}/oauth/jwks",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
        ],
        **_client_auth("token_endpoint"),
        **_client_auth("revocation_endpoint"),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": True,
    }
    if registers:
        document["registration_endpoint"] = f"{issuer}/oauth/register"
    return document


def _client_auth(endpoint: str) -> dict[str, Any]:
    return {
        f"{endpoint}_auth_methods_supported": list(CLIENT_AUTH_METHODS),
        f"{endpoint}_auth_signing_alg_values_supported": list(CLIENT_ALGORITHMS),
    }


def _split(url: str) -> tuple[str, str]:
    """Return the origin, and the path; two empty texts if it is no URL of HTTP."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", ""
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if scheme not in _PORTS or not host:
        return "", ""
    host = f"[{host}]" if ":" in host else host
    shown = "" if port is None or port == _PORTS[scheme] else f":{port}"
    return f"{scheme}://{host}{shown}", parts.path
