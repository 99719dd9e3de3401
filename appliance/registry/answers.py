"""What a registry's answer, or its absence, means. Pure but for the names of aiohttp's errors."""

import contextlib
import json
import ssl
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp

from appliance.core.errors import DomainError
from appliance.registry.errors import ErrorKind, RegistryError

#: As much of a registry's own words as a person is shown.
MAX_WORDS = 200
#: Codes of the registry API that say more than the status does.
_CODES = {
    "DIGEST_INVALID": ErrorKind.DIGEST_MISMATCH,
    "BLOB_UPLOAD_UNKNOWN": ErrorKind.UPLOAD_LOST,
    "BLOB_UPLOAD_INVALID": ErrorKind.UPLOAD_LOST,
    "TOOMANYREQUESTS": ErrorKind.RATE_LIMITED,
    "QUOTA_EXCEEDED": ErrorKind.QUOTA,
    "DENIED": ErrorKind.DENIED,
    "UNSUPPORTED": ErrorKind.UNSUPPORTED,
}
_STATUS: dict[int, ErrorKind] = {
    HTTPStatus.FORBIDDEN: ErrorKind.DENIED,
    HTTPStatus.NOT_FOUND: ErrorKind.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: ErrorKind.UNSUPPORTED,
    HTTPStatus.REQUEST_TIMEOUT: ErrorKind.TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ErrorKind.QUOTA,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: ErrorKind.UPLOAD_LOST,
    HTTPStatus.TOO_MANY_REQUESTS: ErrorKind.RATE_LIMITED,
    HTTPStatus.INSUFFICIENT_STORAGE: ErrorKind.QUOTA,
}
_WORDS = {
    ErrorKind.AUTH_EXPIRED: "does not take the credentials any more",
    ErrorKind.UNAUTHORIZED: "wants credentials, and there are none",
    ErrorKind.DENIED: "does not allow this",
    ErrorKind.NOT_FOUND: "does not know this",
    ErrorKind.RATE_LIMITED: "is asked too often",
    ErrorKind.SERVER_ERROR: "is unwell",
    ErrorKind.TIMEOUT: "gave up waiting",
    ErrorKind.UNSUPPORTED: "is not set up to do this",
    ErrorKind.QUOTA: "has no room for this",
    ErrorKind.UPLOAD_LOST: "forgot an upload in the middle",
    ErrorKind.DIGEST_MISMATCH: "read other bytes than were sent",
}
#: From the particular to the general; the first that fits counts.
_BROKEN: tuple[tuple[tuple[type[BaseException], ...], ErrorKind, str], ...] = (
    (
        (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError),
        ErrorKind.TLS,
        "its certificate is not trusted",
    ),
    (
        (aiohttp.ClientSSLError, ssl.SSLError),
        ErrorKind.TLS,
        "it does not speak TLS as it should",
    ),
    (
        (aiohttp.ConnectionTimeoutError,),
        ErrorKind.TIMEOUT,
        "it could not be reached within {:g} s",
    ),
    ((TimeoutError,), ErrorKind.TIMEOUT, "the registry was silent for {:g} s"),
    (
        (aiohttp.ClientPayloadError,),
        ErrorKind.TRUNCATED,
        "the answer ended before its announced length",
    ),
    (
        (aiohttp.ClientResponseError,),
        ErrorKind.INVALID,
        "the answer is not HTTP as a registry speaks it",
    ),
    (
        (aiohttp.ServerDisconnectedError,),
        ErrorKind.CONNECTION,
        "the registry closed the connection",
    ),
    (
        (aiohttp.ClientConnectorDNSError,),
        ErrorKind.CONNECTION,
        "its name does not resolve",
    ),
    (
        (aiohttp.ClientConnectorError,),
        ErrorKind.CONNECTION,
        "the connection was refused",
    ),
    ((aiohttp.ClientError, OSError), ErrorKind.CONNECTION, "the connection broke"),
)


def refusal(
    doing: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    has_credentials: bool,
    now: datetime,
) -> RegistryError:
    """Return the error for an answer that is a refusal.

    Args:
        doing: What was asked, for a person: ``PUT manifest of team/time at registry.example.org``.
        body: The answer's first bytes.
        has_credentials: Whether the request carried any.
    """
    code, words = _told(body)
    kind = _kind(status, code, has_credentials=has_credentials)
    meaning = _WORDS.get(kind, "refuses this")
    said = ": ".join(part for part in (code, words) if part)
    told = f" ({said})" if said else ""
    return RegistryError(
        kind,
        f"{doing}: the registry {meaning}: status {status}{told}.",
        status=status,
        retry_after_s=retry_after_s(headers.get("Retry-After", ""), now),
    )


def _kind(status: int, code: str, *, has_credentials: bool) -> ErrorKind:
    if status == HTTPStatus.UNAUTHORIZED:
        return ErrorKind.AUTH_EXPIRED if has_credentials else ErrorKind.UNAUTHORIZED
    if code in _CODES:
        return _CODES[code]
    if status in _STATUS:
        return _STATUS[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ErrorKind.SERVER_ERROR
    return ErrorKind.INVALID


def _told(body: bytes) -> tuple[str, str]:
    """Return code and message of the first of the registry's errors, cut and printable."""
    try:
        first = json.loads(body)["errors"][0]
        code, message = first.get("code"), first.get("message")
    except (ValueError, LookupError, TypeError, AttributeError):
        return "", ""
    return _printable(code)[:64], _printable(message)[:MAX_WORDS]


def _printable(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(char if char.isprintable() else " " for char in text).strip()


def retry_after_s(value: str, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for; ``None``: it says nothing that can be read."""
    value = value.strip()
    if value.isdecimal():
        return float(value[:9])
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    return None


def failure(doing: str, error: BaseException, *, timeout_s: float) -> DomainError:
    """Return the error for an exchange that came to no answer."""
    kind, words = _what_broke(error, timeout_s)
    return RegistryError(kind, f"{doing}: {words}.")


def _what_broke(error: BaseException, timeout_s: float) -> tuple[ErrorKind, str]:
    for types, kind, words in _BROKEN:
        if isinstance(error, types):
            return kind, words.format(timeout_s)
    return ErrorKind.UNKNOWN, type(error).__name__
