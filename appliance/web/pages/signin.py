"""Signing in by a provider: away, back, and what a profile is linked with."""

from collections.abc import Mapping
from typing import Any

from aiohttp import hdrs, web

from appliance.core.errors import DomainError
from appliance.signin.flow import Answer
from appliance.web.keys import ACCOUNTS, PRINCIPAL, SIGNIN
from appliance.web.pages.account import LOGIN, doors_of, own_path
from appliance.web.pages.forms import leave, read_form, refused, see_other
from appliance.web.problems import MalformedError
from appliance.web.requests import (
    Access,
    access,
    client_address,
    own_url,
    principal_of,
)
from appliance.web.sessions import (
    drop_signin_cookie,
    set_session_cookie,
    set_signin_cookie,
    signin_cookie,
)

routes = web.RouteTableDef()
AWAY = "/login/oidc"
CALLBACK = "/login/oidc/callback"
PROFILE = "/settings/sessions"
PERSON = "/settings/people/{id:[0-9]{1,18}}"
IDENTITY = "{identity_id:[0-9]{1,18}}"


@routes.get(AWAY)
@access(Access.PUBLIC)
async def away(request: web.Request) -> web.Response:
    """Send the browser to the provider; if that does not answer, say so where passwords are taken."""
    wanted = own_path(request.query.get("next", ""))
    if PRINCIPAL in request:
        return see_other(wanted)
    try:
        gone = await request.app[SIGNIN].flow.begin(_callback(request), wanted)
    except DomainError as error:
        return await _refused(request, error, wanted)
    answer = see_other(gone.url)
    set_signin_cookie(request, answer, gone)
    return _isolated(answer, wanted)


@routes.get(CALLBACK)
@access(Access.PUBLIC)
async def back(request: web.Request) -> web.Response:
    """Take the browser back with what the provider says of the person."""
    query = _single(request)
    principal, state = request.get(PRINCIPAL), query.get("state", "")
    answer = Answer(
        query,
        browser=signin_cookie(request, state),
        principal=principal,
        address=client_address(request),
        user_agent=request.headers.get(hdrs.USER_AGENT, "")[:400],
    )
    try:
        found = await request.app[SIGNIN].flow.finish(answer)
    except DomainError as error:
        if principal is not None:
            raise
        return await _refused(request, error, own_path(""))
    response = see_other(found.wanted)
    drop_signin_cookie(request, response, state)
    if found.signed_in is not None:
        if principal is not None:
            await request.app[ACCOUNTS].logout(principal)
        set_session_cookie(request, response, found.signed_in.token)
    return _isolated(response, found.wanted)


@routes.post("/settings/identities/link")
async def link(request: web.Request) -> web.Response:
    """Send the person to the provider, to be linked with who they are there."""
    gone = await request.app[SIGNIN].flow.begin(
        _callback(request), f"{PROFILE}?linked", links=principal_of(request)
    )
    answer = leave(request, gone.url, "The provider asks who you are.")
    set_signin_cookie(request, answer, gone)
    return answer


@routes.post(f"/settings/identities/{IDENTITY}/unlink")
async def unlink(request: web.Request) -> web.Response:
    """Unlink the person from who they are at the provider."""
    await request.app[SIGNIN].identities.unlink(
        principal_of(request), int(request.match_info["identity_id"])
    )
    return see_other(PROFILE)


@routes.post(f"{PERSON}/identities")
@access(Access.ADMIN)
async def link_person(request: web.Request) -> web.Response:
    """Link somebody, by the provider's number or name for them."""
    form, signin = await read_form(request), request.app[SIGNIN]
    _ = signin.flow  # without a provider there is nobody to link with
    await signin.identities.link_person(
        principal_of(request),
        int(request.match_info["id"]),
        signin.issuer,
        form.get("subject", ""),
    )
    return see_other("/settings/people")


@routes.post(f"{PERSON}/identities/{IDENTITY}/unlink")
@access(Access.ADMIN)
async def unlink_person(request: web.Request) -> web.Response:
    """Unlink somebody."""
    await request.app[SIGNIN].identities.unlink_person(
        principal_of(request),
        int(request.match_info["id"]),
        int(request.match_info["identity_id"]),
    )
    return see_other("/settings/people")


def _callback(request: web.Request) -> str:
    return f"{own_url(request)}{CALLBACK}"


def _single(request: web.Request) -> Mapping[str, str]:
    if len(request.query) != len(set(request.query)):
        raise MalformedError("A parameter is there twice.")
    return request.query


async def _refused(
    request: web.Request, error: DomainError, wanted: str
) -> web.Response:
    context: dict[str, Any] = {**await doors_of(request), "next": wanted}
    return refused(request, LOGIN, error, form={}, context=context)


def _isolated(answer: web.Response, wanted: str) -> web.Response:
    """Leave alone the window that opened this one, where a client that is a page waits for what comes of it."""
    if wanted.startswith("/oauth/"):
        answer.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return answer
