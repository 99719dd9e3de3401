"""The chain of hashes that shows whether a line of the audit trail was changed, removed or put in between. Pure.

A line's hash is the SHA-256 of one JSON text in UTF-8: keys in order, no blanks, times as ``2026-11-21T09:30:00.000000Z``,
its place ``seq``, and the hash of the line before as ``prev_hash``. It is what the export writes, without ``row_hash``.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from appliance.core.errors import InvalidError
from appliance.observability.model import AuditEvent

#: Before the first line.
GENESIS = "0" * 64
#: More than so many breaks tell nothing more.
MAX_BREAKS = 20
_CHAIN = frozenset({"seq", "prev_hash", "row_hash"})
_OWN = tuple(item.name for item in fields(AuditEvent) if item.name not in _CHAIN)
_PLACE = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


@dataclass(frozen=True)
class Place:
    """A place in the chain, and the hash of the line there."""

    seq: int
    row_hash: str

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Return the place that ``SEQ:HASH`` names.

        Raises:
            InvalidError: It names none.
        """
        match = _PLACE.fullmatch(text)
        if match is None:
            raise InvalidError.field(
                "known", "give what an earlier check printed, such as 17:9f86d0…"
            )
        return cls(int(match[1]), match[2])

    def __str__(self) -> str:
        return f"{self.seq}:{self.row_hash}"


#: What an empty chain ends with, and one of which nothing was pruned begins after.
START = Place(0, GENESIS)


@dataclass(frozen=True)
class Break:
    """A place where the chain does not hold."""

    seq: int
    #: ``changed``, ``missing``, ``unlinked`` or ``unknown``.
    what: str
    message: str


@dataclass(frozen=True)
class ChainReport:
    """What a check found."""

    #: Lines that were compared.
    lines: int
    end: Place
    #: The last line that was old enough to go; the chain that is kept begins after it.
    pruned: Place
    breaks: tuple[Break, ...]
    checked_at: datetime

    @property
    def is_intact(self) -> bool:
        """Whether every line is as it was written."""
        return not self.breaks


def as_json(event: AuditEvent) -> dict[str, Any]:
    """Return the line as it is hashed and exported, without its own hash."""
    values = {name: getattr(event, name) for name in _OWN}
    at = event.at.astimezone(UTC)
    values |= {
        "at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "outcome": event.outcome.value,
        "seq": event.seq,
        "prev_hash": event.prev_hash,
    }
    return values


def canonical(values: dict[str, Any]) -> bytes:
    """Return the text that is hashed."""
    return json.dumps(
        values, sort_keys=True, ensure_ascii=False, separators=(",", ":")
    ).encode()


def line_hash(event: AuditEvent) -> str:
    """Return the hash of a line that has its place, in hex."""
    return hashlib.sha256(canonical(as_json(event))).hexdigest()


class Walk:
    """Goes along the chain and notes every place where it does not hold.

    Args:
        start: The last line that is not kept any more.
        known: A place that somebody wrote down, which must be on the way.
    """

    def __init__(self, start: Place = START, known: Place | None = None) -> None:
        """Stand at the start."""
        self.last = start
        self.lines = 0
        self.breaks: list[Break] = []
        self._known = known
        if known and known.seq == start.seq:
            self._compare(known)

    def over(self, events: Iterable[AuditEvent]) -> None:
        """Go on over ``events``, in the order of their places."""
        for event in events:
            self._step(event)

    def _step(self, event: AuditEvent) -> None:
        seq = event.seq or 0
        if seq != self.last.seq + 1:
            self._missing(self.last.seq + 1, seq - 1)
        elif event.prev_hash != self.last.row_hash:
            self._note(
                seq,
                "unlinked",
                f"Line {seq} does not follow what is before it: one of the two was written anew.",
            )
        if line_hash(event) != event.row_hash:
            self._note(seq, "changed", f"Line {seq} is not what was written.")
        self.last = Place(seq, event.row_hash or "")
        self.lines += 1
        if self._known and self._known.seq == seq:
            self._compare(self._known)

    def end(self, end: Place) -> None:
        """Compare the end with what the chain says of it."""
        if self.last.seq < end.seq:
            self._missing(self.last.seq + 1, end.seq)
        elif self.last != end:
            message = f"Line {end.seq} is not the one that the chain ended with."
            self._note(end.seq, "unlinked", message)
        if self._known and self._known.seq > end.seq:
            message = (
                f"There are {end.seq} lines; line {self._known.seq} was written down."
            )
            self._note(end.seq, "missing", message)

    def _compare(self, known: Place) -> None:
        if self.last != known:
            message = f"Line {known.seq} does not have the hash that was written down."
            self._note(known.seq, "unknown", message)

    def _missing(self, first: int, last: int) -> None:
        which = f"Line {first} is" if first == last else f"Lines {first} to {last} are"
        self._note(first, "missing", f"{which} missing.")

    def _note(self, seq: int, what: str, message: str) -> None:
        if len(self.breaks) < MAX_BREAKS:
            self.breaks.append(Break(seq, what, message))
