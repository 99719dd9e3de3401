"""What an access token says, and whether it may be believed once its signature is good. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from appliance.core.oauth import JWT_TYPE, Resource, resource_of
from appliance.gateway.trust import TokenKey

#: By what tokens may be signed. No shared secrets, and not ``none``.
ALGORITHMS: Final = frozenset({"ES256", "RS256", "EdDSA"})
#: Seconds by which two clocks may differ.
LEEWAY_S: Final = 10.0
_OWN_TYPES: Final = frozenset({JWT_TYPE, f"application/{JWT_TYPE}"})
#: What other issuers write there; an ID token has the second too, and is told by its claims.
_OTHER_TYPES: Final = _OWN_TYPES | {"jwt", "application/jwt", ""}
#: Claims that ID tokens alone have (OpenID Connect Core).
_ID_TOKEN: Final = frozenset({"at_hash", "c_hash"})
_BEARER: Final = frozenset({"", "bearer", "jwt", JWT_TYPE})
_USER = re.compile(r"user:([1-9][0-9]{0,17})")
_CLIENT = re.compile(r"client:[\x21-\x7e]{1,200}")


class TokenError(Exception):
    """A token is not taken; the text says why, to whoever showed it."""


class UnknownSignerError(TokenError):
    """It is signed with a key that is not known yet.

    Args:
        kid: The key's id.
    """

    def __init__(self, kid: str) -> None:
        """Keep the id."""
        super().__init__("it is signed with a key that is not known")
        self.kid = kid


@dataclass(frozen=True, slots=True)
class Token:
    """An access token that was checked."""

    #: Which key signed it.
    key: TokenKey
    issuer: str
    #: ``user:5``, or ``client:…``. Sessions are bound to it.
    principal: str
    #: Whose access counts; 0: whoever has the address ``email``.
    user_id: int
    email: str
    client_id: str
    #: The endpoints that it is for.
    resources: frozenset[Resource]
    audiences: frozenset[str]
    scopes: frozenset[str]
    #: Seconds since the epoch, with what clocks may differ by.
    expires_at: float
    #: ``None``: the issuer numbers none.
    grant_id: int | None = None


def check_type(header: Mapping[str, Any], key: TokenKey) -> None:
    """Look at what a token's header says.

    Raises:
        TokenError: It is signed by another rule than its key's, or is no access token.
    """
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in ALGORITHMS or alg != key.alg:
        raise TokenError("it is signed by a rule that is not taken")
    if "crit" in header:
        raise TokenError("it demands what is not known here")
    kind = header.get("typ", "")
    kind = kind.lower() if isinstance(kind, str) else "?"
    if kind not in (_OTHER_TYPES if key.issuer else _OWN_TYPES):
        raise TokenError("it is no access token")


def token_of(
    claims: Mapping[str, Any], key: TokenKey, *, user_claim: str, at: float
) -> Token:
    """Return what a token says whose signature is good.

    Args:
        claims: Its payload.
        key: That it is signed with.
        user_claim: By which another issuer names a person's address.
        at: Seconds since the epoch.

    Raises:
        TokenError: It is not, not yet or no longer to be believed.
    """
    expires_at = _time(claims, "exp")
    if expires_at is None:
        raise TokenError("it does not say when it expires")
    if expires_at + LEEWAY_S <= at:
        raise TokenError("it has expired")
    if any((_time(claims, name) or 0.0) > at + LEEWAY_S for name in ("nbf", "iat")):
        raise TokenError("it is not good yet")
    issuer = _text(claims, "iss")
    if key.issuer and issuer != key.issuer:
        raise TokenError("it is of another issuer")
    principal, user_id, email = (
        _somebody(claims, user_claim) if key.issuer else _one_of_ours(claims)
    )
    audiences = frozenset(_texts(claims.get("aud")))
    grant = claims.get("gid")
    return Token(
        key=key,
        issuer=issuer,
        principal=principal,
        user_id=user_id,
        email=email,
        client_id=_text(claims, "client_id") or _text(claims, "azp"),
        resources=frozenset(
            found for text in audiences if (found := resource_of(text)) is not None
        ),
        audiences=audiences,
        scopes=frozenset(_scopes(claims)),
        expires_at=expires_at + LEEWAY_S,
        grant_id=grant
        if isinstance(grant, int) and not isinstance(grant, bool)
        else None,
    )


def _one_of_ours(claims: Mapping[str, Any]) -> tuple[str, int, str]:
    """Return whom the built-in authorization server speaks of."""
    subject = _text(claims, "sub")
    acts_for = _text(claims, "act_for") if _CLIENT.fullmatch(subject) else subject
    match = _USER.fullmatch(acts_for)
    if match is None or not isinstance(claims.get("gid"), int):
        raise TokenError("it does not say whose it is")
    return subject, int(match[1]), ""


def _somebody(claims: Mapping[str, Any], user_claim: str) -> tuple[str, int, str]:
    """Return whom another issuer speaks of. An address that it did not look at is nobody's."""
    if _ID_TOKEN & claims.keys() or _text(claims, "typ").lower() not in _BEARER:
        raise TokenError("it is no access token")
    email = _text(claims, user_claim).strip().lower()
    if not email:
        raise TokenError(f"it has no claim {user_claim}, which would say whose it is")
    if user_claim == "email" and claims.get("email_verified", True) is not True:
        raise TokenError("its issuer has not verified the address")
    return "", 0, email


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """Return the scopes: RFC 9068 has ``scope``, some issuers a list, or ``scp``."""
    found = claims.get("scope") or claims.get("scp")
    return found.split() if isinstance(found, str) else _texts(found)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a moment; ``None``: it is not there.

    Raises:
        TokenError: It is no number.
    """
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise TokenError(f"its {name} is no time")
    return float(value)
