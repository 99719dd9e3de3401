"""The chain of hashes that shows whether a line of the audit trail was changed, removed or put in between. Pure.

A line's hash is the SHA-256 of one JSON text in UTF-8: keys in order, no blanks, times as ``2026-11-21T09:30:00.000000Z``,
its place ``seq``, and the hash of the line before as ``prev_hash``. It is what the export writes, without ``row_hash``.
"""

import hashlib
import json
import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from appliance.core.chain import Break, Link, Place
from appliance.core.errors import InvalidError
from appliance.observability.model import AuditEvent

_CHAIN = frozenset({"seq", "prev_hash", "row_hash"})
_OWN = tuple(item.name for item in fields(AuditEvent) if item.name not in _CHAIN)
_PLACE = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


def place_of(text: str) -> Place:
    """Return the place that ``SEQ:HASH`` names.

    Raises:
        InvalidError: It names none.
    """
    match = _PLACE.fullmatch(text)
    if match is None:
        raise InvalidError.field(
            "known", "give what an earlier check printed, such as 17:9f86d0…"
        )
    return Place(int(match[1]), match[2])


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


def link_of(event: AuditEvent) -> Link:
    """Return what is compared of a line that has its place."""
    return Link(
        event.seq or 0, event.prev_hash or "", event.row_hash or "", line_hash(event)
    )
