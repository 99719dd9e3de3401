"""Checksums as headers carry them: ``Repr-Digest`` and ``Content-Digest`` of RFC 9530, ``Digest`` of RFC 3230. Pure."""

import base64
import binascii
import re
from collections.abc import Mapping

from appliance.core.errors import InvalidError

REPR_DIGEST = "Repr-Digest"
WANT_REPR_DIGEST = "Want-Repr-Digest"
#: A file is sent as it is, so all of them mean the same bytes.
HEADERS = (REPR_DIGEST, "Content-Digest", "Digest")
_SIZE = 32
_ITEM = re.compile(
    r"(?:^|,)\s*sha-256\s*=\s*(?::([A-Za-z0-9+/=]*):|([A-Za-z0-9+/=]+))\s*(?=,|;|$)",
    re.IGNORECASE,
)
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_NOTHING_WANTED = re.compile(r"sha-256\s*=\s*0\b", re.IGNORECASE)


class ChecksumError(InvalidError):
    """The file that came is not the one that was announced, or its checksum cannot be read."""

    code = "file_checksum"


def expected(headers: Mapping[str, str], given: str) -> str:
    """Return the SHA-256 that a file must have, in hex; empty: nobody says.

    Args:
        headers: Of the request.
        given: From the query or a form: hex, with or without ``sha256:``.

    Raises:
        ChecksumError: It is none.
    """
    if given:
        digits = given.removeprefix("sha256:")
        if not _HEX.fullmatch(digits):
            raise ChecksumError.field("sha256", "must be 64 hexadecimal digits")
        return digits.lower()
    for name in HEADERS:
        found = _ITEM.search(headers.get(name, ""))
        if found:
            return _decoded(found[1] or found[2] or "", name)
    return ""


def _decoded(text: str, name: str) -> str:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != _SIZE:
        raise ChecksumError.field(name, "must be sha-256=:<base64 of 32 bytes>:")
    return raw.hex()


def header_value(sha256: str) -> str:
    """Return the value of ``Repr-Digest`` for a checksum in hex."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def is_wanted(header: str) -> bool:
    """Tell whether ``Want-Repr-Digest`` asks for a SHA-256."""
    return "sha-256" in header.lower() and not _NOTHING_WANTED.search(header)
