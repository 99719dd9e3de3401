"""The appliance's own signing key: made at first use, sealed at rest, exchanged without making old evidence worthless."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance.accounts.access import require_administer
from appliance.accounts.model import Principal
from appliance.evidence import store
from appliance.evidence.model import PublicKey
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.observability import audit


@dataclass(frozen=True)
class Signer:
    """A key that signs."""

    key_id: str
    sign: Callable[[bytes], bytes]


class SigningKeys:
    """Keeps the key that signs, and the public part of every key that did.

    Args:
        sealer: Seals the private part.
    """

    def __init__(self, database: Database, sealer: Sealer) -> None:
        """Keep the parts; no key is made yet."""
        self._database = database
        self._sealer = sealer

    async def signer(self) -> Signer:
        """Return what signs; the key is made now if there is none.

        Raises:
            UnsealError: JWT_SECRET is another one than when the key was made; exchange the key.
        """
        found = await self._database.run(store.signing_key)
        if found is None:
            found = await self._database.run(self._make)
        public, sealed = found
        raw = self._sealer.unseal(sealed, _purpose(public.id))
        return Signer(public.id, Ed25519PrivateKey.from_private_bytes(raw).sign)

    async def current(self) -> PublicKey:
        """Return the public part of the key that signs; the key is made now if there is none."""
        found = await self._database.run(store.signing_key)
        if found is None:
            found = await self._database.run(self._make)
        return found[0]

    async def all(self) -> list[PublicKey]:
        """Return every key that ever signed, the newest first."""
        await self.current()
        return await self._database.run(store.keys)

    async def rotate(self, principal: Principal) -> PublicKey:
        """Make a new key and let it sign from now on; the private part of the one before is forgotten.

        Raises:
            NotAllowedError: The principal is no administrator.
        """
        require_administer(principal)

        def write() -> PublicKey:
            store.retire_key()
            public, _ = self._make()
            audit.record(
                principal,
                "evidence.rotate_key",
                object_type="evidence_key",
                object_name=public.id,
            )
            return public

        return await self._database.run(write)

    def _make(self) -> tuple[PublicKey, bytes]:
        """Return the key that signs after this transaction: ours, or that of a hub that was quicker."""
        private = Ed25519PrivateKey.generate()
        key_id = id_of(private)
        pem = private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        sealed = self._sealer.seal(private.private_bytes_raw(), _purpose(key_id))
        store.add_key(key_id, pem.decode(), sealed)
        found = store.signing_key()
        if found is None:
            raise AssertionError("unreachable: a key was just written")
        return found


def id_of(private: Ed25519PrivateKey) -> str:
    """Return the SHA-256 of the public part's DER form in hexadecimal: what cosign takes for a key's hint, too."""
    der = private.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


def _purpose(key_id: str) -> str:
    return f"evidence-key:{key_id}"
