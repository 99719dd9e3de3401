"""Envelope encryption: each value under a key of its own, and that key under the master key. Pure.

A data key is made for one value and used once. What is sealed says whose it is, so that bytes which are moved to another
row, or to another version of the same secret, do not open there.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.secrets.errors import MasterKeyError, SealBrokenError

KEY_BYTES = 32
_NONCE_BYTES = 12
#: First byte of all that is sealed, so that another way of sealing can be told apart.
_FORMAT = b"\x01"


@dataclass(frozen=True)
class KeyRing:
    """Master keys by their ids."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)

    def key(self, key_id: str) -> bytes:
        """Return a key.

        Raises:
            MasterKeyError: The ring has none of this id.
        """
        try:
            return self.keys[key_id]
        except KeyError:
            raise MasterKeyError(
                f"A value is sealed under master key {key_id}, which the key file does not have.",
                hint="Restore the file that SECRETS_MASTER_KEY_FILE names, or set the value anew.",
            ) from None


@dataclass(frozen=True)
class Place:
    """Where a value belongs, and nowhere else."""

    server_id: int
    name: str
    version: int

    @property
    def data(self) -> bytes:
        """What is authenticated along with the value. A name has no NUL, so no two places look alike."""
        return (
            f"mcp-host secret\0{self.server_id}\0{self.name}\0{self.version}".encode()
        )


@dataclass(frozen=True)
class Envelope:
    """A sealed value."""

    key_id: str
    wrapped_key: bytes
    value: bytes


def new_key() -> tuple[str, bytes]:
    """Return a new master key with its id."""
    return f"mk_{secrets.token_hex(6)}", secrets.token_bytes(KEY_BYTES)


def seal(ring: KeyRing, plain: bytes, place: Place) -> Envelope:
    """Return ``plain`` sealed under a fresh data key; twice the same gives different bytes."""
    data_key = secrets.token_bytes(KEY_BYTES)
    return Envelope(
        key_id=ring.current,
        wrapped_key=_wrapped(ring, ring.current, data_key, place),
        value=_encrypted(data_key, plain, place.data),
    )


def unseal(ring: KeyRing, envelope: Envelope, place: Place) -> bytes:
    """Return what was sealed.

    Raises:
        MasterKeyError: The ring does not have its key.
        SealBrokenError: It was changed, or sealed for another place.
    """
    data_key = _unwrapped(ring, envelope, place)
    return _decrypted(data_key, envelope.value, place.data, place)


def rewrap(ring: KeyRing, envelope: Envelope, place: Place) -> Envelope:
    """Return the same value with its key under the current master key; the value's own bytes stay as they are.

    Raises:
        MasterKeyError: The ring does not have the key that it is under now.
        SealBrokenError: It was changed, or sealed for another place.
    """
    data_key = _unwrapped(ring, envelope, place)
    wrapped = _wrapped(ring, ring.current, data_key, place)
    return Envelope(ring.current, wrapped, envelope.value)


def _wrapped(ring: KeyRing, key_id: str, data_key: bytes, place: Place) -> bytes:
    return _encrypted(ring.key(key_id), data_key, _about_key(key_id, place))


def _unwrapped(ring: KeyRing, envelope: Envelope, place: Place) -> bytes:
    about = _about_key(envelope.key_id, place)
    key = ring.key(envelope.key_id)
    return _decrypted(key, envelope.wrapped_key, about, place)


def _about_key(key_id: str, place: Place) -> bytes:
    return b"key\0" + key_id.encode() + b"\0" + place.data


def _encrypted(key: bytes, plain: bytes, about: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _FORMAT + nonce + AESGCM(key).encrypt(nonce, plain, _FORMAT + about)


def _decrypted(key: bytes, sealed: bytes, about: bytes, place: Place) -> bytes:
    head, nonce, rest = (
        sealed[:1],
        sealed[1 : 1 + _NONCE_BYTES],
        sealed[1 + _NONCE_BYTES :],
    )
    try:
        return AESGCM(key).decrypt(nonce, rest, head + about)
    except (InvalidTag, ValueError) as error:
        raise SealBrokenError(
            f"The stored value of {place.name} does not open: it was changed, or belongs elsewhere.",
            hint="Set it anew.",
        ) from error
