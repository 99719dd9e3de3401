"""Values that must not be shown, found in whatever a server prints, and hidden. Pure.

A value is found as it is, and as programs commonly write it: in JSON, as Python shows texts, in URLs, in base64 at any
place, in hexadecimal. A text may have been cut in the middle of a value, so its two ends are looked at, too.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

HIDDEN = "[redacted]"
#: Shorter values stand in ordinary words, too; hiding them would hide everything.
MIN_LETTERS = 6
#: So much of a value that was cut off is recognised.
EDGE = 8
#: Letters of a base64 text that depend on what stands before it, by its place in a group of three bytes.
_UNSURE = (0, 2, 3)


class KnownValues:
    """Hides these values.

    Args:
        values: What must not be shown. Those of less than six characters are passed over.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        """Work out what to look for."""
        found = {form for value in values for form in forms(value)}
        self._needles = tuple(sorted(found, key=len, reverse=True))
        ends = {(needle[:EDGE], needle[-EDGE:]) for needle in found}
        #: Where none of these is, nothing is; most texts hold none.
        self._marks = tuple({mark for pair in ends for mark in pair})

    def __bool__(self) -> bool:
        """Whether there is anything to hide."""
        return bool(self._needles)

    def __call__(self, text: str) -> str:
        """Return ``text`` without the values.

        >>> KnownValues(["hunter22"])("password is hunter22.")
        'password is [redacted].'
        >>> KnownValues(["0123456789abcdef"])("cut off: 0123456789")
        'cut off: [redacted]'
        """
        for mark in self._marks:
            if mark in text:
                return self._hidden(text)
        return text

    def _hidden(self, text: str) -> str:
        spans = [span for needle in self._needles for span in _spans(text, needle)]
        return _without(text, spans) if spans else text


def hide_everything(text: str) -> str:
    """Stand for ``KnownValues`` where the values are not to be had."""
    return HIDDEN if text else text


def in_all(value: object, hide: Callable[[str], str]) -> object:
    """Return ``value``, made of what JSON knows, without the values: texts, names of members, and all within."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {hide(str(name)): in_all(item, hide) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [in_all(item, hide) for item in value]
    return value


def forms(value: str) -> Iterator[str]:
    """Yield how a value may look; nothing for one that is too short to be told from ordinary words."""
    stripped = value.strip()
    for text in {value, stripped}:
        if len(text) >= MIN_LETTERS:
            yield from _written(text)
    for line in stripped.splitlines():
        # Logs come by the line, and so do keys.
        if len(line.strip()) >= EDGE:
            yield line.strip()


def _written(text: str) -> Iterator[str]:
    yield text
    for is_ascii in (True, False):
        once = json.dumps(text, ensure_ascii=is_ascii)[1:-1]
        yield once
        # JSON in a text in JSON, as tools' answers have it.
        yield json.dumps(once, ensure_ascii=is_ascii)[1:-1]
    yield repr(text)[1:-1]
    yield quote(text, safe="")
    yield quote_plus(text)
    raw = text.encode(errors="surrogateescape")
    yield raw.hex()
    yield raw.hex().upper()
    for place, unsure in enumerate(_UNSURE):
        encoded = base64.b64encode(bytes(place) + raw).decode().rstrip("=")
        # The last letter depends on what follows, unless a group of three ends there.
        sure = encoded[unsure:] if (place + len(raw)) % 3 == 0 else encoded[unsure:-1]
        yield sure
        yield sure.replace("+", "-").replace("/", "_")


def _spans(text: str, needle: str) -> Iterator[tuple[int, int]]:
    at = text.find(needle)
    while at >= 0:
        yield at, at + len(needle)
        at = text.find(needle, at + 1)
    if len(needle) > EDGE:
        yield from _at_start(text, needle)
        yield from _at_end(text, needle)


def _at_start(text: str, needle: str) -> Iterator[tuple[int, int]]:
    """Yield the end of ``needle`` that ``text`` begins with."""
    at = text.rfind(needle[-EDGE:], 0, len(needle))
    if at >= 0 and needle.endswith(text[: at + EDGE]):
        yield 0, at + EDGE


def _at_end(text: str, needle: str) -> Iterator[tuple[int, int]]:
    """Yield the beginning of ``needle`` that ``text`` ends with."""
    # What was cut in the middle of a letter ends with what stands for it.
    whole = text.rstrip("\N{REPLACEMENT CHARACTER}")
    at = whole.find(needle[:EDGE], max(0, len(whole) - len(needle)))
    while at >= 0:
        if needle.startswith(whole[at:]):
            yield at, len(text)
            return
        at = whole.find(needle[:EDGE], at + 1)


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    done = 0
    for start, end in sorted(spans):
        if end <= done:
            continue
        # What overlaps the one before is part of it.
        if start > done or not parts:
            parts += (text[done:start], HIDDEN)
        done = end
    return "".join((*parts, text[done:]))
