"""Two definitions side by side: texts word by word, the rest line by line, with what nobody sees written out. Pure."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from appliance.servers.pinning.invisible import visible

#: Comparing costs more than in proportion: of one member, and pairs of words of one definition.
MAX_LINES = 400
MAX_PAIRS = 200_000
_WORDS = re.compile(r"\s+|[^\s]+")
#: Texts in their own right, in the order in which they are told.
_TEXTS = ("name", "title", "description")
_ABSENT = object()


@dataclass(frozen=True)
class Piece:
    """Some words, and whether they are on one side only."""

    text: str
    is_different: bool = False


@dataclass(frozen=True)
class Row:
    """One line before and after; ``None``: the side has no such line."""

    before: tuple[Piece, ...] | None
    after: tuple[Piece, ...] | None

    @property
    def is_different(self) -> bool:
        """Whether the two sides differ."""
        return self.before != self.after


@dataclass(frozen=True)
class Part:
    """One member of a definition that is different."""

    title: str
    rows: tuple[Row, ...]


def parts(before: Any, after: Any) -> list[Part]:
    """Return what is different between two definitions, member by member; of one alone, all of it."""
    old, new = _members(before), _members(after)
    beside = _Beside()
    found = []
    for name in [*old, *(name for name in new if name not in old)]:
        was, is_now = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if was != is_now:
            rows = beside.rows(_lines(was), _lines(is_now))
            found.append(Part(visible(name), tuple(rows)))
    return sorted(found, key=lambda part: _order(part.title))


def _members(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    return value if isinstance(value, dict) else {"text": value}


def _order(title: str) -> int:
    return _TEXTS.index(title) if title in _TEXTS else len(_TEXTS)


def _lines(value: Any) -> list[str]:
    if value is _ABSENT:
        return []
    if isinstance(value, str):
        return value.splitlines() or [""]
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()


class _Beside:
    """Puts lines side by side, word by word for as long as that is cheap."""

    def __init__(self) -> None:
        self._pairs = MAX_PAIRS

    def rows(self, before: Sequence[str], after: Sequence[str]) -> Iterator[Row]:
        more = max(len(before), len(after)) - MAX_LINES
        before, after = before[:MAX_LINES], after[:MAX_LINES]
        for tag, start, end, new_start, new_end in _codes(before, after):
            if tag == "equal":
                for line in before[start:end]:
                    yield Row((Piece(visible(line)),), (Piece(visible(line)),))
            else:
                yield from self._replaced(before[start:end], after[new_start:new_end])
        if more > 0:
            told = (Piece(f"… and {more} more lines, which the API shows"),)
            yield Row(told, told)

    def _replaced(self, before: Sequence[str], after: Sequence[str]) -> Iterator[Row]:
        for number in range(max(len(before), len(after))):
            old = before[number] if number < len(before) else None
            new = after[number] if number < len(after) else None
            if old is None or new is None or not self._may_compare(old, new):
                yield Row(_whole(old), _whole(new))
            else:
                yield Row(*words(old, new))

    def _may_compare(self, old: str, new: str) -> bool:
        self._pairs -= len(_WORDS.findall(old)) * len(_WORDS.findall(new))
        return self._pairs >= 0


def _whole(line: str | None) -> tuple[Piece, ...] | None:
    return None if line is None else (Piece(visible(line), is_different=True),)


def words(before: str, after: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Return two texts in pieces that both have, or one alone."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    left: list[Piece] = []
    right: list[Piece] = []
    for tag, start, end, new_start, new_end in _codes(old, new):
        for side, some in ((left, old[start:end]), (right, new[new_start:new_end])):
            if some:
                side.append(Piece(visible("".join(some)), is_different=tag != "equal"))
    return tuple(left), tuple(right)


def _codes(
    before: Sequence[str], after: Sequence[str]
) -> Sequence[tuple[str, int, int, int, int]]:
    return SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
