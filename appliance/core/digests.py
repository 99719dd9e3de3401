"""Digests as registries and engines write them. Pure."""

import hashlib


def digest_of(content: bytes) -> str:
    """Return ``sha256:`` and the hash of ``content`` in hexadecimal."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
