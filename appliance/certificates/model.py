"""What a certificate is, and how far it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: Bytes that a chain, or a key, has at most.
MAX_PEM_BYTES = 64 * 1024


class Kind(StrEnum):
    """Where a certificate comes from."""

    ACME = "acme"
    OWN_CA = "own-ca"
    UPLOADED = "uploaded"


class Status(StrEnum):
    """How far a certificate is; what was good is served meanwhile."""

    WANTED = "wanted"
    ORDERING = "ordering"
    VALID = "valid"
    FAILED = "failed"
    REVOKING = "revoking"
    REVOKED = "revoked"


class ErrorKind(StrEnum):
    """Why an attempt failed; says how long to wait."""

    #: The authority's answer was not believed because of a nonce; the next one is as good as any.
    NONCE = "nonce"
    #: The authority does not answer, or says that it is broken.
    CA_DOWN = "ca-down"
    RATE_LIMITED = "rate-limited"
    #: The name is not known, or DNS does not answer.
    DNS = "dns"
    #: The name leads somewhere where nobody answers.
    UNREACHABLE = "unreachable"
    #: Whoever answers at the name is not this box.
    UNAUTHORIZED = "unauthorized"
    #: DNS says that this authority may not issue for the name.
    CAA = "caa"
    #: The authority will not issue this, whenever it is asked.
    REJECTED = "rejected"
    #: The account is gone or was revoked.
    ACCOUNT = "account"
    #: The authority wants no account of this box.
    ACCOUNT_REFUSED = "account-refused"
    #: The DNS record could not be set.
    DNS_UPDATE = "dns-update"
    #: What was issued does not fit: key, names or time.
    WRONG = "wrong"
    #: The settings do not allow this.
    SETTINGS = "settings"


#: Those that are about the authority and not about one certificate.
OF_AUTHORITY = frozenset(
    {ErrorKind.CA_DOWN, ErrorKind.ACCOUNT, ErrorKind.ACCOUNT_REFUSED}
)


class State(StrEnum):
    """How the certificate of a domain is, as the domain tells it."""

    WAITING = "waiting"
    ISSUING = "issuing"
    VALID = "valid"
    FAILED = "failed"


@dataclass(frozen=True)
class Wish:
    """A host that shall have a certificate."""

    host: str
    kind: Kind = Kind.ACME
    #: The one that somebody chose for it.
    certificate_id: int | None = None
    is_box: bool = False


@dataclass(frozen=True)
class Standing:
    """How a wish stands."""

    state: State
    reason: str
    certificate_id: int | None = None
    next_attempt_at: datetime | None = None


@dataclass(frozen=True)
class Issued:
    """A chain and its key, with what the certificate says."""

    #: PEM, the certificate first.
    chain: str
    #: PEM, PKCS#8.
    key: bytes
    names: tuple[str, ...]
    issuer: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime

    def __repr__(self) -> str:
        """Return what it is without the key."""
        return f"Issued({self.names!r}, {self.fingerprint[:16]})"


@dataclass(frozen=True)
class Certificate:
    """A certificate as it is kept; its key stays in the store."""

    id: int
    names: tuple[str, ...]
    kind: Kind
    status: Status
    is_box: bool
    is_asked: bool
    issuer: str
    serial: str
    fingerprint: str
    not_before: datetime | None
    not_after: datetime | None
    renew_at: datetime | None
    window_check_at: datetime | None
    attempts: int
    attempted_at: datetime | None
    next_attempt_at: datetime | None
    error_kind: ErrorKind | None
    error: str
    directory_url: str
    order_url: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    #: Whether an order's key is kept, so that it can go on.
    has_order: bool = False

    @property
    def is_issued(self) -> bool:
        """Whether there is a certificate, however old."""
        return self.not_after is not None


@dataclass(frozen=True)
class Account:
    """What this box is to an authority."""

    directory_url: str
    uri: str
    email: str
    status: str
    attempts: int
    attempted_at: datetime | None
    next_attempt_at: datetime | None
    error_kind: ErrorKind | None
    error: str
    created_at: datetime


@dataclass(frozen=True)
class Event:
    """One thing that happened to a certificate."""

    id: int
    at: datetime
    kind: str
    text: str


def covers(names: tuple[str, ...], host: str) -> bool:
    """Return whether a certificate of ``names`` is good for ``host``.

    >>> covers(("*.example.org",), "a.example.org"), covers(("*.example.org",), "a.b.example.org")
    (True, False)
    """
    return host in names or f"*.{host.partition('.')[2]}" in names


#: What each kind of failure is, for a person.
MEANING: Mapping[ErrorKind, str] = {
    ErrorKind.NONCE: "The authority took none of our nonces.",
    ErrorKind.CA_DOWN: "The authority does not answer.",
    ErrorKind.RATE_LIMITED: "The authority says that too much was asked of it.",
    ErrorKind.DNS: "The authority does not find the name in DNS.",
    ErrorKind.UNREACHABLE: "The authority reaches nobody at the name; port 80 must lead here.",
    ErrorKind.UNAUTHORIZED: "Somebody else answers at the name; it does not lead here.",
    ErrorKind.CAA: "A CAA record of the name forbids this authority.",
    ErrorKind.REJECTED: "The authority does not issue this.",
    ErrorKind.ACCOUNT: "The authority no longer knows our account.",
    ErrorKind.ACCOUNT_REFUSED: "The authority gives us no account.",
    ErrorKind.DNS_UPDATE: "The record that the authority asks for could not be set.",
    ErrorKind.WRONG: "What the authority issued does not fit.",
    ErrorKind.SETTINGS: "The settings do not allow it.",
}
