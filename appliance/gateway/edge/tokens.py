"""Access tokens: checked once, remembered until they expire; a call costs then what it costs with a key."""

import base64
import binascii
from typing import Any, Final

import msgspec

from appliance.core.ids import key_hash
from appliance.gateway.edge.claims import (
    Token,
    TokenError,
    UnknownSignerError,
    check_type,
    token_of,
)
from appliance.gateway.trust import TokenKey, Trust

#: Tokens that are remembered, and bytes that one may have.
KEPT: Final = 1024
LONGEST: Final = 16 * 1024
_PARTS: Final = 3


def is_token(shown: str) -> bool:
    """Whether what was shown looks like a signed token: keys have a prefix of their own and no dots."""
    return shown.startswith("ey") and shown.count(".") == _PARTS - 1


class Tokens:
    """Checks tokens for one worker.

    Args:
        issuer: Whose tokens are taken; empty: those of the built-in authorization server.
        user_claim: By which another issuer names a person's address.
    """

    def __init__(self, issuer: str, user_claim: str) -> None:
        """Know none."""
        self._issuer = issuer
        self._user_claim = user_claim
        #: By hash: whoever reads this memory finds no token in it.
        self._known: dict[bytes, Token] = {}
        self._keys: dict[str, tuple[TokenKey, Any]] = {}

    def read(self, text: str, trust: Trust, at: float) -> Token:
        """Return what a token says.

        Args:
            text: As it was shown.
            trust: The keys of now.
            at: Seconds since the epoch.

        Raises:
            UnknownSignerError: Its key is not known.
            TokenError: It is not to be believed.
        """
        tag = key_hash(text)
        token = self._known.get(tag)
        if token is not None and trust.keys.get(token.key.kid) == token.key:
            if token.expires_at > at:
                return token
            del self._known[tag]
            raise TokenError("it has expired")
        token = self._check(text, trust, at)
        self._remember(tag, token, at)
        return token

    def _check(self, text: str, trust: Trust, at: float) -> Token:
        if len(text) > LONGEST:
            raise TokenError("it is too long")
        # Read here, so that what names no key of ours never reaches the libraries, which are loaded for the first that does.
        header = _header(text)
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise TokenError("it names no key")
        key = trust.keys.get(kid)
        if key is None:
            raise UnknownSignerError(kid)
        if key.issuer != self._issuer:
            raise TokenError("it is of another issuer")
        check_type(header, key)
        claims = self._payload(text, key)
        return token_of(claims, key, user_claim=self._user_claim, at=at)

    def _payload(self, text: str, key: TokenKey) -> dict[str, Any]:
        """Return the payload of a token whose signature is good."""
        import jwt  # noqa: PLC0415 - 11 MB that a gateway without such clients never needs

        try:
            kept = self._keys.get(key.kid)
            if kept is None or kept[0] != key:
                kept = key, jwt.PyJWK(key.jwk, algorithm=key.alg)
                self._keys[key.kid] = kept
            payload = jwt.PyJWS(algorithms=[key.alg]).decode(
                text, kept[1], algorithms=[key.alg]
            )
            return msgspec.json.decode(payload, type=dict[str, Any])
        except (jwt.PyJWTError, msgspec.DecodeError, RecursionError) as error:
            raise TokenError("its signature is not good") from error

    def _remember(self, tag: bytes, token: Token, at: float) -> None:
        if len(self._known) >= KEPT:
            living = {
                known: item
                for known, item in self._known.items()
                if item.expires_at > at
            }
            # The oldest half goes where none has expired: a dictionary keeps its order.
            gone = len(living) // 2 if len(living) >= KEPT else 0
            self._known = dict(list(living.items())[gone:])
        self._known[tag] = token


def _header(text: str) -> dict[str, Any]:
    encoded = text.partition(".")[0]
    try:
        raw = base64.b64decode(
            encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True
        )
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError) as error:
        raise TokenError("it cannot be read") from error
