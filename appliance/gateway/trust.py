"""Whose access tokens are taken: the part of the routing table that is about them. Pure."""

from dataclasses import dataclass, field
from typing import Any


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
