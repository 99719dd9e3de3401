"""How a client shows that it is itself: a secret, or something that it signed. Pure, but for the clock that it is given."""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from appliance.core.ids import key_hash
from appliance.core.oauth import CLIENT_ALGORITHMS
from appliance.oauth.errors import OAuthError, bad_client
from appliance.oauth.model import AuthMethod, Client

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: What a client signs may be good for so long, and no longer: each must be remembered until then.
LONGEST_ASSERTION = timedelta(minutes=10)
#: Between two clocks.
LEEWAY_S = 30


@dataclass(frozen=True)
class Credentials:
    """What a request shows of its client."""

    client_id: str
    method: AuthMethod = AuthMethod.NONE
    secret: str = field(default="", repr=False)
    #: A JWT that the client signed.
    assertion: str = field(default="", repr=False)


@dataclass(frozen=True)
class Assertion:
    """What a client signed, and until when it must not count again."""

    jti_hash: bytes
    expires_at: datetime


def check_secret(client: Client, shown: Credentials, at: datetime) -> None:
    """Raise ``OAuthError`` unless the request shows what this client has, in the way that it said.

    Args:
        client: Which one it says that it is.
        shown: What it shows.
        at: The moment, for a secret that was exchanged.
    """
    # A secret may come either way: RFC 6749 has servers take both, and libraries mix them up.
    ways = {AuthMethod.BASIC, AuthMethod.POST}
    if client.auth_method in ways:
        if shown.method not in ways or not _is_secret(client, shown.secret, at):
            raise bad_client("The client's secret is missing or wrong.")
    elif shown.method is not client.auth_method:
        raise bad_client(f"This client shows itself by {client.auth_method.value}.")


def _is_secret(client: Client, secret: str, at: datetime) -> bool:
    hashed = key_hash(secret)
    until = client.old_secret_until
    good = [client.secret_hash]
    if until is not None and at < until:
        good.append(client.old_secret_hash)
    # Every one is compared, whichever is right.
    found = [hmac.compare_digest(hashed, item) for item in good if item]
    return any(found)


def checked_assertion(
    client: Client, assertion: str, audiences: tuple[str, ...], at: datetime
) -> Assertion:
    """Return what a client signed to show that it is itself (RFC 7523), to be remembered.

    Raises:
        OAuthError: It was signed by somebody else, for somebody else, or is too old.
    """
    import jwt  # noqa: PLC0415 - few clients sign

    try:
        key = _key(client, jwt.get_unverified_header(assertion).get("kid"))
        claims: dict[str, Any] = jwt.decode(
            assertion,
            jwt.PyJWK(key),
            algorithms=list(CLIENT_ALGORITHMS),
            audience=list(audiences),
            issuer=client.client_id,
            subject=client.client_id,
            leeway=LEEWAY_S,
            options={"require": ["iss", "sub", "aud", "exp", "jti"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise bad_client(f"The client's assertion is not good: {error}.") from error
    expires_at = _moment(claims["exp"])
    if expires_at > at + LONGEST_ASSERTION + timedelta(seconds=LEEWAY_S):
        raise bad_client("The client's assertion must end within 10 minutes.")
    digest = hashlib.sha256(f"{client.client_id}\0{claims['jti']}".encode()).digest()
    return Assertion(digest, expires_at + timedelta(seconds=LEEWAY_S))


def _moment(seconds: Any) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise bad_client("The client's assertion never ends.") from error


def _key(client: Client, kid: Any) -> dict[str, Any]:
    keys = (client.jwks or {}).get("keys", [])
    if kid is not None:
        keys = [key for key in keys if key.get("kid") == kid]
    if len(keys) != 1:
        raise OAuthError("invalid_client", "The client has no such key.")
    found: dict[str, Any] = keys[0]
    return found
