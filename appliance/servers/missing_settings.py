"""Which settings a server that would not start was missing: found in the last lines that it printed. Pure.

People write this in a hundred ways. A name counts only where it has the shape of an environment variable, and where the
words right before or right after it say that it is missing; a line that merely mentions a variable says nothing.
"""

import re
from collections.abc import Callable, Iterator, Sequence

#: More than these are no list of settings to fill in, but a mistake of ours.
MAX_NAMES = 12
#: Characters of a line that are looked at, and on either side of a name.
MAX_LINE = 1000
AROUND = 80
#: What systems and tools set, or what no form should ask for.
_NOT_SETTINGS = frozenset(
    {
        *("PATH", "HOME", "USER", "SHELL", "PORT", "PYTHONPATH", "SSL_CERT_FILE"),
        *("NODE_ENV", "NODE_PATH", "NODE_OPTIONS"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
        *("MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND"),
    }
)
#: Two parts at least (API_KEY); of one alone (TOKEN) only the forms below are sure enough.
_NAME = re.compile(r"(?<![\w/.-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w(])")
_ANY = r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*"
#: What may stand between two names of which the same is said.
_AND = re.compile(
    r"[\s`'\"\])}>]*(?:,|and|or|&|/|\+|\|)[\s,]*(?:and|or)?[\s`'\"\[({$<]*"
)

_KIND = (
    r"(?:(?:environment|env\.?|configuration|config)\s+)?"
    r"(?:variables?|vars?\.?|settings?|keys?|tokens?|secrets?|credentials?|values?|options?)(?:\(s\))?"
)
_AFTER = re.compile(
    rf"[`'\"\])}}>]*(?:\s+{_KIND})?(?:\s*\([^)]*\))?[\s:,-]*(?:"
    r"(?:(?:is|are|was|were|has|have) )?not (?:been )?"
    r"(?:set|defined|provided|found|specified|configured|given|supplied|present|available|exported)\b"
    r"|(?:is|are|was|were|has|have)n't (?:been )?(?:set|defined|provided|found|specified|configured)\b"
    r"|(?:(?:is|are|was|were) )?(?:either )?(?:required|missing|undefined|unset|empty|blank|mandatory|needed)\b"
    r"|(?:must|needs? to|has to|have to|should|cannot|can't|may not) (?:all |both |also |not )?(?:be|exist)\b"
    r")",
    re.IGNORECASE,
)
#: Words between an order or a complaint and the name: "the required environment variable".
_UP_TO = rf"\s+(?:\w+\s+){{0,2}}?(?:{_KIND})?"
_ORDER = r"(?:set|provide|specify|define|export|supply|add|configure)"
_BEFORE = re.compile(
    r"(?:"
    r"\b(?:missing|undefined|unset|required|requires?|needs?|lacks?|without|expected|no):?"
    rf"{_UP_TO}"
    r"|\b(?:(?:could|can|did|was) ?not|couldn't|can't|unable to|failed to) (?:find|get|read|load)"
    rf"{_UP_TO}"
    rf"|\b(?:please|must|need to|have to|to)\s+(?:also )?{_ORDER}{_UP_TO}"
    rf"|^\W*(?:error:\s*)?{_ORDER}{_UP_TO}"
    r"|by setting (?:the )?"
    r"|\b(?:required|missing|provided|configured)\s+(?:via|through|by|in|from|with)\s[^.]{0,40}?"
    rf"|{_KIND}\s+(?:(?:is|are)\s+)?(?:missing|required|not set|not found|undefined)"
    r")(?:\s+(?:named|called|for|of))?[\s:=—-]*[`'\"\[({$<]*(?:-\s)?$",
    re.IGNORECASE,
)
#: An order to set something is about what is missing only if its line complains, too.
_COMPLAINT = re.compile(
    r"missing|required|\bnot\b|n't|must|please|need|undefined|error|fail|invalid|unset|empty|\bno\b|lacks|without|unable|expected",
    re.IGNORECASE,
)
#: A line that says that all is well without it, or that is about a program's own names.
_FINE = re.compile(
    r"optional|using (?:the )?default|default(?:ing|s) to|fall(?:ing|s)? ?back|; using |disabled|ignor|deprecat|skipp|will be"
    r"|recommended|\bwarn|\bName ?Error|ReferenceError|AttributeError|ImportError|SyntaxError|ModuleNotFound|No such file"
    r"|version [A-Z]|\b(?:relation|table)\b|has no attribute|cannot import|export named",
    re.IGNORECASE,
)
#: The head of a list whose lines are the names.
_HEAD = re.compile(
    r"(?:missing|required|undefined|not set|invalid)[^:]*:\s*\W*$|(?:are|is) (?:missing|required|not set)[:.]?\s*$",
    re.IGNORECASE,
)
_ITEM = re.compile(rf"^\W*(?P<name>{_NAME.pattern})")

_KEY_ERROR = re.compile(rf"^KeyError: ['\"](?P<name>{_ANY})['\"]$")
_LACK = r"(?:Required|Invalid input: expected \w+, received undefined)"
# zod: one object an issue, with the path of what is missing; or a list of complaints by name.
_ZOD_ISSUE = re.compile(r"\{[^{}]{0,1000}\}")
_ZOD_PATH = re.compile(rf'"path":\s*\[\s*"(?P<name>{_ANY})"\s*\]')
_ZOD_LACK = re.compile(rf'"message":\s*"{_LACK}|"received":\s*"undefined"')
_ZOD_FLAT = re.compile(
    rf"^\W*(?P<name>{_ANY})['\"]?\s*[:→-]+\s*\[?\s*['\"]?{_LACK}(?=\W*$)"
)
# pydantic: a settings class, and each missing field in a line of its own above the reason.
_PYDANTIC_HEAD = re.compile(
    r"validation errors? for \w*(?:Settings|Config|Env)\w*", re.IGNORECASE
)
_PYDANTIC_FIELD = re.compile(
    r"^(?P<name>[A-Za-z_][A-Za-z0-9_.]{0,100})\n\s+Field required \[type=missing",
    re.MULTILINE,
)


def missing_settings(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the environment variables that a server said it lacks, in its order; empty: it named none.

    Args:
        lines: The last lines that it printed, oldest first.
    """
    cut = [line[:MAX_LINE] for line in lines]
    found = dict.fromkeys(
        name for way in _WAYS for name in way(cut) if name not in _NOT_SETTINGS
    )
    return tuple(found) if len(found) <= MAX_NAMES else ()


def _sentences(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if _COMPLAINT.search(line) and not _FINE.search(line):
            for start, end, names in _groups(line):
                before, after = line[max(0, start - AROUND) : start], line[end:]
                if _BEFORE.search(before) or _AFTER.match(after[:AROUND]):
                    yield from names


def _groups(line: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield start, end and names of each run of names that are told together: ``A, B and C``."""
    start, end, names = 0, 0, list[str]()
    for match in _NAME.finditer(line):
        if names and _AND.fullmatch(line[end : match.start()]):
            end = match.end()
            names.append(match[0])
            continue
        if names:
            yield start, end, names
        start, end, names = match.start(), match.end(), [match[0]]
    if names:
        yield start, end, names


def _lists(lines: Sequence[str]) -> Iterator[str]:
    is_listing = False
    for line in lines:
        if is_listing and (match := _ITEM.match(line)):
            yield match["name"]
        else:
            is_listing = bool(_HEAD.search(line)) and not _FINE.search(line)


def _key_errors(lines: Sequence[str]) -> Iterator[str]:
    matches = (_KEY_ERROR.match(line.strip()) for line in lines)
    yield from (match["name"] for match in matches if match)


def _zod(lines: Sequence[str]) -> Iterator[str]:
    for issue in _ZOD_ISSUE.findall("\n".join(lines)):
        path = _ZOD_PATH.search(issue)
        if path and _ZOD_LACK.search(issue):
            yield path["name"]
    matches = (_ZOD_FLAT.match(line) for line in lines)
    yield from (match["name"] for match in matches if match)


def _pydantic(lines: Sequence[str]) -> Iterator[str]:
    text = "\n".join(lines)
    if _PYDANTIC_HEAD.search(text):
        for match in _PYDANTIC_FIELD.finditer(text):
            # Environment variables are read in any case; people write them in capitals.
            yield match["name"].replace(".", "__").upper()


_WAYS: tuple[Callable[[Sequence[str]], Iterator[str]], ...] = (
    _key_errors,
    _zod,
    _pydantic,
    _sentences,
    _lists,
)
