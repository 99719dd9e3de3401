"""What of a body may become a row. Pure.

A body is whatever a stranger sent, perhaps JSON, perhaps cut off in the middle, perhaps JSON within a string of JSON. So
nothing is parsed: values are found by the names they stand behind, and by their looks. Most bodies hold nothing of the kind,
which one pass of RE2 tells for many of them at once, in time that grows with their length and with nothing else; only what
may hold something is looked at closely. In doubt more is hidden than needed.
"""

import re
from functools import cache
from typing import Protocol, cast

HIDDEN = "[redacted]"

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase|code)|secret|token|authorization|cookie|api[-_ ]?key|private[-_]?key|access[-_]?key"
    r"|credential|^key$|[-_]key$|(?-i:(?<=[a-z])Key$)|^auth$|^dsn$|database_url|signature$",
    re.IGNORECASE,
)
#: Names in which "token" means something else; ``progressToken`` ties a client's calls to their progress.
_HARMLESS_NAME = re.compile(
    r"^progress_?token$|tokens$|token_?(count|limit|usage|type|budget|id)$|tokeni[sz]",
    re.IGNORECASE,
)
#: A name in quotation marks, which have backslashes before them where the JSON stands in a string. No search starts within a
#: run of backslashes: a text of nothing else would take the square of its length.
_NAME = re.compile(r'(?<!\\)(?P<quote>\\*")(?P<name>[^"\\]{1,128})(?P=quote)\s*:\s*')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
_PLAIN = re.compile(r'[^\s,}\]"\\]*')
_MARKS = re.compile(r'(?<!\\)(\\*)"|[{}\[\]]')

#: What secrets look like, and a word without which a text, in lower case, holds none. Cut-off ones count.
_LOOKS = (
    ("mcp", re.compile(r"(?P<kept>\bmcp[hsi]_)[A-Za-z0-9_-]+")),
    (
        "bearer",
        re.compile(r"(?P<kept>\bbearer\s+)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE),
    ),
    ("basic", re.compile(r"(?P<kept>\bbasic\s+)[A-Za-z0-9+/=_-]{8,}", re.IGNORECASE)),
    ("sk-", re.compile(r"(?P<kept>\bsk-)[A-Za-z0-9_-]{12,}")),
    ("gh", re.compile(r"(?P<kept>\b(?:gh[pousr]_|github_pat_))[A-Za-z0-9_]{8,}")),
    ("glpat-", re.compile(r"(?P<kept>\bglpat-)[A-Za-z0-9_-]{8,}")),
    ("xox", re.compile(r"(?P<kept>\bxox[abeprs]-)[A-Za-z0-9-]{8,}")),
    ("npm_", re.compile(r"(?P<kept>\bnpm_)[A-Za-z0-9]{16,}")),
    ("pypi-", re.compile(r"(?P<kept>\bpypi-)[A-Za-z0-9_-]{16,}")),
    ("hf_", re.compile(r"(?P<kept>\bhf_)[A-Za-z0-9]{16,}")),
    ("aiza", re.compile(r"(?P<kept>\bAIza)[A-Za-z0-9_-]{16,}")),
    ("akia", re.compile(r"(?P<kept>\bAKIA)[A-Z0-9]{8,}")),
    ("eyj", re.compile(r"(?P<kept>\beyJ)[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){1,4}")),
    ("://", re.compile(r"(?P<kept>://[^\s/:@\"\\]*:)[^\s/@\"\\]+(?=@|\Z)")),
    (
        "private key",
        re.compile(
            r"(?P<kept>-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----).*?(?=-----END|\Z)",
            re.DOTALL,
        ),
    ),
    (
        "=",
        re.compile(
            r"(?P<kept>\b[A-Za-z0-9_.-]{0,40}(?:passw(?:or)?d|secret|token|api[-_]?key|access[-_]?key|signature)=)"
            r"[^\s&\"'\\,;]+",
            re.IGNORECASE,
        ),
    ),
    (
        "authorization",
        re.compile(
            r"(?P<kept>\b(?:proxy-)?authorization:\s*)[^\r\n\"\\]+", re.IGNORECASE
        ),
    ),
    (
        "cookie",
        re.compile(r"(?P<kept>\b(?:set-)?cookie:\s*)[^\r\n\"\\]+", re.IGNORECASE),
    ),
)


#: Finds whatever ``redact`` hides, and more. For RE2, which cannot look around.
_TRACES = (
    r'(?:pass(?:w|phrase|code)|secret|token|auth|cookie|key|credential|dsn|database_url|signature)[^"\\]*\\*"\s*:',
    r"\bmcp[hsi]_",
    r"\bbearer\s",
    r"\bbasic\s+[a-z0-9+/=_-]{8}",
    r"\bsk-[a-z0-9_-]{12}",
    r"\b(?:gh[pousr]_|github_pat_)",
    r"\bglpat-",
    r"\bxox[abeprs]-",
    r"\bnpm_",
    r"\bpypi-",
    r"\bhf_",
    r"\baiza",
    r"\bakia",
    r"\beyj",
    r"://[^/:@\"\\]*:[^/@\"\\]",
    r"PRIVATE KEY-----",
    r"(?:passw(?:or)?d|secret|token|api[-_]?key|access[-_]?key|signature)=",
    r"authorization:",
    r"cookie:",
)
#: What Python takes for it; RE2 takes less.
_WHITE_SPACE = r"[\s\x0b\x1c-\x1f\x85\p{Z}]"


class _Pattern(Protocol):
    def search(self, text: str) -> object | None: ...


@cache
def _traces() -> _Pattern:
    """Return the pattern; the library is loaded by those alone who redact."""
    import re2  # noqa: PLC0415

    patterns = "|".join(_TRACES).replace(r"\s", _WHITE_SPACE)
    return cast("_Pattern", re2.compile(f"(?i){patterns}"))


def may_hold_secrets(text: str) -> bool:
    """Whether ``redact`` may change ``text``, or one of the texts that it was put together from with white space between."""
    return _traces().search(text) is not None


def redact(text: str) -> str:
    r"""Return ``text`` without secrets.

    >>> redact('{"password":"hunter2","progressToken":7}')
    '{"password":"[redacted]","progressToken":7}'
    >>> redact(r'{"text":"{\"api_key\": \"abc"}')
    '{"text":"{\\"api_key\\": \\"[redacted]\\"}'
    """
    return _hidden(text) if may_hold_secrets(text) else text


def is_secret_name(name: str) -> bool:
    """Return whether a value of this name is hidden whatever it is."""
    return bool(_SECRET_NAME.search(name)) and not _HARMLESS_NAME.search(name)


def _hidden(text: str) -> str:
    text = _without_named(text)
    lowered = text.lower()
    for word, look in _LOOKS:
        if word in lowered:
            text = look.sub(_hide, text)
    return text


def _hide(match: re.Match[str]) -> str:
    return f"{match['kept']}{HIDDEN}"


def _without_named(text: str) -> str:
    parts: list[str] = []
    done = 0
    while (match := _next_secret(text, done)) is not None:
        quote = match["quote"]
        end = _value_end(text, match.end(), len(quote) - 1)
        if text[match.end() : end] in {"null", "true", "false"}:
            parts.append(text[done:end])
        else:
            parts += (text[done : match.end()], quote, HIDDEN, quote)
        done = end
    return "".join((*parts, text[done:]))


def _next_secret(text: str, start: int) -> re.Match[str] | None:
    for match in _NAME.finditer(text, start):
        if is_secret_name(match["name"]):
            return match
    return None


def _value_end(text: str, start: int, depth: int) -> int:
    """Return where the value that starts here ends; ``depth`` backslashes stand before the quotation marks around it."""
    first = text[start : start + 1]
    if first in {"{", "["}:
        return _nested_end(text, start, depth)
    if depth == 0 and first == '"':
        found = _STRING.match(text, start)
        return found.end() if found else len(text)
    if text.startswith("\\" * depth + '"', start):
        return _escaped_end(text, start + depth + 1, depth)
    found = _PLAIN.match(text, start)
    return found.end() if found else start


def _escaped_end(text: str, start: int, depth: int) -> int:
    """Return where a string within a string ends: at its own quotation mark, or before that of the outer one."""
    for mark in _MARKS.finditer(text, start):
        if mark[1] is None or len(mark[1]) > depth:
            continue
        return mark.end() if len(mark[1]) == depth else mark.start()
    return len(text)


def _nested_end(text: str, start: int, depth: int) -> int:
    """Return where an object or a list ends, or the string that it stands in, or the text."""
    level, is_string = 0, False
    for mark in _MARKS.finditer(text, start):
        if mark[1] is not None:
            run = len(mark[1])
            if run < depth:
                return mark.start()
            if run == depth or (depth == 0 and run % 2 == 0):
                is_string = not is_string
        elif not is_string:
            level += 1 if mark[0] in "{[" else -1
            if level == 0:
                return mark.end()
    return len(text)
