"""Errors as pages: for a browser a whole page, for htmx a toast that leaves the page as it is."""

import contextlib
from http import HTTPStatus
from urllib.parse import quote

from aiohttp import hdrs, web

from appliance.core.errors import DomainError
from appliance.web.keys import ACCOUNTS, PRINCIPAL
from appliance.web.problems import Problem, problem_response
from appliance.web.render import is_htmx, page
from appliance.web.requests import session_cookie

_HEADINGS = {
    HTTPStatus.FORBIDDEN: "You may not do this",
    HTTPStatus.NOT_FOUND: "There is no such page or thing",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take that",
    HTTPStatus.CONFLICT: "This does not go now",
    HTTPStatus.TOO_MANY_REQUESTS: "Too often",
    HTTPStatus.SERVICE_UNAVAILABLE: "Something this needs is away",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong",
}


async def error_page(request: web.Request, problem: Problem) -> web.StreamResponse:
    """Tell a person of ``problem``; who is not signed in is sent to do so, and comes back to where they wanted to go."""
    if request.path.startswith("/live/"):
        # A stream's reader needs the true status: with a page or a redirect it would try again at once, for ever.
        return problem_response(problem)
    await _recognise(request)
    if problem.status is HTTPStatus.UNAUTHORIZED:
        return _to_login(request)
    if is_htmx(request):
        answer = page(
            request,
            "partials/refusal_toast.html",
            {"problem": problem},
            status=problem.status,
        )
        answer.headers["HX-Reswap"] = "none"
    else:
        heading = _HEADINGS.get(problem.status, problem.title)
        answer = page(
            request,
            "pages/error.html",
            {"problem": problem, "heading": heading},
            status=problem.status,
        )
    answer.headers.update(problem.headers())
    return answer


async def _recognise(request: web.Request) -> None:
    """Find out who asks for an address that leads nowhere, so that they stay in the frame they know."""
    cookie = session_cookie(request)
    if cookie and PRINCIPAL not in request:
        with contextlib.suppress(
            DomainError
        ):  # Postgres may be what this page is about
            principal = await request.app[ACCOUNTS].sessions.whose(cookie)
            if principal:
                request[PRINCIPAL] = principal


def _to_login(request: web.Request) -> web.Response:
    wanted = (
        request.path_qs
        if request.method == hdrs.METH_GET and not is_htmx(request)
        else "/servers"
    )
    location = f"/login?next={quote(wanted, safe='/')}"
    if is_htmx(request):
        return web.Response(headers={"HX-Redirect": location})
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": location})
