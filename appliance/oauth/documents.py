"""Client ID metadata documents (draft-ietf-oauth-client-id-metadata-document-00). Pure: they are fetched elsewhere."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from appliance.oauth import redirects
from appliance.oauth.errors import ClientDocumentError, OAuthError
from appliance.oauth.model import AuthMethod, Client, ClientKind

MAX_URL = 1024
MAX_NAME = 100
MAX_KEYS = 10
#: However long a document's own server says that it may be kept.
SHORTEST, LONGEST = timedelta(minutes=5), timedelta(hours=24)
DEFAULT = timedelta(hours=1)
GRANTS = ("authorization_code", "refresh_token")
_PLAIN = re.compile(r"[!#-;=?-\[\]_A-Za-z~]+")
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,9})")
#: Members that only a client with a secret has, which a public document cannot hold.
_SECRET = ("client_secret", "client_secret_expires_at")


def is_document_url(client_id: str) -> bool:
    """Return whether a client's id says that a document describes it."""
    return client_id.lower().startswith(("https:", "http:"))


def checked_url(client_id: str) -> str:
    """Return a client's id that is the address of its document.

    Raises:
        ClientDocumentError: It is none, or one of its forms that have a second spelling.
    """
    problem = _problem_of_url(client_id)
    if problem:
        raise ClientDocumentError(f"The client's id {problem}.")
    return client_id


def _problem_of_url(url: str) -> str:
    if len(url) > MAX_URL or not _PLAIN.fullmatch(url):
        return "is no address"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is no address"
    if parts.scheme != "https" or not url.startswith("https://"):
        return "must be an https address"
    if "@" in parts.netloc or "#" in url:
        return "must hold neither a user nor a fragment"
    segments = parts.path.split("/")
    if not parts.hostname or parts.path in {"", "/"}:
        return "must name a host and a path"
    if {".", ".."} & {item.lower().replace("%2e", ".") for item in segments}:
        return "must hold no dot segments"
    return ""


def client_of(client_id: str, document: Any, *, fresh_until: datetime) -> Client:
    """Return the client that a document describes; ``jwks`` is what it holds itself.

    Raises:
        ClientDocumentError: The document is not that of this client, or lacks something.
    """
    if not isinstance(document, Mapping):
        raise ClientDocumentError("The client's document is no JSON object.")
    if document.get("client_id") != client_id:
        raise ClientDocumentError(
            "The client's document names another client_id than its own address."
        )
    if any(name in document for name in _SECRET):
        raise ClientDocumentError("The client's document holds a secret.")
    return Client(
        client_id=client_id,
        kind=ClientKind.DOCUMENT,
        name=_name(document),
        redirect_uris=_redirect_uris(document),
        # Who does not say gets what every client of MCP wants; who says, what it says.
        grant_types=_grants(document),
        auth_method=_auth_method(document),
        uri=client_uri(document),
        jwks=_jwks(document.get("jwks")),
        fresh_until=fresh_until,
    )


def jwks_uri_of(document: Any) -> str:
    """Return where the client's keys are, if its document says so and does not hold them; else nothing.

    Raises:
        ClientDocumentError: The address will not do.
    """
    if not isinstance(document, Mapping) or "jwks" in document:
        return ""
    uri = document.get("jwks_uri", "")
    return checked_url(uri) if isinstance(uri, str) and uri else ""


def checked_jwks(document: Any) -> dict[str, Any]:
    """Return a set of public keys.

    Raises:
        ClientDocumentError: It is none.
    """
    found = _jwks(document)
    if found is None:
        raise ClientDocumentError("The client has no keys.")
    return found


def lasts(cache_control: str) -> timedelta:
    """Return how long a document is kept that came with this ``Cache-Control``."""
    words = cache_control.lower()
    if "no-store" in words or "no-cache" in words:
        return SHORTEST
    match = _MAX_AGE.search(words)
    asked = timedelta(seconds=int(match[1])) if match else DEFAULT
    return min(max(asked, SHORTEST), LONGEST)


def client_uri(document: Mapping[str, Any]) -> str:
    """Return the client's own page, if it is one that a person may follow."""
    uri = document.get("client_uri")
    if not isinstance(uri, str) or not uri.startswith("https://"):
        return ""
    return uri if len(uri) <= MAX_URL and _PLAIN.fullmatch(uri) else ""


def clean_name(name: object) -> str:
    """Return a client's name for people: one line, without what turns text around or hides it."""
    if not isinstance(name, str):
        return ""
    plain = "".join(char if char.isprintable() else " " for char in name)
    return " ".join(plain.split())[:MAX_NAME]


def _name(document: Mapping[str, Any]) -> str:
    name = clean_name(document.get("client_name"))
    if not name:
        raise ClientDocumentError("The client's document lacks client_name.")
    return name


def _redirect_uris(document: Mapping[str, Any]) -> tuple[str, ...]:
    found = document.get("redirect_uris")
    if not isinstance(found, list) or not 0 < len(found) <= redirects.MAX_URIS:
        raise ClientDocumentError(
            f"The client's document must have 1 to {redirects.MAX_URIS} redirect_uris."
        )
    try:
        return tuple(redirects.checked(uri) for uri in found if isinstance(uri, str))
    except OAuthError as error:
        raise ClientDocumentError(error.detail) from error


def _grants(document: Mapping[str, Any]) -> tuple[str, ...]:
    found = document.get("grant_types", list(GRANTS))
    known = [item for item in GRANTS if isinstance(found, list) and item in found]
    if GRANTS[0] not in known:
        raise ClientDocumentError("The client's document must allow the grant type authorization_code.")  # fmt: skip
    return tuple(known)


def _auth_method(document: Mapping[str, Any]) -> AuthMethod:
    found = document.get("token_endpoint_auth_method", AuthMethod.NONE.value)
    if found not in {AuthMethod.NONE.value, AuthMethod.PRIVATE_KEY.value}:
        raise ClientDocumentError(
            "The client's token_endpoint_auth_method must be none or private_key_jwt."
        )
    return AuthMethod(found)


def _jwks(found: Any) -> dict[str, Any] | None:
    if found is None:
        return None
    keys = found.get("keys") if isinstance(found, Mapping) else None
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_KEYS:
        raise ClientDocumentError(f"The client's jwks must hold 1 to {MAX_KEYS} keys.")
    if any(not isinstance(key, Mapping) or "d" in key or "k" in key for key in keys):
        raise ClientDocumentError("The client's jwks must hold public keys only.")
    return {"keys": [dict(key) for key in keys]}
