"""Refused attempts go into the audit trail here, whoever refused them and however.

Written are: a credential that is wrong; what somebody may not do; a write to what they may not know of; and writes that come
too often. Not written: whoever shows nothing at all, and reading what is not there.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web

from appliance.accounts.errors import WrongCredentialsError
from appliance.core.errors import (
    DomainError,
    ForbiddenError,
    LimitedError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from appliance.web.keys import AUDIT, PRINCIPAL
from appliance.web.problems import status_of
from appliance.web.requests import Access, client_address, row_id, session_cookie

log = structlog.get_logger("web")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
#: Names in paths of what has a trail of its own.
_OBJECTS = ("server", "bundle", "org")
_MAX_PATH = 200
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@web.middleware
async def denials(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write refused attempts into the audit trail, a few a minute from each address."""
    try:
        response = await handler(request)
    except DomainError as error:
        if is_denied(request, error):
            await _write(request, status_of(type(error)), error.code)
        raise
    if response.status in _REFUSED:
        # Protocols with errors of their own answer rather than raise.
        await _write(request, HTTPStatus(response.status), "")
    return response


def is_denied(request: web.Request, error: DomainError) -> bool:
    """Return whether ``error`` refuses somebody what they tried."""
    if _access(request) is Access.SIGNED:
        return False  # who calls a webhook wrongly is told of, and slowed down, where secrets are compared
    if isinstance(error, WrongCredentialsError):
        # Signing in writes its own line, which names the e-mail.
        return request.get(PRINCIPAL) is not None
    if isinstance(error, UnauthenticatedError):
        shown = hdrs.AUTHORIZATION in request.headers
        return shown or session_cookie(request) is not None
    if isinstance(error, ForbiddenError):
        return True
    is_write = request.method not in SAFE_METHODS
    return is_write and isinstance(error, NotFoundError | LimitedError)


def _access(request: web.Request) -> Access:
    found: Access = getattr(request.match_info.handler, "__access__", Access.USER)
    return found


async def _write(request: web.Request, status: HTTPStatus, code: str) -> None:
    details: dict[str, Any] = {
        "method": request.method[:20],
        "path": _plain(request.path),
        "status": status.value,
    }
    if code:
        details["code"] = code
    try:
        await request.app[AUDIT].denied(
            request.get(PRINCIPAL),
            "request.denied",
            address=client_address(request),
            details=details,
            **_object(request),
        )
    except UnavailableError as error:
        # The refusal stands, also where nothing can be written; the log has the request anyway.
        log.warning("audit.denial_not_written", reason=error.reason)


def _object(request: web.Request) -> dict[str, Any]:
    for kind in _OBJECTS:
        name = request.match_info.get(kind)
        if name is not None:
            number = row_id(name)
            named = "" if number is not None else _plain(name)
            return {"object_type": kind, "object_id": number, "object_name": named}
    return {"object_type": "request"}


def _plain(text: str) -> str:
    """Return what Postgres takes of a text that somebody made up."""
    sound = text[:_MAX_PATH].encode("utf-8", "replace").decode()
    return sound.replace("\0", "\ufffd")
