"""What changed between two manifests of a server. Pure.

A hash says that something changed, never what: a change keeps the whole definition from before and from after, so that
whoever looks later can read what a client was told.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any, Self

#: Each list of a manifest: what one entry is called, and which member tells entries apart.
LISTS = {
    "tools": ("tool", "name"),
    "prompts": ("prompt", "name"),
    "resources": ("resource", "uri"),
    "resourceTemplates": ("resource template", "uriTemplate"),
}
#: Members that say what the server is, in the order in which they are told.
ABOUT = ("protocolVersion", "serverInfo", "capabilities", "instructions")
#: Lists that were asked for without an answer; what was known of them stays.
UNREAD = "unread"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
#: Of a definition, when it is told line by line; comparing costs more than in proportion.
MAX_LINES = 400


class What(StrEnum):
    """What became of an entry."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True)
class Change:
    """One entry that is not what it was."""

    #: ``tool``, ``prompt``, ``resource``, ``resource template`` or ``server``.
    kind: str
    name: str
    what: What
    before: Any
    after: Any

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is stored."""
        return {
            "kind": self.kind,
            "name": self.name,
            "what": self.what.value,
            "before": self.before,
            "after": self.after,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what ``as_dict`` stored."""
        return cls(**{**data, "what": What(data["what"])})


@dataclass(frozen=True)
class ManifestChange:
    """What one reading of a manifest found changed."""

    id: int
    #: Of the deployment that was asked.
    deployment: int
    at: datetime
    changes: tuple[Change, ...]


def storable(value: Any) -> Any:
    """Return JSON as Postgres takes it: NUL, halves of characters and what is no number are written out.

    A server must not keep what it says from being read by saying what cannot be stored.
    """
    if isinstance(value, str):
        return _UNSTORABLE.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", value)
    if isinstance(value, dict):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def merged(before: Mapping[str, Any] | None, read: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``read`` with what ``before`` knew of the lists that were not answered this time."""
    unread = read.get(UNREAD) or []
    kept = {name: (before or {}).get(name) or [] for name in unread}
    return {**read, **kept}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return what is different, the server itself first, then each list in the order of its entries."""
    found = [
        Change("server", name, _what(before.get(name), after.get(name)), before.get(name), after.get(name))
        for name in ABOUT
        if _plain(before.get(name)) != _plain(after.get(name))
    ]  # fmt: skip
    for member, (kind, key) in LISTS.items():
        # A list that one of the two was never asked for says nothing.
        if member in before and member in after:
            found += _entries(kind, _by(before[member], key), _by(after[member], key))
    return tuple(found)


def summary(found: Iterable[Change]) -> dict[str, list[str]]:
    """Return names by what became of them, such as ``{"added": ["tool clock"]}``; for events, which stay small."""
    told: dict[str, list[str]] = {}
    for change in found:
        told.setdefault(change.what.value, []).append(f"{change.kind} {change.name}")
    return {what: names[:20] for what, names in told.items()}


def lines(change: Change) -> list[tuple[str, str]]:
    """Return the definition line by line, each with ``+``, ``-`` or a space before it."""
    before = _text(change.before) if change.what is not What.ADDED else []
    after = _text(change.after) if change.what is not What.REMOVED else []
    told: list[tuple[str, str]] = []
    for tag, *place in SequenceMatcher(None, before, after).get_opcodes():
        start, end, new_start, new_end = place
        if tag == "equal":
            told += [(" ", line) for line in before[start:end]]
        else:
            told += [("-", line) for line in before[start:end]]
            told += [("+", line) for line in after[new_start:new_end]]
    return told


def _entries(
    kind: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Change]:
    names = [*before, *(name for name in after if name not in before)]
    return [
        Change(kind, name, _what(before.get(name), after.get(name)), before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]  # fmt: skip


def _what(before: object, after: object) -> What:
    if before is None:
        return What.ADDED
    return What.REMOVED if after is None else What.CHANGED


def _by(entries: object, key: str) -> dict[str, Any]:
    """Return entries by their name; of several with one name the first counts, as for clients."""
    found: dict[str, Any] = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get(key), str):
            found.setdefault(entry[key], entry)
    return found


def _plain(value: object) -> object:
    # Absent and empty say the same of a server.
    return value or None


def _text(value: object) -> list[str]:
    if isinstance(value, str):
        return value.splitlines()[:MAX_LINES]
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    return text.splitlines()[:MAX_LINES]
