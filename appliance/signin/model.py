"""A provider, and a way to it and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Client:
    """What this box is at the provider, and what it reads from there."""

    issuer: str
    client_id: str
    #: Empty: a public client.
    secret: str = field(repr=False)
    scopes: str
    email_claim: str
    group_claim: str
    #: Whether an address counts as verified where nothing is said of that.
    trusts_email: bool


@dataclass(frozen=True)
class Metadata:
    """What a provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    #: Empty: there is none.
    userinfo_endpoint: str
    end_session_endpoint: str
    auth_methods: tuple[str, ...]
    #: Whether its answers always say whose they are (RFC 9207).
    names_itself: bool


@dataclass(frozen=True)
class Departure:
    """A browser is sent to the provider."""

    url: str
    state: str
    #: What the browser keeps, so that nobody else comes back in its place.
    browser: str = field(repr=False)


@dataclass(frozen=True)
class Attempt:
    """Somebody who is on the way; all of it is sealed, but for the hashes by which it is found."""

    nonce: str
    verifier: str = field(repr=False)
    redirect_uri: str
    #: Where they go afterwards.
    wanted: str
    #: Whose session asks to link the provider's person with itself; ``None``: they sign in.
    links_session: int | None = None


@dataclass(frozen=True)
class Tokens:
    """What a code was exchanged for."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)


@dataclass(frozen=True)
class Expected:
    """What an ID token has to say."""

    issuer: str
    client_id: str
    nonce: str
    at: datetime


Claims = Mapping[str, Any]
