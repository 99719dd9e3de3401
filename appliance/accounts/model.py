"""Who somebody is, and by what they showed it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal


class Role(StrEnum):
    """What somebody may do; ``roles.py`` has the rules."""

    ADMIN = "admin"
    MAINTAINER = "maintainer"
    READER = "reader"


@dataclass(frozen=True)
class User:
    """A person."""

    id: int
    email: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None = None


@dataclass(frozen=True)
class Principal:
    """Who asks, as the services know them."""

    #: ``None``: the system itself.
    user_id: int | None
    email: str
    role: Role
    via: Literal["session", "api_key", "system"]
    #: Of the session or the key.
    credential_id: int | None = None
    #: What a browser must send back with a write; empty where no cookie is involved.
    csrf_token: str = ""

    @property
    def name(self) -> str:
        """What the audit trail and deployments call them."""
        return self.email

    @property
    def is_admin(self) -> bool:
        """Whether they administer the box."""
        return self.role is Role.ADMIN


#: Who acts when nobody asked: the clock, the reconciler, commands on the box.
SYSTEM = Principal(None, "system", Role.ADMIN, "system")


@dataclass(frozen=True)
class Session:
    """A browser that somebody is signed in with."""

    id: int
    user_id: int
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class SignedIn:
    """A fresh session; ``token`` is the cookie's value and is not kept anywhere."""

    user: User
    token: str
    csrf_token: str
    expires_at: datetime


@dataclass(frozen=True)
class KeyLimits:
    """How much a key may ask of the gateway; ``None``: as the settings say."""

    calls_per_second: float | None = None
    #: Calls at once.
    concurrency: int | None = None


NO_LIMITS = KeyLimits()


@dataclass(frozen=True)
class ApiKey:
    """A key for programs; the key itself is known only to whoever was shown it."""

    id: int
    user_id: int
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    limits: KeyLimits = NO_LIMITS
