"""What is known of a version: certifications, and the evidence for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

#: The job that looks again at what is held; whose it is, is a room above.
REVIEW = "policy.review"


class Status(StrEnum):
    """What whoever looked found."""

    PENDING = "pending"
    PASS = "pass"  # noqa: S105 - a word
    FAIL = "fail"


class Standing(StrEnum):
    """What a certification is worth at a moment; only ``active`` lets anything launch."""

    ACTIVE = "active"
    PENDING = "pending"
    FAILED = "failed"
    EXPIRED = "expired"
    NOT_YET = "not-yet"
    #: There is none.
    MISSING = "missing"


class Origin(StrEnum):
    """Where a certification comes from."""

    PERSON = "person"
    SUITE = "suite"
    REPLAY = "replay"


@dataclass(frozen=True)
class EvidenceFile:
    """A file that somebody put beside a certification; the bytes are named by their digest."""

    id: int
    certification_id: int
    name: str
    digest: str
    size_bytes: int
    added_by: str
    created_at: datetime


@dataclass(frozen=True)
class About:
    """What a certification speaks of."""

    #: Of the ledger; ``None``: nothing was built (a remote server, an image as somebody else made it).
    artifact_run_id: int | None
    server_id: int
    server_name: str
    #: Whose server it is, or was at last: what one owner says of a digest counts for that owner's servers alone.
    owner_id: int | None
    org_id: int | None
    manifest_digest: str
    #: ``gold:npm``
    tier: str
    #: Such as ``smoke`` or ``security-review``.
    policy_requirement: str


@dataclass(frozen=True)
class Finding:
    """What somebody or something found."""

    status: Status
    evidence: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    #: ``None``: from now on. Counts with ``pass`` alone, as do the next two.
    valid_from: datetime | None = None
    #: ``None``: for good.
    valid_until: datetime | None = None
    #: Days before ``valid_until`` on which people are warned.
    warn_days: int = 7
    origin: Origin = Origin.PERSON
    #: Of the run of a suite or a replay that it comes of.
    evaluation_run_id: int | None = None


@dataclass(frozen=True)
class Certification:
    """What is known of one requirement for one digest and tier."""

    id: int
    about: About
    finding: Finding
    certified_by: str
    #: Grows with every change.
    version: int
    created_at: datetime
    updated_at: datetime
    files: tuple[EvidenceFile, ...] = ()

    @property
    def valid_until(self) -> datetime | None:
        """When it ends; ``None``: it does not."""
        return self.finding.valid_until
