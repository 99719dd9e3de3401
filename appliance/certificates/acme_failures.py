"""What authorities and the library say, as kinds of failure that tell how long to wait."""

import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol

from acme import errors, messages
from josepy.errors import DeserializationError

from appliance.certificates.errors import AttemptError
from appliance.certificates.model import MEANING, ErrorKind
from appliance.core.clock import now

_KINDS = {
    "badNonce": ErrorKind.NONCE,
    "rateLimited": ErrorKind.RATE_LIMITED,
    "serverInternal": ErrorKind.CA_DOWN,
    "dns": ErrorKind.DNS,
    "dnssec": ErrorKind.DNS,
    "unknownHost": ErrorKind.DNS,
    "connection": ErrorKind.UNREACHABLE,
    "tls": ErrorKind.UNREACHABLE,
    "unauthorized": ErrorKind.UNAUTHORIZED,
    "incorrectResponse": ErrorKind.UNAUTHORIZED,
    "caa": ErrorKind.CAA,
    "accountDoesNotExist": ErrorKind.ACCOUNT,
    "externalAccountRequired": ErrorKind.ACCOUNT_REFUSED,
    "invalidContact": ErrorKind.ACCOUNT_REFUSED,
    "invalidEmail": ErrorKind.ACCOUNT_REFUSED,
    "unsupportedContact": ErrorKind.ACCOUNT_REFUSED,
    "userActionRequired": ErrorKind.ACCOUNT_REFUSED,
}
#: Let's Encrypt names the moment in its sentence, too.
_AFTER = re.compile(
    r"retry after (\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?: ?UTC|Z)?", re.IGNORECASE
)


class _Network(Protocol):
    #: What the authority last asked for.
    retry_after: timedelta | None


@contextlib.contextmanager
def translated(
    network: _Network, *, unauthorized: ErrorKind = ErrorKind.UNAUTHORIZED
) -> Iterator[None]:
    """Let what fails inside be an ``AttemptError``.

    Args:
        unauthorized: What is not authorized there, where that is not the name.

    Raises:
        AttemptError: Something failed.
    """
    network.retry_after = None
    try:
        yield
    except messages.Error as error:
        raise _of_problem(error, network, unauthorized) from error
    except errors.TimeoutError as error:
        raise AttemptError(
            ErrorKind.CA_DOWN, "The authority did not come to an end in time."
        ) from error
    except (errors.Error, DeserializationError, OSError, ValueError) as error:
        # What cannot be read is what something between us and the authority said, or an authority that is broken.
        raise AttemptError(
            ErrorKind.CA_DOWN,
            f"{MEANING[ErrorKind.CA_DOWN]} {_first_line(error)}",
            retry_after=network.retry_after,
        ) from error


def _of_problem(
    error: "messages.Error", network: _Network, unauthorized: ErrorKind
) -> AttemptError:
    kind = _KINDS.get(error.code or "", ErrorKind.REJECTED)
    if kind is ErrorKind.UNAUTHORIZED:
        kind = unauthorized
    said = _sentences(error)
    asked = network.retry_after
    if kind is ErrorKind.RATE_LIMITED and asked is None:
        asked = _named_moment(said)
    return AttemptError(kind, f"{MEANING[kind]} It says: {said}", retry_after=asked)


def _sentences(error: "messages.Error") -> str:
    found = [str(error.detail or error.title or error.typ)]
    for item in error.subproblems or ():
        name = item.identifier.value if item.identifier else ""
        found.append(f"{name}: {item.detail}" if name else str(item.detail))
    return " ".join(" ".join(text.split()) for text in found)


def _named_moment(text: str) -> timedelta | None:
    found = _AFTER.search(text)
    if found is None:
        return None
    moment = datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00")
    return max(moment - now(), timedelta(0))


def retry_after_of(header: str | None) -> timedelta | None:
    """Return what a Retry-After header asks for: seconds, or a date; ``None``: nothing that can be read."""
    if not header:
        return None
    if header.strip().isdigit():
        return timedelta(seconds=min(int(header), 10**8))
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(aware - now(), timedelta(0))


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:200] if text else type(error).__name__
