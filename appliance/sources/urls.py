"""Addresses that people give: of the right kind, whole, and without a secret in them. Pure."""

import re
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from appliance.core.errors import InvalidError

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|[0-9a-fA-F:.]+")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")

Check = tuple[Callable[[SplitResult], bool], str]
#: What must not be true of a URL, and how that is said.
_CHECKS: tuple[Check, ...] = (
    (
        lambda parts: not _HOST.fullmatch(parts.hostname or ""),
        "names no host",
    ),
    (
        # It would be kept, shown and logged in clear.
        lambda parts: (
            bool(parts.password) or bool(parts.username and parts.scheme != "ssh")
        ),
        "has a user name or password in it, which would be shown to everybody who sees the server",
    ),
    (
        lambda parts: bool(parts.username and not _USER.fullmatch(parts.username)),
        "has a strange user name",
    ),
    (
        lambda parts: (
            parts.path.startswith("/-")
            or (parts.scheme == "ssh" and parts.path in {"", "/"})
        ),
        "names no path",
    ),
)


def checked_url(
    url: str, *, field: str, schemes: tuple[str, ...], example: str
) -> SplitResult:
    """Return the parts of ``url``.

    Args:
        url: As somebody wrote it.
        field: Named by the error.
        schemes: Those that are allowed.
        example: One that would be right.

    Raises:
        InvalidError: It is no such URL, or carries a user name or password.
    """
    problem = _problem(url, schemes)
    if problem:
        raise InvalidError.field(field, f"{problem}; give a URL such as {example}")
    return urlsplit(url)


def _problem(url: str, schemes: tuple[str, ...]) -> str | None:
    if _UNPRINTABLE.search(url):
        return "has a blank, a backslash or a control character"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in schemes:
        return f"must begin with {', '.join(f'{scheme}://' for scheme in schemes)}"
    return next((said for is_wrong, said in _CHECKS if is_wrong(parts)), None)
