"""Dockerfiles as text: instructions, words, variables. Pure.

Everything here takes time in proportion to the text, and takes any text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

#: Characters that are read; nobody writes so much by hand.
MAX_CHARACTERS = 64 * 1024
MAX_VALUE = 1024

_ESCAPE = re.compile(r"#\s*escape\s*=\s*([\\`])\s*", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#\s*[A-Za-z]+\s*=.*")
_HEREDOC = re.compile(r"<<(-?)([\"']?)([A-Za-z_][A-Za-z0-9_]{0,63})\2")
_TAKES_HEREDOC = frozenset({"RUN", "COPY", "ADD"})
_VARIABLE = re.compile(r"\$(?:(\w{1,64})|\{(\w{1,64})(?::?([-+])([^}]{0,256}))?\})")


@dataclass(frozen=True)
class Instruction:
    """One instruction, on however many lines it stands."""

    #: Upper case.
    name: str
    #: ``--mount=…`` and the like.
    flags: tuple[str, ...]
    #: The rest, on one line.
    text: str
    #: Counted from 1.
    line: int
    #: The texts between ``<<EOF`` and ``EOF``, one after the other.
    heredoc: str = ""


def instructions(text: str) -> Iterator[Instruction]:
    """Yield the instructions in their order, each with all its lines."""
    lines = text[:MAX_CHARACTERS].removeprefix("\ufeff").split("\n")
    escape = _escape(lines)
    rest = iter(enumerate(lines, start=1))
    for number, line in rest:
        if not _is_kept(line):
            continue
        parts = [line.rstrip()]
        while parts[-1].endswith(escape):
            parts[-1] = parts[-1][:-1]
            parts.append(
                next((kept for _, kept in rest if _is_kept(kept)), "").rstrip()
            )
        found = _instruction("".join(parts), number)
        if found.name in _TAKES_HEREDOC:
            found = replace(found, heredoc=_heredocs(found.text, rest))
        yield found


def _is_kept(line: str) -> bool:
    """Tell whether a line continues an instruction; comments and blank lines within are passed over."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _escape(lines: list[str]) -> str:
    for line in lines:
        if match := _ESCAPE.fullmatch(line.strip()):
            return match[1]
        if not _DIRECTIVE.fullmatch(line.strip()):
            break
    return "\\"


def _instruction(text: str, line: int) -> Instruction:
    name, _, rest = text.strip().replace("\t", " ").partition(" ")
    flags = []
    rest = rest.lstrip()
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        flags.append(flag)
        rest = rest.lstrip()
    return Instruction(name.upper(), tuple(flags), rest, line)


def _heredocs(text: str, rest: Iterator[tuple[int, str]]) -> str:
    bodies = []
    for dash, _, word in _HEREDOC.findall(text):
        for _, line in rest:
            if (line.lstrip("\t") if dash else line).rstrip("\r") == word:
                break
            bodies.append(line)
    return "\n".join(bodies)


def assignments(text: str) -> list[tuple[str, str]]:
    """Return names and values of ``ENV``, ``LABEL`` or ``ARG``, in both of their forms."""
    found = words(text)
    if found and "=" not in found[0]:
        # ENV NAME the whole rest
        return [(found[0], text.strip()[len(found[0]) :].strip()[:MAX_VALUE])]
    return [
        (name, value[:MAX_VALUE])
        for name, equals, value in (word.partition("=") for word in found)
        if equals
    ]


def words(text: str) -> list[str]:
    """Return the words of ``text`` without their quotes; a quote that is not closed reaches to the end."""
    found: list[str] = []
    current: list[str] | None = None
    quote = ""
    letters = iter(text)
    for letter in letters:
        if quote and letter == quote:
            quote = ""
        elif not quote and letter in "\"'":
            quote, current = letter, current or []
        elif letter == "\\" and quote != "'":
            current = current or []
            current.append(next(letters, ""))
        elif letter.isspace() and not quote:
            if current is not None:
                found.append("".join(current))
            current = None
        else:
            current = current or []
            current.append(letter)
    return [*found, "".join(current)] if current is not None else found


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """Return ``text`` with its variables; what is not known is empty, and what grows too long is cut."""

    def value(match: re.Match[str]) -> str:
        found = variables.get(match[1] or match[2], "")
        if match[3] == "-":
            return found or match[4]
        return found if not match[3] else match[4] if found else ""

    short = text[:MAX_VALUE]
    return _VARIABLE.sub(value, short)[:MAX_VALUE]
