"""Who somebody is, and by what they showed it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal


class Role(StrEnum):
    """What somebody is on the box; ``access.py`` says what that allows."""

    ADMIN = "admin"
    MEMBER = "member"
    READER = "reader"


class MemberRole(StrEnum):
    """What somebody is in an organisation; each may do what the ones before it may."""

    READER = "reader"
    DEPLOYER = "deployer"
    MAINTAINER = "maintainer"
    OWNER = "owner"


class Action(StrEnum):
    """What somebody may want with a thing."""

    #: Know of it, and read what is told of it.
    SEE = "see"
    #: Use its tools.
    CALL = "call"
    #: Start, stop, redeploy, go back: what runs, not what it is.
    DEPLOY = "deploy"
    #: Its configuration, secrets, files and keys.
    CHANGE = "change"
    CREATE = "create"
    DELETE = "delete"
    #: Give it to somebody else.
    TRANSFER = "transfer"
    #: Who belongs to an organisation, and how.
    MANAGE = "manage"
    #: The box: its people, jobs, keys and trail.
    ADMINISTER = "administer"


@dataclass(frozen=True)
class Scope:
    """What a credential is narrowed to; it never gives what its holder may not do."""

    #: ``None``: every action.
    actions: frozenset[Action] | None = None
    #: Numbers of servers; ``None``: everything, else these servers and nothing besides.
    servers: frozenset[int] | None = None


@dataclass(frozen=True)
class Identity:
    """Who a person is at a provider of identities; they may sign in by it."""

    id: int
    user_id: int
    issuer: str
    #: The provider's own number or name for them, which never becomes another's.
    subject: str
    #: As the provider had it when they last came.
    email: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True)
class Arrival:
    """Whom a provider sends; that it does was proven."""

    issuer: str
    subject: str
    #: Empty: the provider told none.
    email: str
    #: Whether the address is theirs, as far as the provider may be trusted with that.
    is_verified: bool
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class User:
    """A person."""

    id: int
    email: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None = None
    #: How many servers of their own they may have; ``None``: any number.
    server_quota: int | None = None
    has_password: bool = True
    #: Where lists of people show it.
    identities: tuple[Identity, ...] = ()


@dataclass(frozen=True)
class UserChange:
    """What shall be otherwise with a person; what is ``None`` stays."""

    role: Role | None = None
    is_disabled: bool | None = None
    #: Whether ``server_quota`` is meant, which may be ``None`` for any number.
    sets_quota: bool = False
    server_quota: int | None = None


@dataclass(frozen=True)
class ResetLink:
    """By what somebody may set a new password; ``token`` is not kept anywhere."""

    user: User
    token: str
    expires_at: datetime


@dataclass(frozen=True)
class Principal:
    """Who asks, as the services know them."""

    #: ``None``: the system itself.
    user_id: int | None
    email: str
    role: Role
    via: Literal["session", "api_key", "token", "system"]
    #: Of the session or the key.
    credential_id: int | None = None
    #: What a browser must send back with a write; empty where no cookie is involved.
    csrf_token: str = ""
    #: What they are in which organisation, by its number.
    memberships: Mapping[int, MemberRole] = field(default_factory=dict)
    #: Of the organisation that a service key acts for, which is nobody's; what it may do there is in ``memberships``.
    org_id: int | None = None
    #: ``None``: all that the person may do.
    scope: Scope | None = None

    @property
    def name(self) -> str:
        """What the audit trail and deployments call them."""
        return self.email

    @property
    def is_admin(self) -> bool:
        """Whether they administer the box, with what they came with."""
        if self.scope is None:
            return self.role is Role.ADMIN
        actions, servers = self.scope.actions, self.scope.servers
        is_whole = actions is None or Action.ADMINISTER in actions
        return self.role is Role.ADMIN and is_whole and servers is None


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
    #: ``None``: it acts for an organisation.
    user_id: int | None
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    limits: KeyLimits = NO_LIMITS
    #: Of the organisation that it acts for; then it belongs to nobody, and stays when whoever made it goes.
    org_id: int | None = None
    #: What it is there.
    org_role: MemberRole | None = None
    #: ``None``: it may do whatever its holder may.
    scope: Scope | None = None
    #: Number of the key that took its place; this one works until its end.
    replaced_by: int | None = None


@dataclass(frozen=True)
class NewKey:
    """A key that somebody wants."""

    name: str
    expires_at: datetime | None = None
    limits: KeyLimits = NO_LIMITS
    scope: Scope | None = None
    #: The organisation that it shall act for, by number or name; ``None``: whoever makes it.
    org: int | str | None = None
    org_role: MemberRole | None = None
