"""Access tokens: RFC 9068 JWTs, signed with ES256. Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from appliance.core.oauth import ALGORITHM, JWT_TYPE
from appliance.oauth.model import Claims


@dataclass(frozen=True)
class SigningKey:
    """What signs, and under which name."""

    kid: str
    #: PEM.
    private: str = field(repr=False)


def claims_of(
    claims: Claims, *, token_id: str, at: datetime, lasts: timedelta
) -> dict[str, Any]:
    """Return the payload of an access token.

    Args:
        token_id: Becomes ``jti``.
        at: When it is issued.
        lasts: How long it is good.
    """
    found: dict[str, Any] = {
        "iss": claims.issuer,
        "sub": claims.subject,
        "aud": claims.audience,
        "client_id": claims.client_id,
        "scope": " ".join(claims.scope),
        "iat": int(at.timestamp()),
        "exp": int((at + lasts).timestamp()),
        "jti": token_id,
        "gid": claims.grant_id,
    }
    if claims.acts_for:
        found["act_for"] = claims.acts_for
    return found


def sign(key: SigningKey, payload: dict[str, Any]) -> str:
    """Return ``payload`` as a signed token."""
    import jwt  # noqa: PLC0415 - most hubs sign nothing for hours

    return jwt.encode(
        payload,
        key.private,
        algorithm=ALGORITHM,
        headers={"typ": JWT_TYPE, "kid": key.kid},
    )
