"""Errors to HTTP, once: every refusal of the product becomes an RFC 9457 ``application/problem+json`` answer.

The seven branches of ``core.errors`` decide the status; a subclass changes only ``code``. What is not a domain error is a
fault of ours: the client gets a request id and nothing else, the log gets the rest.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from appliance.core.errors import (
    ConflictError,
    DomainError,
    FailedError,
    ForbiddenError,
    InvalidError,
    LimitedError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:mcp-host:problem:"


class MalformedError(InvalidError):
    """The request cannot be read at all: not JSON, not text, not what its headers say."""

    code = "malformed"


class UnsupportedMediaError(InvalidError):
    """The body's content type is not one that this address takes."""

    code = "unsupported_media_type"


class CrossSiteError(ForbiddenError):
    """A browser sent this write from another site, or without the page's token."""

    code = "cross_site"


class TimedOutError(UnavailableError):
    """The hub did not finish the request within HUB_TIMEOUT."""

    code = "timed_out"


#: The one mapping. A class is looked up by its ancestors, nearest first.
STATUS: dict[type[DomainError], HTTPStatus] = {
    MalformedError: HTTPStatus.BAD_REQUEST,
    UnsupportedMediaError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    InvalidError: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    LimitedError: HTTPStatus.TOO_MANY_REQUESTS,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    FailedError: HTTPStatus.BAD_GATEWAY,
}

#: What aiohttp itself refuses, in the product's words.
_AIOHTTP_CODES = {
    HTTPStatus.NOT_FOUND: ("no_such_address", "Nothing is at this address."),
    HTTPStatus.METHOD_NOT_ALLOWED: (
        "method_not_allowed",
        "This address does not take this method.",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "too_large",
        "The request's body is larger than the hub takes.",
    ),
}

#: Seconds after which a client may ask again when something is away.
RETRY_AFTER_S = 5


#: RFC 9110's words, whatever this Python calls them.
_PHRASES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}


@dataclass(frozen=True)
class Problem:
    """One refusal, as the API and the pages tell it."""

    status: HTTPStatus
    code: str
    detail: str
    request_id: str
    hint: str | None = None
    #: Field path to what is wrong with it.
    fields: dict[str, str] = field(default_factory=dict)
    #: The last lines that a failing program printed, oldest first.
    output: tuple[str, ...] = ()
    retry_after_s: int | None = None
    #: Methods that the address does take; only with 405.
    allowed_methods: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The status in words."""
        return _PHRASES.get(self.status, self.status.phrase)

    def as_json(self) -> dict[str, Any]:
        """Return the RFC 9457 object; members without a value are left out."""
        found: dict[str, Any] = {
            "type": f"{TYPE_PREFIX}{self.code}",
            "title": self.title,
            "status": self.status.value,
            "code": self.code,
            "detail": self.detail,
            "request_id": self.request_id,
        }
        if self.hint:
            found["hint"] = self.hint
        if self.fields:
            found["errors"] = [
                {"field": name, "message": message}
                for name, message in self.fields.items()
            ]
        if self.output:
            found["output"] = list(self.output)
        return found

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to the status."""
        found = {"Cache-Control": "no-store"}
        if self.retry_after_s is not None:
            found["Retry-After"] = str(self.retry_after_s)
        if self.status is HTTPStatus.UNAUTHORIZED:
            found["WWW-Authenticate"] = 'Bearer realm="mcp-host"'
        if self.allowed_methods:
            found["Allow"] = ", ".join(self.allowed_methods)
        return found


#: Renders a problem as a page; given to ``make_app`` by the pages, used for whoever accepts HTML.
ErrorPage = Callable[[web.Request, Problem], Awaitable[web.StreamResponse]]


def status_of(error_type: type[DomainError]) -> HTTPStatus:
    """Return the status of an error's branch.

    Raises:
        LookupError: The class belongs to no branch; a test holds that there is none.
    """
    for ancestor in error_type.__mro__:
        if ancestor in STATUS:
            return STATUS[ancestor]
    raise LookupError(f"{error_type.__name__} belongs to no branch of DomainError")


def problem_of(error: DomainError, request_id: str) -> Problem:
    """Return what a client is told of ``error``."""
    status = status_of(type(error))
    retry_after_s = RETRY_AFTER_S if isinstance(error, UnavailableError) else None
    if isinstance(error, LimitedError):
        retry_after_s = error.retry_after_s
    return Problem(
        status=status,
        code=error.code,
        detail=error.detail,
        request_id=request_id,
        hint=error.hint,
        fields=error.fields if isinstance(error, InvalidError) else {},
        output=error.output if isinstance(error, FailedError) else (),
        retry_after_s=retry_after_s,
    )


def problem_of_http(error: web.HTTPException, request_id: str) -> Problem:
    """Return what a client is told of a refusal by aiohttp itself."""
    status = HTTPStatus(error.status)
    code, detail = _AIOHTTP_CODES.get(
        status, (status.name.lower(), f"{status.phrase}.")
    )
    allowed: tuple[str, ...] = ()
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = tuple(sorted(error.allowed_methods))
    return Problem(status, code, detail, request_id, allowed_methods=allowed)


def problem_of_fault(request_id: str) -> Problem:
    """Return what a client is told of a fault of ours: how to find it in the log, nothing of it."""
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal",
        "Something went wrong inside the hub; nothing you sent explains it.",
        request_id,
        hint=f"Look for request id {request_id} in the hub's log.",
    )


def problem_response(problem: Problem) -> web.Response:
    """Return ``problem`` as JSON."""
    return web.Response(
        body=orjson.dumps(problem.as_json()),
        status=problem.status,
        content_type=MEDIA_TYPE,
        headers=problem.headers(),
    )
