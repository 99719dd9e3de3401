"""Clients, what people allow them, and the tokens that come of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class ClientKind(StrEnum):
    """How a client became known."""

    #: Its id is the URL of a document that describes it.
    DOCUMENT = "document"
    #: It registered itself.
    DYNAMIC = "dynamic"
    #: Somebody made it for a program that runs without people.
    MACHINE = "machine"
    #: Somebody made it for a program through which people act, and named where it sends them.
    MADE = "made"


class AuthMethod(StrEnum):
    """How a client shows that it is itself."""

    NONE = "none"
    BASIC = "client_secret_basic"
    POST = "client_secret_post"
    PRIVATE_KEY = "private_key_jwt"


@dataclass(frozen=True)
class Client:
    """A program that acts for people, or by itself."""

    client_id: str
    kind: ClientKind
    #: What it calls itself: not to be trusted.
    name: str
    redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ()
    auth_method: AuthMethod = AuthMethod.NONE
    uri: str = ""
    #: Public keys, of a client that signs.
    jwks: dict[str, Any] | None = None
    secret_hash: bytes | None = None
    old_secret_hash: bytes | None = None
    old_secret_until: datetime | None = None
    #: The most it may have; empty: everything.
    scope: tuple[str, ...] = ()
    #: Who made it, if somebody did.
    user_id: int | None = None
    created_at: datetime | None = None
    last_used_at: datetime | None = None
    #: Of a document: when it is fetched again.
    fresh_until: datetime | None = None


@dataclass(frozen=True)
class Grant:
    """What somebody allowed a client."""

    id: int
    user_id: int
    client_id: str
    issuer: str
    resource: str
    scope: tuple[str, ...]
    is_machine: bool
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True)
class Code:
    """An authorization code, without the code itself."""

    grant_id: int
    redirect_uri: str
    challenge: str
    expires_at: datetime
    #: When its client showed it.
    used_at: datetime | None


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token, without the token itself."""

    grant_id: int
    expires_at: datetime
    #: When it was replaced.
    used_at: datetime | None


@dataclass(frozen=True)
class Connection:
    """A grant as people see it: with the client's name."""

    grant: Grant
    client: Client
    #: Whose it is.
    email: str


@dataclass(frozen=True)
class AuthorizationRequest:
    """What a client asked for, proven: client, redirect and resource belong together."""

    client: Client
    #: Exactly as it was sent.
    redirect_uri: str
    challenge: str
    resource: str
    scope: tuple[str, ...]
    state: str
    issuer: str


@dataclass(frozen=True)
class Tokens:
    """What the token endpoint answers."""

    access_token: str = field(repr=False)
    expires_in_s: int
    scope: tuple[str, ...]
    #: Empty: none was issued.
    refresh_token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Claims:
    """What an access token says."""

    issuer: str
    subject: str
    audience: str
    client_id: str
    scope: tuple[str, ...]
    grant_id: int
    #: ``user:5``, where ``subject`` is a client.
    acts_for: str = ""
