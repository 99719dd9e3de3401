"""What a look finds. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum


class Verdict(IntEnum):
    """How one thing is; the worst of all is the command's exit code."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    #: Of which part, such as ``engine``.
    part: str
    verdict: Verdict
    #: A sentence.
    text: str
    #: The command, or the setting, that mends it; empty: there is nothing to do.
    mend: str = ""


#: Looks at one part. It may raise anything; that is a finding, too.
Check = Callable[[], Iterable[Finding]]


def ok(part: str, text: str) -> Finding:
    """Return that something is well."""
    return Finding(part, Verdict.OK, text)


def warn(part: str, text: str, mend: str = "") -> Finding:
    """Return that something works and should be looked at."""
    return Finding(part, Verdict.WARN, text, mend)


def fail(part: str, text: str, mend: str = "") -> Finding:
    """Return that something does not work."""
    return Finding(part, Verdict.FAIL, text, mend)


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict; nothing looked at is well."""
    return max((item.verdict for item in findings), default=Verdict.OK)
