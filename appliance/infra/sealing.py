"""Small secrets at rest: what is stored can be read only by whoever has JWT_SECRET, and only for what it was sealed for."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.core.errors import UnavailableError

#: First byte of whatever is sealed, so that another way of sealing can be told apart.
VERSION = b"\x01"
NONCE_BYTES = 12
KEY_BYTES = 32


class UnsealError(UnavailableError):
    """What was sealed cannot be read: JWT_SECRET is another one than then, or somebody changed the bytes."""

    code = "sealed_with_another_secret"


class Sealer:
    """Seals with AES-256-GCM under keys derived from one secret, another for each purpose.

    Args:
        secret: JWT_SECRET; at least 32 random bytes, so that no slow derivation is needed.
        previous: JWT_SECRET_PREVIOUS; opens what it sealed, and seals nothing.
    """

    def __init__(self, secret: bytes, *previous: bytes) -> None:
        """Keep the secrets."""
        self._secret = secret
        self._previous = previous

    def seal(self, plain: bytes, purpose: str) -> bytes:
        """Return ``plain`` sealed; twice the same gives different bytes.

        Args:
            purpose: What it is and whose, such as ``webhook:17``: bytes that are moved to another row do not open there.
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = AESGCM(_key(self._secret, purpose)).encrypt(nonce, plain, VERSION)
        return VERSION + nonce + sealed

    def unseal(self, sealed: bytes, purpose: str) -> bytes:
        """Return what was sealed.

        Raises:
            UnsealError: It was sealed with another secret or for another purpose, or was changed.
        """
        version, rest = sealed[:1], sealed[1:]
        nonce, sealed_bytes = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
        for secret in (self._secret, *self._previous):
            try:
                # The version takes part as associated data, so another one does not open either.
                return AESGCM(_key(secret, purpose)).decrypt(
                    nonce, sealed_bytes, version
                )
            except (InvalidTag, ValueError):
                continue
        raise UnsealError(
            "A stored secret cannot be read.",
            hint="JWT_SECRET or JWT_SECRET_PREVIOUS must be what it was when the secret was stored; else store it anew.",
        )


def _key(secret: bytes, purpose: str) -> bytes:
    derivation = HKDF(
        algorithm=SHA256(),
        length=KEY_BYTES,
        salt=None,
        info=f"mcp-host sealing {purpose}".encode(),
    )
    return derivation.derive(secret)
