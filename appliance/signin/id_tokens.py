"""ID tokens (OpenID Connect Core, 3.1.3.7): what they say, once everything about them was looked at. Pure."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from appliance.signin.errors import TokenError, UnknownKeyIdError
from appliance.signin.metadata import ALGORITHMS, Key, key_for
from appliance.signin.model import Claims, Expected

LONGEST: Final = 64 * 1024
#: Seconds by which two clocks may differ.
LEEWAY_S: Final = 60
#: An ID token is read when it was made; one that is older was kept by somebody.
OLDEST_S: Final = 600
_LONGEST_SUBJECT: Final = 255
_TYPES: Final = {"", "jwt", "application/jwt"}
_HASHES: Final = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


def read(token: str, keys: Sequence[Key], expected: Expected) -> Claims:
    """Return the claims of a token that is good.

    Args:
        token: As the provider gave it for the code.
        keys: Of the provider.
        expected: What it has to say.

    Raises:
        UnknownKeyIdError: It is signed with a key that is not known yet.
        TokenError: It is not to be believed.
    """
    if len(token) > LONGEST:
        raise TokenError("it is too long")
    header = _header(token)
    check_header(header)
    key = key_for(header, keys)
    if key is None:
        raise UnknownKeyIdError("it is signed with a key that the provider has not")
    claims = _payload(token, key, str(header["alg"]))
    check_claims(claims, expected)
    return claims


def check_header(header: Mapping[str, Any]) -> None:
    """Raise ``TokenError`` unless the header is one of an ID token that may be looked at."""
    if header.get("alg") not in ALGORITHMS:
        raise TokenError("it is signed by a rule that is not taken")
    if "crit" in header:
        raise TokenError("it demands what is not known here")
    kind = header.get("typ", "")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenError("it is no ID token")


def check_claims(claims: Claims, expected: Expected) -> None:
    """Raise ``TokenError`` unless the claims are for this box, this browser and this moment."""
    if claims.get("iss") != expected.issuer:
        raise TokenError("it is of another issuer")
    _check_audience(claims, expected.client_id)
    _check_times(claims, expected.at.timestamp())
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(
        nonce.encode(), expected.nonce.encode()
    ):
        raise TokenError("it belongs to another sign-in")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT:
        raise TokenError("it does not say who it is about")
    if not subject.isprintable():
        raise TokenError("its subject is no text")


def _check_audience(claims: Claims, client_id: str) -> None:
    found = claims.get("aud")
    audiences = found if isinstance(found, list) else [found]
    if client_id not in audiences:
        raise TokenError("it is for somebody else")
    party = claims.get("azp")
    if party is not None and party != client_id:
        raise TokenError("it was made for somebody else")
    if len(audiences) > 1 and party is None:
        raise TokenError("it is for several, and does not say who asked for it")


def _check_times(claims: Claims, at: float) -> None:
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if expires + LEEWAY_S <= at:
        raise TokenError("it has expired")
    if issued > at + LEEWAY_S:
        raise TokenError("it is of the future")
    if issued < at - OLDEST_S:
        raise TokenError("it was made too long ago")
    if "nbf" in claims and _time(claims, "nbf") > at + LEEWAY_S:
        raise TokenError("it is not good yet")


def _time(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(f"it has no {name}")
    return float(value)


def check_access_token(token: str, claims: Claims, access_token: str) -> None:
    """Raise ``TokenError`` if the ID token says that the access token beside it is another one."""
    told = claims.get("at_hash")
    if told is None:
        return
    algorithm = str(_header(token).get("alg"))
    digest = _HASHES.get(algorithm[-3:], hashlib.sha512)(access_token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if not isinstance(told, str) or not hmac.compare_digest(half, told):
        raise TokenError("the access token beside it is another one")


def _header(token: str) -> Mapping[str, Any]:
    encoded = token.partition(".")[0]
    try:
        raw = base64.b64decode(
            encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True
        )
        found = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise TokenError("it cannot be read") from error
    if not isinstance(found, dict):
        raise TokenError("it cannot be read")
    return found


def _payload(token: str, key: Key, algorithm: str) -> Claims:
    import jwt  # noqa: PLC0415 - 11 MB that a hub without a provider never needs

    try:
        payload = jwt.PyJWS(algorithms=[algorithm]).decode(
            token, jwt.PyJWK(dict(key), algorithm=algorithm), algorithms=[algorithm]
        )
        found = json.loads(payload)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise TokenError("its signature is not good") from error
    if not isinstance(found, dict):
        raise TokenError("it cannot be read")
    return found
