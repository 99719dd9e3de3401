"""What a domain is: a name that a server is to be reached under, beside its address at the gateway."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: Before the name whose owner has to show something.
CHALLENGE_LABEL = "_mcp-host"
WILDCARD = "*."


class Status(StrEnum):
    """How far a domain is."""

    #: Nobody has shown yet whose it is.
    PENDING = "pending"
    #: It is served, and its certificate is on its way.
    ISSUING = "issuing"
    ACTIVE = "active"
    #: Somebody has to do something; the reason says what.
    ERROR = "error"


class Proof(StrEnum):
    """By what it was shown whose it is."""

    ADDRESS = "address"
    TXT = "txt"
    #: It lies below BASE_DOMAIN.
    BASE = "base"
    #: An administrator said so.
    ADMIN = "admin"


class CertificateKind(StrEnum):
    """Where its certificate comes from."""

    ACME = "acme"
    OWN_CA = "own-ca"
    UPLOADED = "uploaded"


class TxtBecause(StrEnum):
    """Why addresses alone show nothing, and the TXT record is needed."""

    NONE = ""
    WILDCARD = "wildcard"
    #: Somebody else had it, and DNS may go on pointing here.
    RELEASED = "released"
    #: It lies below somebody else's wildcard, which points here.
    COVERED = "covered"


@dataclass(frozen=True)
class Record:
    """A record to set at whoever keeps the zone."""

    type: str
    name: str
    value: str
    #: What it is for, for people.
    purpose: str


@dataclass(frozen=True)
class Held:
    """The certificate that a name has, or waits for."""

    #: Empty: none has come yet.
    issuer: str
    not_after: datetime | None
    renew_at: datetime | None
    #: When it is tried again; ``None``: nothing failed.
    next_attempt_at: datetime | None


@dataclass(frozen=True)
class Domain:
    """A name that somebody claims for a server."""

    id: int
    server_id: int
    server_name: str
    #: As DNS has it: lower case, A-labels; ``*.`` before it where it is every name right below.
    host: str
    #: Another name of the same server, where this one sends its visitors.
    redirect_to: str | None
    challenge: str
    txt_because: TxtBecause
    verified_by: Proof | None
    verified_at: datetime | None
    certificate_kind: CertificateKind
    certificate_id: int | None
    #: ``None``: the box's own authority serves, and nothing else is on its way.
    certificate: Held | None
    status: Status
    #: For people; empty: there is nothing to say.
    reason: str
    #: What the last check saw, for people; empty: none was made.
    found: str
    #: How often in a row it was looked at in vain.
    checks: int
    checked_at: datetime | None
    next_check_at: datetime | None
    #: Since when the checks of a verified name find it elsewhere.
    away_since: datetime | None
    told_at: datetime | None
    created_by: str
    created_at: datetime
    #: Whose the server is: a person's number, or an organisation's below zero.
    owner: int

    @property
    def is_verified(self) -> bool:
        """Whether it is served."""
        return self.verified_at is not None

    @property
    def is_wildcard(self) -> bool:
        """Whether it is every name right below another."""
        return self.host.startswith(WILDCARD)

    @property
    def challenge_name(self) -> str:
        """Where the TXT record has to be."""
        return challenge_name(self.host)


def challenge_name(host: str) -> str:
    """Return the name of the TXT record that shows whose ``host`` is; of a wildcard, of the name that it stands before."""
    return f"{CHALLENGE_LABEL}.{host.removeprefix(WILDCARD)}"
