"""What a server printed, where it lies, and what may be asked of it."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

_POSITION = re.compile(r"([0-9]{1,9})\.([0-9]{1,12})")
_SECOND_NS = 1_000_000_000


class Stream(StrEnum):
    """Where a line comes from."""

    STDOUT = "stdout"
    STDERR = "stderr"
    #: Not printed by the server: says what is missing here.
    NOTE = "note"


@dataclass(frozen=True, order=True)
class Position:
    """The end of a line in a server's log: positions grow in the order in which lines were stored, and never change."""

    segment: int
    #: Bytes of the segment up to and with the line.
    offset: int

    def __str__(self) -> str:
        """Return it as clients carry it: as a cursor, and as ``Last-Event-ID``."""
        return f"{self.segment}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """Return the position that ``text`` is, or ``None``."""
        found = _POSITION.fullmatch(text)
        return cls(int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True, slots=True)
class Printed:
    """One line, as it was read."""

    #: Nanoseconds since 1970.
    at_ns: int
    stream: Stream
    text: str
    deployment_id: int
    #: The first twelve digits of the container's id.
    container: str
    #: Which session the container was for; empty: the server's own.
    session: str = ""

    @property
    def at(self) -> datetime:
        """When it was printed."""
        return moment(self.at_ns)


@dataclass(frozen=True, slots=True)
class Line:
    """One line, as it is kept."""

    position: Position
    printed: Printed


@dataclass(frozen=True)
class Batch:
    """Lines that were stored together, handed to every watcher as one value."""

    lines: tuple[Line, ...]
    #: So many lines before these did not reach this watcher, who is too slow.
    missed: int = 0
    #: Whether lines before these are no longer kept.
    has_gap: bool = False
    #: What was made of the lines once, for all who want it in the same form.
    made: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Filter:
    """Which lines."""

    #: Part of the text; capitals do not matter.
    text: str = ""
    stream: Stream | None = None
    since: datetime | None = None
    until: datetime | None = None
    deployment_id: int | None = None
    #: Beginning of a session's mark.
    session: str = ""


@dataclass(frozen=True)
class Page:
    """Lines, oldest first."""

    items: list[Line]
    #: Older lines end here; ``None``: there are none.
    older: Position | None
    #: Newer lines begin here, though there may be none yet.
    newer: Position | None
    #: Whether the search stopped before it had looked at everything; the cursor goes on.
    is_partial: bool = False


def moment(at_ns: int) -> datetime:
    """Return nanoseconds since 1970 as a moment."""
    seconds, rest = divmod(at_ns, _SECOND_NS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)


def nanoseconds(at: datetime) -> int:
    """Return a moment as nanoseconds since 1970.

    >>> nanoseconds(datetime(2026, 1, 1, tzinfo=UTC))
    1767225600000000000
    """
    whole = int(at.replace(microsecond=0).timestamp())
    return whole * _SECOND_NS + at.microsecond * 1000
