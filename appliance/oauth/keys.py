"""The keys that sign access tokens: made at first use, sealed at rest, exchanged while the old one goes on checking."""

import hashlib
import json
from base64 import urlsafe_b64encode
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from appliance.accounts.access import require_administer
from appliance.accounts.model import Principal
from appliance.core.oauth import ALGORITHM
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer, UnsealError
from appliance.oauth import key_store as store
from appliance.oauth.tokens import SigningKey
from appliance.observability import audit

log = structlog.get_logger("oauth")

_COORDINATE_BYTES = 32


class TokenKeys:
    """Keeps the key that signs, and the public part of those that did.

    Args:
        sealer: Seals the private part.
    """

    def __init__(self, database: Database, sealer: Sealer) -> None:
        """Keep the parts; no key is made yet."""
        self._database = database
        self._sealer = sealer
        self._unsealed: SigningKey | None = None

    async def signer(self) -> SigningKey:
        """Return what signs; the key is made now if there is none, or if JWT_SECRET is another one than when it was made."""
        return await self._database.run(self.signer_in_transaction)

    def signer_in_transaction(self) -> SigningKey:
        """Return what signs, inside ``database.run``."""
        kid, sealed = store.signing_key() or self._make()
        if self._unsealed is None or self._unsealed.kid != kid:
            try:
                self._unsealed = self._open(kid, sealed)
            except UnsealError:
                # What it signed stays good; nobody can sign with it any more.
                log.warning("oauth.key_lost", kid=kid)
                store.retire_key()
                self._unsealed = self._open(*self._make())
        return self._unsealed

    def _open(self, kid: str, sealed: bytes) -> SigningKey:
        return SigningKey(kid, self._sealer.unseal(sealed, _purpose(kid)).decode())

    async def jwks(self) -> dict[str, Any]:
        """Return the public keys under which a token of ours may be good (RFC 7517)."""

        def read() -> list[dict[str, Any]]:
            if store.signing_key() is None:
                self._make()
            return store.public_keys()

        return {"keys": await self._database.run(read)}

    async def rotate(self, principal: Principal) -> str:
        """Make a new key and let it sign from now on; return its name. Tokens of the one before stay good until they end.

        Raises:
            NotAllowedError: The principal is no administrator.
        """
        require_administer(principal)

        def write() -> str:
            store.retire_key()
            kid, _ = self._make()
            audit.record(
                principal,
                "oauth.rotate_key",
                object_type="oauth_key",
                object_name=kid,
            )
            return kid

        return await self._database.run(write)

    def _make(self) -> tuple[str, bytes]:
        """Return the key that signs after this transaction: ours, or that of a hub that was quicker."""
        private = generate_private_key(SECP256R1())
        jwk = public_jwk(private.public_key())
        sealed = self._sealer.seal(_pem(private), _purpose(jwk["kid"]))
        store.add_key(jwk, ALGORITHM, sealed)
        found = store.signing_key()
        if found is None:
            raise AssertionError("unreachable: a key was just written")
        return found


def public_jwk(key: EllipticCurvePublicKey) -> dict[str, Any]:
    """Return ``key`` as a JWK, named by its thumbprint (RFC 7638)."""
    numbers = key.public_numbers()
    # In this order and without spaces: the thumbprint is made of it.
    members = {
        "crv": "P-256",
        "kty": "EC",
        "x": _base64(numbers.x.to_bytes(_COORDINATE_BYTES)),
        "y": _base64(numbers.y.to_bytes(_COORDINATE_BYTES)),
    }
    digest = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode())
    return {**members, "kid": _base64(digest.digest()), "alg": ALGORITHM, "use": "sig"}


def _pem(private: EllipticCurvePrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _purpose(kid: str) -> str:
    return f"oauth-key:{kid}"
