"""A short text under a passphrase, as age's own format has it, so that anybody's age opens it.

The library seals by a passphrase, too, but chooses how much work that takes by a stopwatch, and on opening refuses what seems
too much for the box by another look at it: on a busy or a slower box, a good passphrase then opens nothing. Here the work is
always the same. https://c2sp.org/age
"""

import base64
import hashlib
import hmac
import re
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

#: Half a second and 128 MiB: as much for everybody who guesses.
WORK = 17
#: More than this is nobody's backup.
MAX_WORK = 22
_R = 8
_LABEL = b"age-encryption.org/v1/scrypt"
_FILE_KEY_BYTES = 16
_NONCE_BYTES = 16
#: Of the one and last chunk of a payload.
_LAST = bytes(11) + b"\x01"
_SMALL = 64 * 1024
_HEADER = re.compile(
    rb"(age-encryption\.org/v1\n-> scrypt ([A-Za-z0-9+/]{22}) ([0-9]{1,2})\n([A-Za-z0-9+/]{43})\n---) ([A-Za-z0-9+/]{43})\n"
)


class WrongPassphraseError(Exception):
    """The passphrase does not open it, or it is no such text."""


def seal(text: bytes, passphrase: str) -> bytes:
    """Return ``text``, of at most 64 KiB, sealed. Takes half a second on purpose."""
    if len(text) > _SMALL:
        raise ValueError("only short texts are sealed so")
    file_key, salt = secrets.token_bytes(_FILE_KEY_BYTES), secrets.token_bytes(16)
    key = _stretched(passphrase, salt, WORK)
    body = ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)
    header = b"age-encryption.org/v1\n-> scrypt %s %d\n%s\n---" % (
        _encode(salt),
        WORK,
        _encode(body),
    )
    nonce = secrets.token_bytes(_NONCE_BYTES)
    payload = ChaCha20Poly1305(_derived(file_key, nonce, b"payload"))
    sealed = payload.encrypt(_LAST, text, None)
    return header + b" " + _encode(_mac(file_key, header)) + b"\n" + nonce + sealed


def unseal(sealed: bytes, passphrase: str) -> bytes:
    """Return what was sealed.

    Raises:
        WrongPassphraseError: The passphrase is another, or ``sealed`` is nothing that ``seal`` made.
    """
    match = _HEADER.match(sealed)
    if match is None or not 1 <= int(match[3]) <= MAX_WORK:
        raise WrongPassphraseError
    key = _stretched(passphrase, _decode(match[2]), int(match[3]))
    try:
        file_key = ChaCha20Poly1305(key).decrypt(bytes(12), _decode(match[4]), None)
        if not hmac.compare_digest(_mac(file_key, match[1]), _decode(match[5])):
            raise WrongPassphraseError
        rest = sealed[match.end() :]
        payload_key = _derived(file_key, rest[:_NONCE_BYTES], b"payload")
        return ChaCha20Poly1305(payload_key).decrypt(_LAST, rest[_NONCE_BYTES:], None)
    except InvalidTag as error:
        raise WrongPassphraseError from error


def _stretched(passphrase: str, salt: bytes, work: int) -> bytes:
    return hashlib.scrypt(
        passphrase.encode(),
        salt=_LABEL + salt,
        n=2**work,
        r=_R,
        p=1,
        dklen=32,
        maxmem=2**work * _R * 128 + 2**20,
    )


def _derived(file_key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=salt, info=info).derive(file_key)


def _mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.new(_derived(file_key, b"", b"header"), header, "sha256").digest()


def _encode(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4))
