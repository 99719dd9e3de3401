"""Characters that people do not see and models read, and how they are shown. Pure."""

import re
import unicodedata
from dataclasses import dataclass

#: Of zero width, or blank though no space.
ZERO_WIDTH = frozenset(
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u2060\u2061"
    "\u2062\u2063\u2064\u206a\u206b\u206c\u206d\u206e\u206f\u3164\ufeff\uffa0"
)
#: They turn the order in which letters are shown.
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # fmt: skip
#: Say how a letter stands beside the next: needed in Arabic, Persian, the scripts of India, and in emoji.
_JOINERS = frozenset("\u200c\u200d")
_TAGS = range(0xE0000, 0xE0080)
_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_WHITE = frozenset("\t\n\r")
#: A flag of a part of a country is a black flag and tags; that is what tags are still for.
_FLAG = re.compile("\U0001f3f4[\U000e0061-\U000e007a\U000e0030-\U000e0039]{1,12}\U000e007f")  # fmt: skip
_JOINING_SCRIPTS = (
    *("ARABIC", "SYRIAC", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA"),
    *("TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "MONGOLIAN"),
)


@dataclass(frozen=True)
class Run:
    """Neighbouring characters of one sort."""

    #: ``zero-width``, ``bidi``, ``tags``, ``selectors`` or ``control``.
    sort: str
    start: int
    end: int


def runs(text: str) -> list[Run]:
    """Return what is there that nobody sees, except where a script or an emoji needs it."""
    if text.isascii() and text.isprintable():
        return []
    flags = {at for flag in _FLAG.finditer(text) for at in range(*flag.span())}
    found: list[Run] = []
    for at, letter in enumerate(text):
        sort = "" if at in flags else _sort(text, at, letter)
        if not sort:
            continue
        if found and found[-1].sort == sort and found[-1].end == at:
            found[-1] = Run(sort, found[-1].start, at + 1)
        else:
            found.append(Run(sort, at, at + 1))
    # One of them after a letter chooses how it looks; only several say something.
    return [run for run in found if run.sort != "selectors" or run.end - run.start > 1]


def _sort(text: str, at: int, letter: str) -> str:
    if letter.isascii():
        return "" if letter.isprintable() or letter in _WHITE else "control"
    if letter in ZERO_WIDTH:
        is_needed = letter in _JOINERS and _joins(text, at)
        return "" if is_needed else "zero-width"
    if letter in BIDI:
        return "bidi"
    code = ord(letter)
    if code in _TAGS:
        return "tags"
    if any(code in part for part in _SELECTORS):
        return "selectors"
    return "control" if unicodedata.category(letter) == "Cc" else ""


def _joins(text: str, at: int) -> bool:
    """Whether a joiner stands between two letters that it is made for."""
    before = text[:at].rstrip("\ufe0f")[-1:]
    after = text[at + 1 : at + 2]
    return bool(before and after) and all(map(_is_joined, (before, after)))


def _is_joined(letter: str) -> bool:
    if letter.isascii():
        return False
    name = unicodedata.name(letter, "")
    # Emoji are symbols, and their skins are modifiers.
    return name.startswith(_JOINING_SCRIPTS) or unicodedata.category(letter) in {
        "So",
        "Sk",
    }


def visible(text: str) -> str:
    """Return ``text`` with everything that nobody would see written out: ``⟨U+200B⟩``, or what tag characters spell."""
    if text.isascii() and text.isprintable():
        return text
    shown, last = [], 0
    for run in runs(text):
        shown += [text[last : run.start], _written(run, text[run.start : run.end])]
        last = run.end
    return "".join([*shown, text[last:]])


def _written(run: Run, hidden: str) -> str:
    if run.sort == "tags" and (spelled := tags_as_text(hidden)):
        return f"⟨tags: {spelled}⟩"
    return "".join(f"⟨U+{ord(letter):04X}⟩" for letter in hidden)


def tags_as_text(text: str) -> str:
    """Return what the tag characters in ``text`` spell in ASCII."""
    codes = (ord(letter) - _TAGS.start for letter in text if ord(letter) in _TAGS)
    return "".join(chr(code) for code in codes if 0x20 <= code < 0x7F)  # noqa: PLR2004 - what ASCII prints


def without(text: str) -> str:
    """Return ``text`` without what nobody sees."""
    found = runs(text)
    if not found:
        return text
    parts, last = [], 0
    for run in found:
        parts.append(text[last : run.start])
        last = run.end
    return "".join([*parts, text[last:]])
