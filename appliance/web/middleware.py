"""What happens around every handler, outermost first: see ``MIDDLEWARES`` at the end."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote, urlsplit

import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMessage
from structlog.contextvars import bound_contextvars

from appliance.accounts.access import require_administer, require_sight
from appliance.accounts.model import Principal
from appliance.accounts.sessions import csrf_matches
from appliance.core.errors import DomainError
from appliance.core.ids import request_id as new_request_id
from appliance.web import keys
from appliance.web.denials import SAFE_METHODS, denials
from appliance.web.doors import cors, paces
from appliance.web.parsing import refuse_unreadable
from appliance.web.problems import (
    CrossSiteError,
    ErrorPage,
    MalformedError,
    Problem,
    TimedOutError,
    problem_of,
    problem_of_fault,
    problem_of_http,
    problem_response,
)
from appliance.web.requests import (
    OWN_DOORS,
    Access,
    bearer_of,
    caller_of,
    client_address,
    identify,
    is_https,
    own_url,
    principal_of,
)
from appliance.web.uploads import MULTIPART

log = structlog.get_logger("web")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Asked every few seconds by machines; at info they would drown the log.
QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
#: Told of a request whose client left before its answer, as Nginx tells it.
CLIENT_GONE: Final = 499
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer its request id and the security headers; a signal, because streams send theirs early."""
    response.headers[keys.REQUEST_ID_HEADER] = request.get(keys.REQUEST_ID, "")
    for name, value in _SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if is_https(request):
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")


@web.middleware
async def request_id(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the caller's request id if it is sane, else make one; every log line below carries it."""
    offered = request.headers.get(keys.REQUEST_ID_HEADER, "")
    chosen = offered if _SANE_REQUEST_ID.fullmatch(offered) else new_request_id()
    request[keys.REQUEST_ID] = chosen
    known = {"request_id": chosen, "address": client_address(request)}
    if why := _reason(request):
        known["audit_reason"] = why
    with bound_contextvars(**known):
        return await handler(request)


def _reason(request: web.Request) -> str:
    """Return why somebody writes, in their words, which come as URLs write what is not ASCII."""
    words = unquote(request.headers.get(keys.REASON_HEADER, ""), errors="replace")
    return " ".join("".join(filter(str.isprintable, words)).split())


@web.middleware
async def access_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log and count the request by route template; the query stays out, it may hold what nobody should read."""
    started = time.perf_counter()
    status = CLIENT_GONE
    try:
        response = await handler(request)
        status = response.status
    except web.HTTPException as redirect:
        status = redirect.status
        raise
    finally:
        _record(request, status, time.perf_counter() - started)
    return response


def _record(request: web.Request, status: int, seconds: float) -> None:
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    # Callers may invent methods without end; a label must not grow with them.
    method = request.method if request.method in hdrs.METH_ALL else "other"
    request.app[keys.METRICS].http_request(method, route, status, seconds)
    principal = request.get(keys.PRINCIPAL)
    write = (
        log.debug
        if request.path in QUIET_PATHS or route.startswith("/static")
        else log.info
    )
    write(
        "http.request",
        method=request.method,
        path=request.path,
        route=route,
        status=status,
        duration_ms=round(seconds * 1000, 1),
        user_id=principal.user_id if principal else None,
    )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into the one answer that tells it; faults of ours go to the log with their traceback."""
    try:
        return await handler(request)
    except DomainError as error:
        problem = problem_of(error, request[keys.REQUEST_ID])
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        problem = problem_of_http(error, request[keys.REQUEST_ID])
    except BadHttpMessage:
        # Raised where a body is read in parts, or unpacked, by whoever reads it.
        malformed = MalformedError(
            "The body is not what its headers say.",
            hint="Look at the names of its parts, and at Content-Encoding.",
        )
        problem = problem_of(malformed, request[keys.REQUEST_ID])
    except Exception as error:
        if isinstance(error, ConnectionError) and _has_left(request):
            return web.Response(status=CLIENT_GONE)  # to nobody
        log.exception("http.fault", method=request.method, path=request.path)
        problem = problem_of_fault(request[keys.REQUEST_ID])
    return await _tell(request, problem)


def _has_left(request: web.Request) -> bool:
    """Return whether the client went away, as whoever breaks a download off does."""
    return request.transport is None or request.transport.is_closing()


async def _tell(request: web.Request, problem: Problem) -> web.StreamResponse:
    page: ErrorPage | None = request.app.get(keys.ERROR_PAGE)
    if page is None or not wants_page(request):
        return problem_response(problem)
    try:
        return await page(request, problem)
    except Exception:
        # The page about the error must not hide the error.
        log.exception("http.error_page_broke", path=request.path)
        return problem_response(problem)


def wants_page(request: web.Request) -> bool:
    """Return whether a person's browser asks, rather than a program."""
    if request.path.startswith("/api/"):
        return False
    return (
        "text/html" in request.headers.get(hdrs.ACCEPT, "")
        or "HX-Request" in request.headers
    )


@web.middleware
async def time_limit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """End what takes longer than HUB_TIMEOUT; streams and tool calls move the limit themselves."""
    seconds = request.app[keys.SETTINGS].hub_timeout
    limit = asyncio.timeout(seconds)
    request[keys.TIME_LIMIT] = limit
    try:
        async with limit:
            return await handler(request)
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimedOutError(
            f"The hub did not finish this within {seconds:g} seconds.",
            hint="Try again; if it stays so, look at /readyz.",
        ) from None


@web.middleware
async def authentication(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find out who asks, and shut the door unless the handler is marked as open."""
    refuse_unreadable(request)
    level = getattr(request.match_info.handler, "__access__", Access.USER)
    # An address without a handler answers 404 to everybody. A signed request is nobody's: what else it shows is not looked at.
    if request.match_info.http_exception is None and level not in OWN_DOORS:
        await _identify(request, level)
    return await handler(request)


async def _identify(request: web.Request, level: Access) -> None:
    try:
        principal = await identify(request)
    except DomainError:
        # What is open stays open with a stale cookie, and /healthz while Postgres is away.
        if level is not Access.PUBLIC:
            raise
        principal = None
    if principal is not None:
        request[keys.PRINCIPAL] = principal
    if level is Access.PUBLIC:
        return
    principal = principal_of(request)
    if level is Access.ADMIN:
        require_administer(principal)
    # A form whose answer cannot be shown must not be done first and be refused then.
    if not request.path.startswith("/api/"):
        require_sight(principal)


@web.middleware
async def csrf(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse writes that another site made a browser send.

    Where they come from is checked for everybody without a bearer key, signed in or not, so that nobody can be signed in
    as somebody else; the page's token is checked as well wherever the session cookie is what lets the request in. A signed
    request, and one of the protocol of OAuth, is let in by neither, but by what no browser adds by itself.
    """
    level = getattr(request.match_info.handler, "__access__", None)
    is_ours = request.method in SAFE_METHODS or bearer_of(request) is not None
    if level not in OWN_DOORS and not is_ours:
        _refuse_other_sites(request)
        principal = request.get(keys.PRINCIPAL)
        if principal is not None:
            await _require_token(request, principal)
    return await handler(request)


def _refuse_other_sites(request: web.Request) -> None:
    site = request.headers.get("Sec-Fetch-Site", "none")
    origin = request.headers.get(hdrs.ORIGIN)
    own = {caller_of(request).host, urlsplit(own_url(request)).netloc}
    if site not in {"same-origin", "none"} or (
        origin and urlsplit(origin).netloc not in own
    ):
        raise CrossSiteError("Another site sent this request; nothing was done.")


async def _require_token(request: web.Request, principal: Principal) -> None:
    sent = request.headers.get(keys.CSRF_HEADER)
    if getattr(request.match_info.handler, "__reads_own_form__", False) and (
        sent is None and request.content_type == MULTIPART
    ):
        # Its file is larger than a form may be; ``read_file_form`` checks the token before it takes the file.
        return
    if sent is None and request.content_type in _FORM_TYPES:
        value = (await request.post()).get(keys.CSRF_FIELD)
        sent = value if isinstance(value, str) else None
    require_token(principal, sent)


def require_token(principal: Principal, sent: str | None) -> None:
    """Raise ``CrossSiteError`` unless ``sent`` is the session's token."""
    if sent is None or not csrf_matches(principal, sent):
        raise CrossSiteError(
            "The request does not carry the session's token.",
            hint=f"Reload the page; a program sends {keys.CSRF_HEADER} from GET /api/me, or an API key instead.",
        )


#: Outermost first. ``access_log`` sees the final status because ``problems`` is inside it; ``problems`` tells of
#: everything that the doors below it refuse.
MIDDLEWARES = (
    request_id,
    access_log,
    problems,
    time_limit,
    cors,
    denials,
    authentication,
    paces,
    csrf,
)
