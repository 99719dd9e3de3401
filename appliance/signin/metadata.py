"""What a provider says of itself (OpenID Connect Discovery), and which keys it signs with. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from appliance.core.oauth import OPENID_CONFIGURATION
from appliance.signin.errors import ProviderAwayError
from appliance.signin.model import Metadata

#: By what ID tokens may be signed, with the kind of key and its curve. No shared secrets, and not ``none``.
ALGORITHMS: Final = {
    **dict.fromkeys(("RS256", "RS384", "RS512"), ("RSA", None)),
    **dict.fromkeys(("PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
#: Everything else of a key is left out, and so is whatever should not have been published.
_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
#: Characters of the modulus of a key of 2048 bits.
_SHORTEST_MODULUS: Final = 342
_MOST_KEYS: Final = 64

Key = Mapping[str, str]


def metadata_url(issuer: str) -> str:
    """Return where a provider's metadata is."""
    return issuer.rstrip("/") + OPENID_CONFIGURATION


def checked_metadata(found: object, issuer: str) -> Metadata:
    """Return metadata that is the issuer's own and says where everything is.

    Raises:
        ProviderAwayError: It is not, or does not.
    """
    if not isinstance(found, Mapping):
        raise ProviderAwayError("The provider's metadata is no JSON object.")
    if found.get("issuer") != issuer:
        raise ProviderAwayError(
            f"The metadata is of {str(found.get('issuer'))[:200]!r}; OIDC_ISSUER has to be spelled like that, slashes included."
        )
    methods = found.get("token_endpoint_auth_methods_supported")
    return Metadata(
        issuer=issuer,
        authorization_endpoint=_place(found, "authorization_endpoint", issuer),
        token_endpoint=_place(found, "token_endpoint", issuer),
        jwks_uri=_place(found, "jwks_uri", issuer),
        userinfo_endpoint=_place(found, "userinfo_endpoint", issuer, is_needed=False),
        end_session_endpoint=_place(
            found, "end_session_endpoint", issuer, is_needed=False
        ),
        auth_methods=tuple(item for item in methods if isinstance(item, str))
        if isinstance(methods, list)
        else (),
        names_itself=found.get("authorization_response_iss_parameter_supported")
        is True,
    )


def _place(
    found: Mapping[str, Any], name: str, issuer: str, *, is_needed: bool = True
) -> str:
    value = found.get(name)
    if value is None and not is_needed:
        return ""
    parts = urlsplit(value) if isinstance(value, str) and value.isascii() else None
    if parts is None or not parts.hostname or parts.scheme not in {"http", "https"}:
        raise ProviderAwayError(f"The provider's metadata has no {name}.")
    if parts.scheme == "http" and issuer.lower().startswith("https:"):
        raise ProviderAwayError(f"The provider's {name} is without TLS.")
    return str(value)


def keys_of(found: object) -> tuple[Key, ...]:
    """Return the public keys of a JWKS that may check ID tokens.

    Raises:
        ProviderAwayError: There is none.
    """
    items = found.get("keys") if isinstance(found, Mapping) else None
    listed = items[:_MOST_KEYS] if isinstance(items, list) else []
    keys = tuple(
        public
        for item in listed
        if isinstance(item, Mapping) and (public := _public(item))
    )
    if not keys:
        raise ProviderAwayError("The provider has published no key that signs.")
    return keys


def _public(key: Mapping[str, Any]) -> Key | None:
    kind = str(key.get("kty"))
    names = _MEMBERS.get(kind)
    if names is None or key.get("use", "sig") != "sig":
        return None
    if not all(isinstance(key.get(name), str) and key[name] for name in names):
        return None
    if kind == "RSA" and len(key["n"].rstrip("=")) < _SHORTEST_MODULUS:
        return None
    kept = {name: key[name] for name in names} | {"kty": kind}
    told = {name: key[name] for name in ("kid", "alg") if isinstance(key.get(name), str)}  # fmt: skip
    return kept | told


def key_for(header: Mapping[str, Any], keys: Sequence[Key]) -> Key | None:
    """Return the key that a token's header means, if it is known and of the kind that its algorithm needs."""
    algorithm, kid = header.get("alg"), header.get("kid")
    kind, curve = ALGORITHMS.get(str(algorithm), (None, None))
    fitting = [
        key
        for key in keys
        if key["kty"] == kind
        and key.get("crv") == curve
        and key.get("alg", algorithm) == algorithm
        and kid in {None, key.get("kid")}
    ]
    # Who names no key must have but one.
    is_plain = len(fitting) == 1 or (kid is not None and fitting)
    return fitting[0] if is_plain else None
