"""What a server that wants to know who calls says in ``WWW-Authenticate`` (RFC 9110, RFC 6750, RFC 9728). Pure."""

import re
from dataclasses import dataclass

#: Longer ones are not looked at.
MAX_LETTERS = 4096
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - a pattern
_PART = re.compile(
    rf'\s*(?:,\s*)*(?:(?P<name>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>{_TOKEN}))'
    rf"|(?P<scheme>{_TOKEN})(?=\s|,|$))"
)


@dataclass(frozen=True)
class Challenge:
    """A ``Bearer`` challenge; what it does not say is empty."""

    resource_metadata: str = ""
    scope: tuple[str, ...] = ()
    error: str = ""
    description: str = ""

    @property
    def wants_scope(self) -> bool:
        """Whether the token is good, and not good enough."""
        return self.error == "insufficient_scope"


def read_challenge(text: str) -> Challenge | None:
    """Return the first ``Bearer`` challenge in a header's value; ``None``: there is none."""
    scheme, found = "", dict[str, str]()
    position, text = 0, text[:MAX_LETTERS]
    while match := _PART.match(text, position):
        if match.end() == position:
            break
        position = match.end()
        if match["scheme"] is not None:
            if scheme == "bearer":
                break
            scheme = match["scheme"].lower()
        elif scheme == "bearer":
            found.setdefault(match["name"].lower(), _value(match))
    if scheme != "bearer":
        return None
    return Challenge(
        resource_metadata=found.get("resource_metadata", ""),
        scope=tuple(dict.fromkeys(found.get("scope", "").split())),
        error=found.get("error", ""),
        description=found.get("error_description", ""),
    )


def _value(match: re.Match[str]) -> str:
    quoted = match["quoted"]
    return match["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
