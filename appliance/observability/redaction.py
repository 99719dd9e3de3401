"""What must not reach a log, an event or an answer. Pure.

Two nets, because each has holes: values are hidden by the name they go under, and texts lose whatever looks like a secret.
"""

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[redacted]"
#: Deeper than any line of ours; stops on structures that contain themselves.
_MAX_DEPTH = 6
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|token(?!s)|authorization|cookie|api[-_]?key|private[-_]?key"
    r"|credential|^key$|[-_]key$|^dsn$|database_url",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"(?P<kept>\bmcp[a-z]_)[A-Za-z0-9_-]{8,}"
    r"|(?P<scheme>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(?P<user>://[^\s/:@]*:)[^\s/@]+(?=@)",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Return whether a value of this name is hidden whatever it is."""
    return _SECRET_NAME.search(name) is not None


def redact_text(text: str) -> str:
    """Return ``text`` without keys, bearer credentials and passwords in URLs.

    >>> redact_text("postgresql://app:pa55@db/x")
    'postgresql://app:[redacted]@db/x'
    """
    return _SECRET_TEXT.sub(_hide, text)


def redact(value: Any, *, depth: int = _MAX_DEPTH) -> Any:
    """Return ``value`` as it may be shown; what was given is not changed."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bool | int | float) or value is None:
        return value
    if hasattr(value, "get_secret_value"):
        return HIDDEN
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return redact_items(value, depth=depth - 1)
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth=depth - 1) for item in value]
    return value


def redact_items(
    items: Mapping[Any, Any], *, depth: int = _MAX_DEPTH
) -> dict[str, Any]:
    """Return a mapping's items with the secret ones hidden, by name or by look."""
    return {
        str(name): HIDDEN
        if value is not None and is_secret_name(str(name))
        else redact(value, depth=depth)
        for name, value in items.items()
    }


def _hide(match: re.Match[str]) -> str:
    kept = match["kept"] or match["scheme"] or match["user"] or ""
    return kept + HIDDEN
