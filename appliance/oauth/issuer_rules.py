"""What is taken from another authorization server: its metadata and its public keys. Pure."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from appliance.core.errors import UnavailableError
from appliance.core.oauth import AUTHORIZATION_SERVER, OPENID_CONFIGURATION

#: By what tokens may be signed, and the kind of key that does so.
_ALGORITHMS: Final = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
_CURVES: Final = {"EC": "P-256", "OKP": "Ed25519"}
#: Everything else of a key is left out, and so is whatever should not have been published.
_MEMBERS: Final = {
    "RSA": ("kty", "n", "e"),
    "EC": ("kty", "crv", "x", "y"),
    "OKP": ("kty", "crv", "x"),
}
#: Characters of the modulus of a key of 2048 bits.
_SHORTEST_MODULUS: Final = 342
_MOST_KEYS: Final = 64
_LONGEST_KID: Final = 500


class IssuerError(UnavailableError):
    """Another issuer does not say what it has to."""

    code = "oauth_issuer_unusable"


def metadata_urls(issuer: str) -> list[str]:
    """Return where the metadata of an issuer may be, in the order in which MCP has clients look (RFC 8414, OpenID Connect)."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    found = (
        f"{origin}{AUTHORIZATION_SERVER}{path}",
        f"{origin}{OPENID_CONFIGURATION}{path}",
        f"{origin}{path}{OPENID_CONFIGURATION}",
    )
    return list(dict.fromkeys(found))


def checked_metadata(found: object, issuer: str) -> dict[str, Any]:
    """Return metadata that is the issuer's own and says where its keys are.

    Raises:
        IssuerError: It is not.
    """
    if not isinstance(found, dict):
        raise IssuerError("The metadata is no JSON object.")
    if found.get("issuer") != issuer:
        raise IssuerError(
            f"The metadata is of {found.get('issuer')!r}; OAUTH_ISSUER has to be spelled like that, slashes included."
        )
    keys = found.get("jwks_uri")
    parts = urlsplit(keys) if isinstance(keys, str) else urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise IssuerError(
            "The metadata has no jwks_uri, so its tokens cannot be checked."
        )
    if parts.scheme == "http" and issuer.startswith("https:"):
        raise IssuerError("The metadata has a jwks_uri without TLS.")
    return found


def usable_keys(found: object) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the keys that may check access tokens: by id, the algorithm and the public key.

    Raises:
        IssuerError: There is none.
    """
    items = found.get("keys") if isinstance(found, dict) else None
    keys: dict[str, tuple[str, dict[str, Any]]] = {}
    for item in items if isinstance(items, list) else []:
        if len(keys) < _MOST_KEYS and isinstance(item, dict):
            kid, algorithm = item.get("kid"), _algorithm(item)
            if isinstance(kid, str) and 0 < len(kid) <= _LONGEST_KID and algorithm:
                members = _MEMBERS[_ALGORITHMS[algorithm]]
                public = {name: item[name] for name in members}
                keys.setdefault(kid, (algorithm, public))
    if not keys:
        raise IssuerError(
            "It has published no key with an id that signs by RS256, ES256 or EdDSA."
        )
    return keys


def _algorithm(key: Mapping[str, Any]) -> str:
    """Return by what a key signs; empty: it is of no use here."""
    kind = key.get("kty")
    named = key.get("alg") or next(
        (name for name, of in _ALGORITHMS.items() if of == kind), ""
    )
    if key.get("use", "sig") != "sig" or _ALGORITHMS.get(named) != kind:
        return ""
    if key.get("crv") != _CURVES.get(str(kind)):
        return ""
    members = [key.get(name) for name in _MEMBERS[str(kind)]]
    if not all(isinstance(value, str) and value for value in members):
        return ""
    is_short = kind == "RSA" and len(key["n"].rstrip("=")) < _SHORTEST_MODULUS
    return "" if is_short else str(named)
