"""What became of releases on this box."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a change of release ended."""

    INSTALLED = "installed"
    UPGRADED = "upgraded"
    #: Somebody asked for the release before.
    ROLLED_BACK = "rolled-back"
    #: A check failed, and the box is at the release before again.
    FAILED = "failed"


@dataclass(frozen=True)
class Change:
    """One change of release, or an attempt at one."""

    #: ISO 8601, UTC.
    at: str
    outcome: Outcome
    to: str
    #: Empty: there was none.
    origin: str = ""
    #: What failed.
    text: str = ""


@dataclass(frozen=True)
class Journal:
    """A change that has begun; whoever finds one after a crash finishes or undoes it."""

    origin: str
    to: str
