"""Queries about keys; every function runs inside ``database.run``."""

from datetime import timedelta
from typing import Any

from appliance.core.clock import now
from appliance.core.oauth import OWN_ISSUER
from appliance.oauth.tables import SigningKeyRow

#: How long a retired key goes on checking; the view ``gateway_token_keys`` says the same. No access token lasts longer.
OVERLAP = timedelta(hours=2)


def signing_key() -> tuple[str, bytes] | None:
    """Return the name of the key that signs, and its sealed private part."""
    row = SigningKeyRow.get_or_none(
        SigningKeyRow.issuer == OWN_ISSUER, SigningKeyRow.retired_at.is_null()
    )
    return (row.kid, bytes(row.private or b"")) if row else None


def add_key(jwk: dict[str, Any], algorithm: str, sealed: bytes) -> None:
    """Add the key that signs; where another hub was quicker, its key stays."""
    SigningKeyRow.insert(
        kid=jwk["kid"],
        issuer=OWN_ISSUER,
        alg=algorithm,
        jwk=jwk,
        private=sealed,
        created_at=now(),
    ).on_conflict_ignore().execute()


def retire_key() -> None:
    """Let the key that signs sign no more, and forget its private part; what it signed stays good."""
    SigningKeyRow.update(retired_at=now(), private=None).where(
        SigningKeyRow.issuer == OWN_ISSUER, SigningKeyRow.retired_at.is_null()
    ).execute()


def public_keys() -> list[dict[str, Any]]:
    """Return the public keys that check our tokens now, the newest first."""
    rows = (
        SigningKeyRow.select(SigningKeyRow.jwk)
        .where(
            SigningKeyRow.issuer == OWN_ISSUER,
            SigningKeyRow.retired_at.is_null()
            | (SigningKeyRow.retired_at > now() - OVERLAP),
        )
        .order_by(SigningKeyRow.created_at.desc())
    )
    return [row.jwk for row in rows]
