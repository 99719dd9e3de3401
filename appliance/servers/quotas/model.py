"""Quotas of people and organisations, and what is used of them.

An owner is a number: a person's, or an organisation's below zero, as builds are counted by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MIB = 1024**2
#: Whose row says what counts for everybody of whom nothing else was said.
BOX = 0


class QuotaKind(StrEnum):
    """What is limited; the value is the field that says how much."""

    BUILD_MINUTES = "build_minutes"
    DISK = "disk_mib"


class Level(StrEnum):
    """How much of a quota is used."""

    FREE = "free"
    #: 80 % and more.
    WARNING = "warning"
    #: Nothing more begins.
    REACHED = "reached"


class Standard(StrEnum):
    """What may be said instead of an amount."""

    #: What the box's settings say.
    DEFAULT = "default"


#: An amount; ``None``: any; the standard: as the box says.
Wanted = int | Standard | None


@dataclass(frozen=True)
class Limit:
    """How much somebody may have of one kind."""

    #: ``None``: any.
    amount: int | None = None
    #: Whether the box's settings say so, not an administrator for this owner.
    is_default: bool = True


@dataclass(frozen=True)
class Month:
    """A calendar month of UTC."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True)
class BuildUse:
    """One attempt at a build."""

    began_at: datetime
    #: ``None``: it runs.
    ended_at: datetime | None


@dataclass(frozen=True)
class MinutesStanding:
    """What of the build minutes of a month is used."""

    limit: Limit
    used_seconds: float
    #: Builds that run at this moment.
    running: int
    resets_at: datetime
    level: Level


@dataclass(frozen=True)
class DiskSizes:
    """What an owner's things take, as it was last measured."""

    images_bytes: int = 0
    data_bytes: int = 0
    uploads_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """All together."""
        return self.images_bytes + self.data_bytes + self.uploads_bytes


@dataclass(frozen=True)
class DiskStanding:
    """What of the disk is used."""

    limit: Limit
    sizes: DiskSizes
    #: ``None``: it was not measured yet.
    measured_at: datetime | None
    level: Level


@dataclass(frozen=True)
class Standing:
    """What an owner may have, and has."""

    owner: int
    #: As people are told: an address, or an organisation's name.
    name: str
    minutes: MinutesStanding
    disk: DiskStanding

    def is_any_above(self, level: Level) -> bool:
        """Return whether something has come to this level."""
        return level in {self.minutes.level, self.disk.level}


Changes = Mapping[QuotaKind, Wanted]
