"""Secrets and identifiers made at random."""

import hashlib
import hmac
import secrets


def request_id() -> str:
    """Return 16 hex digits that tie a request, its jobs and its log lines together."""
    return secrets.token_hex(8)


def new_key(prefix: str) -> str:
    """Return a fresh bearer key: ``prefix`` and 43 URL-safe characters (256 bits).

    The prefix (``mcph_``, ``mcps_``) is what secret scanners recognise.
    """
    return f"{prefix}{secrets.token_urlsafe(32)}"


def key_hash(key: str) -> bytes:
    """Return the 32 bytes under which ``key`` is stored.

    Plain SHA-256 is right here: the keys carry 256 bits of their own, so there is nothing to guess and the gateway may
    check one in a microsecond. Passwords, which people choose, go through argon2id instead.
    """
    # Strangers show bytes that are no text, too; those are nobody's key.
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def derived_key(secret: bytes, purpose: str) -> bytes:
    """Return 32 bytes made from ``secret`` that tell nothing of it, nor of those made for another ``purpose``."""
    return hmac.new(secret, purpose.encode(), hashlib.sha256).digest()


def internal_key(secret: bytes) -> str:
    """Return the bearer key with which the hub itself calls the gateway; the same secret gives the same key."""
    return f"mcpi_{derived_key(secret, 'gateway-internal').hex()}"
