"""Where a client may be sent back to. Pure.

An address is either the very one that the client named before, letter by letter, or differs in the port alone where it is
on the person's own computer (RFC 8252, 7.3).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlencode, urlsplit

from appliance.oauth.errors import OAuthError

MAX_URIS = 20
MAX_URI = 2048
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: What browsers do something with themselves.
_NOT_OF_A_PROGRAM = frozenset(
    {
        *("about", "blob", "data", "file", "filesystem", "ftp", "javascript"),
        *("mailto", "view-source", "vbscript", "ws", "wss", "chrome", "intent"),
    }
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,63}")
#: Of host and port: nothing that would mean something in the header of a policy.
_PLACE = re.compile(r"([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]+)?")
_ALLOWED = re.compile(r"[!#-;=?-\[\]_a-z~]+")


@dataclass(frozen=True)
class Target:
    """Where a browser is sent, as a person is told of it and as a page's policy names it."""

    #: The host, or ``cursor:`` for a program that owns a scheme.
    shown: str
    #: Whether it is a program on the person's own computer: any of them may listen there.
    is_local: bool
    #: A source for ``form-action``.
    source: str


def checked(uri: str) -> str:
    """Return ``uri`` if a client may name it.

    Raises:
        OAuthError: It may not; says why.
    """
    parts = _split(uri)
    if parts is None or not _SCHEME.fullmatch(parts.scheme):
        raise _refusal(uri, "is no address")
    if "#" in uri or "@" in parts.netloc:
        raise _refusal(uri, "must hold neither a fragment nor a user")
    if parts.scheme in {"http", "https"}:
        return _checked_http(uri, parts)
    if parts.scheme in _NOT_OF_A_PROGRAM or not (parts.netloc or parts.path):
        raise _refusal(uri, "has a scheme that no program owns")
    return uri


def matches(registered: Iterable[str], asked: str) -> bool:
    """Return whether a client that named ``registered`` may be sent to ``asked``."""
    return any(asked == uri or _differ_in_port(uri, asked) for uri in registered)


def target_of(uri: str) -> Target:
    """Return where ``uri``, which was checked, sends a browser."""
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"}:
        return Target(f"{parts.scheme}:", is_local=True, source=f"{parts.scheme}:")
    host = parts.hostname or ""
    # A policy can name no address of IPv6.
    source = "http:" if ":" in host else f"{parts.scheme}://{parts.netloc}"
    return Target(parts.netloc, is_local=host in LOOPBACK, source=source)


def with_answer(uri: str, answer: dict[str, str]) -> str:
    """Return ``uri`` with the answer's parameters behind its own; those without a value are left out."""
    added = urlencode({name: value for name, value in answer.items() if value})
    return f"{uri}{'&' if '?' in uri else '?'}{added}"


def _checked_http(uri: str, parts: SplitResult) -> str:
    host = parts.hostname or ""
    if not host or not _PLACE.fullmatch(parts.netloc.lower()):
        raise _refusal(uri, "names no host")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise _refusal(uri, "must use https, or lead to localhost")
    return uri


def _differ_in_port(registered: str, asked: str) -> bool:
    known, wanted = _split(registered), _split(asked)
    if known is None or wanted is None:
        return False
    if known.scheme != "http" or known.hostname not in LOOPBACK:
        return False
    return _without_port(known) == _without_port(wanted) and "@" not in wanted.netloc


def _without_port(parts: SplitResult) -> tuple[str, ...]:
    return (
        parts.scheme,
        parts.hostname or "",
        parts.path,
        parts.query,
        parts.fragment,
    )


def _split(uri: str) -> SplitResult | None:
    """Return the parts of an address, or ``None``: browsers and we would read it differently, or it is none."""
    if len(uri) > MAX_URI or not _ALLOWED.fullmatch(uri.lower()):
        return None
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _refusal(uri: str, why: str) -> OAuthError:
    return OAuthError("invalid_redirect_uri", f"The redirect URI {uri[:200]} {why}.")
