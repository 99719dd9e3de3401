"""Look through a definition for hidden instructions and for what nobody sees. Pure.

A finding is a reason to read, not a verdict: what is found is shown with its place, and people decide.
"""

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from appliance.servers.pinning.findings import Finding, Severity
from appliance.servers.pinning.invisible import (
    Run,
    runs,
    tags_as_text,
    visible,
    without,
)
from appliance.servers.pinning.phrases import PHRASES

#: Of one text, and of one definition: who writes more hides in what is not read.
MAX_TEXT = 50_000
MAX_TEXTS = 2_000
MAX_FINDINGS = 50
MAX_DEPTH = 64
#: Characters around what was found.
AROUND = 60
#: Members that hold data, not words.
_NOT_WORDS = {"icons", "pattern", "$ref", "$id", "$schema", "format"}
_SPACES = re.compile(r"\s+")
_WORD = re.compile(r"[^\W\d_]{2,}")
_COMMENT = re.compile(r"<!--.{0,2000}?-->|<!--|\[//\]:\s?#", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{48,}={0,2}")
_HEX = re.compile(r"[0-9a-fA-F]+")
_LETTERS_OF_TOOL = re.compile(r"[A-Za-z0-9_.-]{3,128}")
#: Letters of other alphabets that look like Latin ones.
_ALIKE = frozenset(
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u0410\u0412\u0415\u041a\u041c\u041d"
    "\u041e\u0420\u0421\u0422\u0423\u0425\u0406\u0408\u0405\u0391\u0392\u0395\u0396\u0397\u0399\u039a"
    "\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd\u03b9\u03b1\u03c1"
)
#: A blob of which fewer than this part is printable is data, not a text.
_PRINTABLE = 0.95
_HIDDEN = {
    "zero-width": (Severity.HIGH, "invisible", "Characters of no width, which people do not see and models read."),
    "bidi": (Severity.HIGH, "bidi", "Control characters that turn the order in which text is shown."),
    "tags": (Severity.HIGH, "tag-characters", "Tag characters: a text that is never shown."),
    "selectors": (Severity.HIGH, "invisible", "A run of variation selectors, which can carry a hidden text."),
    "control": (Severity.MEDIUM, "control", "Control characters."),
}  # fmt: skip


def scan(
    definition: Any, *, others: Mapping[str, str] | None = None
) -> tuple[Finding, ...]:
    """Return what stands out in a definition, the worst first.

    Args:
        definition: Of a tool or a prompt, or the text of instructions.
        others: Names of other servers' tools, each with its server.
    """
    found: list[Finding] = []
    own = definition.get("name", "") if isinstance(definition, dict) else ""
    foreign = {name: server for name, server in (others or {}).items() if name != own}
    for number, (place, text) in enumerate(_texts(definition, "", 0)):
        if number >= MAX_TEXTS or len(found) >= MAX_FINDINGS:
            break
        found += _of_text(place, text[:MAX_TEXT], foreign)
    if isinstance(own, str) and (server := (others or {}).get(own)):
        message = f"{server} has a tool of the same name; a client may take one for the other."
        found.append(Finding(Severity.LOW, "same-name", "name", message, visible(own)))
    unique = list(dict.fromkeys(found))[:MAX_FINDINGS]
    return tuple(sorted(unique, key=lambda item: item.severity.rank))


def _texts(value: Any, place: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield every text with its place; names of members are texts, too."""
    if isinstance(value, str):
        yield place or "text", value
    elif depth > MAX_DEPTH:
        return
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _member(str(key), item, place, depth)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{place}[{index}]", depth + 1)


def _member(key: str, value: Any, place: str, depth: int) -> Iterator[tuple[str, str]]:
    if not (key.isascii() and key.isprintable()):
        yield f"{place or 'definition'} (a name in it)", key
    inner = visible(f"{place}.{key}" if place else key)
    if key not in _NOT_WORDS or isinstance(value, dict):
        yield from _texts(value, inner, depth + 1)
    elif isinstance(value, str) and runs(value):
        yield inner, value


def _of_text(place: str, text: str, others: Mapping[str, str]) -> Iterator[Finding]:
    yield from _unseen(place, text)
    yield from _comments(place, text)
    yield from _alike(place, text)
    yield from _blobs(place, text)
    yield from _phrases(place, text)
    yield from _named(place, text, others)


def _unseen(place: str, text: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for run in runs(text):
        severity, rule, message = _HIDDEN[run.sort]
        if "\x1b" in text[run.start : run.end]:
            severity, rule = Severity.HIGH, "ansi-escape"
            message = "A terminal's escape sequence, which hides or recolours text."
        elif _is_mark_at_start(run, text):
            severity, message = Severity.LOW, "A byte order mark at the start."
        elif run.sort == "tags" and (
            spelled := tags_as_text(text[run.start : run.end])
        ):
            message = f"{message} It says: {spelled[:200]}"
        if rule not in seen:
            seen.add(rule)
            yield Finding(
                severity, rule, place, message, _around(text, run.start, run.end)
            )


def _is_mark_at_start(run: Run, text: str) -> bool:
    return run.start == 0 and run.end == 1 and text[0] == "\ufeff"


def _comments(place: str, text: str) -> Iterator[Finding]:
    for match in _COMMENT.finditer(text):
        message = (
            "A comment, which a page that shows the text leaves out and a model reads."
        )
        yield Finding(
            Severity.MEDIUM, "comment", place, message, _around(text, *match.span())
        )
        return


def _alike(place: str, text: str) -> Iterator[Finding]:
    """Find words with letters of several alphabets that look the same."""
    if text.isascii():
        return
    for match in _WORD.finditer(text):
        word = match[0]
        if word.isascii() or not any(letter in _ALIKE for letter in word):
            continue
        if any(unicodedata.name(letter, "").startswith("LATIN") for letter in word):
            message = (
                "A word with letters of another alphabet that look like Latin ones."
            )
            strange = "".join(
                letter if letter.isascii() else f"⟨U+{ord(letter):04X}⟩"
                for letter in word
            )
            severity = Severity.HIGH if place == "name" else Severity.MEDIUM
            yield Finding(severity, "lookalike", place, message, strange)
            return


def _blobs(place: str, text: str) -> Iterator[Finding]:
    for match in _BASE64.finditer(text):
        hidden = None if _HEX.fullmatch(match[0]) else _decoded(match[0])
        if hidden is None:
            continue
        message = "Base64 that decodes to a text."
        worst = any(phrase.pattern.search(_plain(hidden)) for phrase in PHRASES)
        severity = Severity.HIGH if worst else Severity.MEDIUM
        yield Finding(severity, "base64", place, message, visible(hidden)[: 2 * AROUND])
        return


def _decoded(blob: str) -> str | None:
    """Return the text that ``blob`` encodes; ``None``: it encodes none."""
    body = blob.rstrip("=")
    with_padding = body[: len(body) // 4 * 4] if len(body) % 4 == 1 else body + "=" * (-len(body) % 4)  # fmt: skip
    try:
        text = base64.b64decode(with_padding).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    is_text = sum(letter.isprintable() or letter.isspace() for letter in text)
    # Words have spaces between them; a long path or a name in Base64's alphabet decodes to none.
    return text if " " in text and is_text >= _PRINTABLE * len(text) else None


def _phrases(place: str, text: str) -> Iterator[Finding]:
    plain = _plain(text)
    seen: set[str] = set()
    for phrase in PHRASES:
        match = phrase.pattern.search(plain)
        if match is not None and phrase.rule not in seen:
            seen.add(phrase.rule)
            told = plain[max(0, match.start() - AROUND) : match.end() + AROUND]
            yield Finding(phrase.severity, phrase.rule, place, phrase.message, told)


def _named(place: str, text: str, others: Mapping[str, str]) -> Iterator[Finding]:
    """Find names of other servers' tools; only names that are no ordinary words."""
    if not others or place == "name":
        return
    for match in _LETTERS_OF_TOOL.finditer(text):
        name = match[0].strip(".-")
        server = others.get(name)
        if server is not None and _is_name(name):
            message = f"Names {name}, a tool of the server {server}."
            yield Finding(Severity.MEDIUM, "names-other-tool", place, message, _around(text, *match.span()))  # fmt: skip
            return


def _is_name(text: str) -> bool:
    """Whether nobody writes ``text`` but to mean a tool."""
    return "_" in text or "-" in text or not (text.islower() or text.istitle())


def _plain(text: str) -> str:
    """Return ``text`` so that a pattern finds what a reader, or a model, would."""
    folded = unicodedata.normalize("NFKC", without(text)).replace("\u2019", "'")
    return _SPACES.sub(" ", folded).strip().lower()


def _around(text: str, start: int, end: int) -> str:
    piece = visible(
        text[max(0, start - AROUND) : min(end, start + 4 * AROUND) + AROUND]
    )
    return _SPACES.sub(" ", piece).strip()
