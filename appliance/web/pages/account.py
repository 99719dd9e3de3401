"""The way in and out: landing page, sign in, register, sign out."""

from typing import Any
from urllib.parse import quote

from aiohttp import hdrs, web

from appliance.accounts.errors import CodeRequiredError, WrongCodeError
from appliance.accounts.model import SignedIn
from appliance.core.errors import DomainError
from appliance.web.keys import ACCOUNTS, PRINCIPAL, SIGNIN
from appliance.web.pages.forms import leave, read_form, refused, see_other
from appliance.web.render import page
from appliance.web.requests import (
    Access,
    access,
    client_address,
    own_url,
    principal_of,
)
from appliance.web.sessions import drop_session_cookie, set_session_cookie

routes = web.RouteTableDef()
LOGIN = "pages/account/login.html"
CODE = "pages/account/code.html"
REGISTER = "pages/account/register.html"
HOME = "/servers"


@routes.get("/")
@access(Access.PUBLIC)
async def landing(request: web.Request) -> web.Response:
    """Say what this is; who is signed in goes to the servers."""
    if PRINCIPAL in request:
        return see_other(HOME)
    return page(request, "pages/landing.html", await doors_of(request))


@routes.get("/login")
@access(Access.PUBLIC)
async def login_form(request: web.Request) -> web.Response:
    """Show the form; who is signed in already goes on."""
    wanted = own_path(request.query.get("next", ""))
    if PRINCIPAL in request:
        return see_other(wanted)
    doors = await doors_of(request)
    if doors["is_fresh"]:
        kept = "" if wanted == HOME else f"?next={quote(wanted, safe='/')}"
        return see_other(f"/register{kept}")
    return _awaited(page(request, LOGIN, {**doors, "next": wanted, **_empty()}), wanted)


@routes.post("/login")
@access(Access.PUBLIC)
async def login(request: web.Request) -> web.Response:
    """Open a session and go where the person wanted to go."""
    form = await read_form(request)
    wanted = own_path(form.get("next", ""))
    try:
        return await _open_session(request, form, wanted)
    except CodeRequiredError as needed:
        return page(
            request, CODE, {"ticket": needed.ticket, "next": wanted, **_empty()}
        )
    except DomainError as error:
        context = {**await doors_of(request), "next": wanted}
        return refused(request, LOGIN, error, form=form, context=context)


@routes.post("/login/code")
@access(Access.PUBLIC)
async def login_code(request: web.Request) -> web.Response:
    """Take the code of the second factor, and go where the person wanted to go."""
    form = await read_form(request)
    wanted, ticket = own_path(form.get("next", "")), form.get("ticket", "")
    try:
        signed_in = await request.app[ACCOUNTS].login_with_code(
            ticket,
            form.get("code", ""),
            address=client_address(request),
            user_agent=request.headers.get(hdrs.USER_AGENT, "")[:400],
        )
    except WrongCodeError as error:
        context = {"ticket": ticket, "next": wanted}
        return refused(request, CODE, error, form={}, context=context)
    except DomainError as error:
        context = {**await doors_of(request), "next": wanted}
        return refused(request, LOGIN, error, form={}, context=context)
    return _signed_in(request, signed_in, wanted)


@routes.get("/register")
@access(Access.PUBLIC)
async def register_form(request: web.Request) -> web.Response:
    """Show the form, or say who can add people."""
    wanted = own_path(request.query.get("next", ""))
    context = {**await doors_of(request), "next": wanted, **_empty()}
    return _awaited(page(request, REGISTER, context), wanted)


@routes.post("/register")
@access(Access.PUBLIC)
async def register(request: web.Request) -> web.Response:
    """Add the person and sign them in."""
    form = await read_form(request)
    wanted = own_path(form.get("next", ""))
    context = {**await doors_of(request), "next": wanted}
    try:
        await request.app[ACCOUNTS].register(
            form.get("email", ""), form.get("password", "")
        )
        return await _open_session(request, form, wanted)
    except DomainError as error:
        return refused(request, REGISTER, error, form=form, context=context)


@routes.post("/logout")
async def logout(request: web.Request) -> web.Response:
    """End the session."""
    kept = await request.app[ACCOUNTS].logout(principal_of(request))
    response = await _farewell(request, kept)
    drop_session_cookie(request, response)
    return response


async def _farewell(request: web.Request, kept: bytes | None) -> web.Response:
    """Lead to the provider, if the person is to be signed out there too; here they are, whatever it says."""
    signin = request.app[SIGNIN]
    if not signin.has_provider:
        return see_other("/")
    try:
        place = await signin.flow.farewell(kept, f"{own_url(request)}/")
    except DomainError:
        place = ""
    return (
        leave(request, place, "You are signed out here.") if place else see_other("/")
    )


async def _open_session(
    request: web.Request, form: dict[str, str], wanted: str
) -> web.Response:
    signed_in = await request.app[ACCOUNTS].login(
        form.get("email", ""),
        form.get("password", ""),
        address=client_address(request),
        user_agent=request.headers.get(hdrs.USER_AGENT, "")[:400],
    )
    return _signed_in(request, signed_in, wanted)


def _signed_in(request: web.Request, signed_in: SignedIn, wanted: str) -> web.Response:
    response = see_other(wanted)
    set_session_cookie(request, response, signed_in.token)
    return response


def own_path(wanted: str) -> str:
    """Return ``wanted`` if it is a path of this site, else the list of servers: no address may lead elsewhere."""
    # Browsers read a backslash as a slash and drop control characters, so that "/\evil" and "/\t/evil" are other hosts.
    is_plain = wanted.isascii() and wanted.isprintable() and "\\" not in wanted
    return (
        wanted
        if is_plain and wanted.startswith("/") and not wanted.startswith("//")
        else HOME
    )


def _awaited(answer: web.Response, wanted: str) -> web.Response:
    """Leave alone the window that opened this one: clients that are pages wait there for what comes of it."""
    if wanted.startswith("/oauth/"):
        answer.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return answer


async def doors_of(request: web.Request) -> dict[str, Any]:
    """Return which ways in there are, as the pages show them."""
    accounts, signin = request.app[ACCOUNTS], request.app[SIGNIN]
    return {
        "is_open": await accounts.may_register(),
        "is_fresh": not await accounts.has_users(),
        "provider": signin.name,
        # Who keeps the door asks for the form.
        "shows_form": signin.by_password or _asks_for_form(request),
        "by_password": signin.by_password,
    }


def _asks_for_form(request: web.Request) -> bool:
    return request.method != hdrs.METH_GET or "password" in request.query


def _empty() -> dict[str, Any]:
    return {"values": {}, "errors": {}, "problem": None}
