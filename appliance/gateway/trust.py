"""Whose access tokens are taken: the part of the routing table that is about them."""

from dataclasses import dataclass, field
from typing import Any

import psycopg2.extensions

_KEYS = "SELECT kid, issuer, alg, jwk FROM gateway_token_keys"
_REVOKED = "SELECT grant_id FROM gateway_revoked_grants"
_ADDRESSES = "SELECT email, user_id FROM gateway_addresses"
_ISSUERS = "SELECT issuer, metadata FROM gateway_issuers"


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A public key that checks tokens."""

    kid: str
    #: Empty: the built-in authorization server.
    issuer: str
    alg: str
    jwk: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trust:
    """What tokens are checked by, at one moment."""

    #: By their ids.
    keys: dict[str, TokenKey] = field(default_factory=dict)
    #: Grants whose tokens are good no longer, for as long as one may be about.
    revoked_grants: frozenset[int] = frozenset()
    #: Addresses of people, in lower case, to their numbers: another issuer knows no others.
    addresses: dict[str, int] = field(default_factory=dict)
    #: The metadata of other issuers, by their URLs.
    issuers: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_trust(cursor: psycopg2.extensions.cursor) -> Trust:
    """Return what the views say, within the caller's transaction. Blocking."""
    cursor.execute(_KEYS)
    keys = {row[0]: TokenKey(*row) for row in cursor.fetchall()}
    cursor.execute(_REVOKED)
    revoked = frozenset(row[0] for row in cursor.fetchall())
    cursor.execute(_ADDRESSES)
    addresses = dict(cursor.fetchall())
    cursor.execute(_ISSUERS)
    return Trust(keys, revoked, addresses, dict(cursor.fetchall()))
