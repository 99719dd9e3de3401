"""Settings, People, for administrators, and the page by which somebody sets a new password."""

from typing import Any

from aiohttp import web

from appliance.accounts.errors import ResetLinkError
from appliance.accounts.model import Role, UserChange
from appliance.core.errors import DomainError, InvalidError
from appliance.web.api.users import reset_url
from appliance.web.keys import ACCOUNTS, QUOTAS, REQUEST_ID, SIGNIN
from appliance.web.pages.forms import member, number, read_form, refused, see_other
from appliance.web.pages.quota_forms import read_limits, shown_limits
from appliance.web.problems import problem_of
from appliance.web.render import page
from appliance.web.requests import Access, access, principal_of

routes = web.RouteTableDef()
PEOPLE = "pages/settings/people.html"
RESET = "pages/account/reset.html"
PERSON = "/settings/people/{id:[0-9]{1,18}}"
ROLES = tuple(
    (role.value, role.value.capitalize())
    for role in (Role.MEMBER, Role.READER, Role.ADMIN)
)
_EMPTY: dict[str, Any] = {"values": {}, "errors": {}, "problem": None}


@routes.get("/settings/people")
@access(Access.ADMIN)
async def people(request: web.Request) -> web.Response:
    """Show everybody."""
    return page(request, PEOPLE, {**await _people(request), **_EMPTY})


@routes.post("/settings/people")
@access(Access.ADMIN)
async def add_person(request: web.Request) -> web.Response:
    """Add somebody."""
    form = await read_form(request)
    try:
        await request.app[ACCOUNTS].people.add(
            principal_of(request),
            form.get("email", ""),
            form.get("password", ""),
            _role(form),
        )
    except DomainError as error:
        return refused(
            request, PEOPLE, error, form=form, context=await _people(request)
        )
    return see_other("/settings/people")


@routes.post(PERSON)
@access(Access.ADMIN)
async def change_person(request: web.Request) -> web.Response:
    """Change somebody's role and quotas."""
    form = await read_form(request)
    try:
        change = UserChange(
            role=_role(form),
            sets_quota=True,
            server_quota=number(form.get("server_quota", ""), int, "server_quota"),
        )
        if wanted := read_limits(form):
            quotas = request.app[QUOTAS]
            await quotas.change_person(principal_of(request), _user_id(request), wanted)  # fmt: skip
        await request.app[ACCOUNTS].people.change(
            principal_of(request), _user_id(request), change
        )
    except DomainError as error:
        # Its dialog is shut: what is wrong with which control stands above, and what was typed is kept.
        problem = problem_of(error, request[REQUEST_ID])
        again = {"typed_for": {_user_id(request): form}, "problem": problem}
        context = {**await _people(request), **_EMPTY, **again}
        return page(request, PEOPLE, context, status=problem.status)
    return see_other("/settings/people")


@routes.post(PERSON + "/disable")
@access(Access.ADMIN)
async def disable_person(request: web.Request) -> web.Response:
    """Shut somebody out."""
    return await _changed(request, UserChange(is_disabled=True))


@routes.post(PERSON + "/enable")
@access(Access.ADMIN)
async def enable_person(request: web.Request) -> web.Response:
    """Let somebody in again."""
    return await _changed(request, UserChange(is_disabled=False))


@routes.post(PERSON + "/reset-link")
@access(Access.ADMIN)
async def reset_link(request: web.Request) -> web.Response:
    """Make a link for a new password and show it this once."""
    try:
        link = await request.app[ACCOUNTS].resets.create(
            principal_of(request), _user_id(request)
        )
    except InvalidError as error:
        return await _refused(request, error)
    shown = {"link": reset_url(request, link.token), "link_for": link.user.email}
    return page(request, PEOPLE, {**await _people(request), **_EMPTY, **shown})


async def _changed(request: web.Request, change: UserChange) -> web.Response:
    try:
        await request.app[ACCOUNTS].people.change(
            principal_of(request), _user_id(request), change
        )
    except DomainError as error:
        return await _refused(request, error)
    return see_other("/settings/people")


async def _refused(request: web.Request, error: DomainError) -> web.Response:
    return refused(request, PEOPLE, error, form={}, context=await _people(request))


def _role(form: dict[str, str]) -> Role:
    role = member(Role, form.get("role", ""))
    if role is None:
        raise InvalidError.field("role", "choose one of the list")
    return role


def _user_id(request: web.Request) -> int:
    return int(request.match_info["id"])


async def _people(request: web.Request) -> dict[str, Any]:
    principal = principal_of(request)
    users = await request.app[ACCOUNTS].people.list(principal)
    quotas = await request.app[QUOTAS].of_people(principal, [user.id for user in users])
    return {
        "users": users,
        "quotas": quotas,
        "limits": {owner: shown_limits(found) for owner, found in quotas.items()},
        "roles": ROLES,
        "typed_for": {},
        "link": "",
        "link_for": "",
        "path": "/settings/people",
        "provider": request.app[SIGNIN].name,
    }


@routes.get("/reset-password")
@access(Access.PUBLIC)
async def reset_form(request: web.Request) -> web.Response:
    """Show whose password the link sets, or that it sets none."""
    token = request.query.get("token", "")
    try:
        user = await request.app[ACCOUNTS].resets.whose(token)
    except ResetLinkError as error:
        return refused(request, RESET, error, form={}, context=_of_nobody())
    return page(request, RESET, {"token": token, "email": user.email, **_EMPTY})


@routes.post("/reset-password")
@access(Access.PUBLIC)
async def reset_password(request: web.Request) -> web.Response:
    """Set the password and go to the way in."""
    form = await read_form(request)
    token, resets = form.get("token", ""), request.app[ACCOUNTS].resets
    try:
        user = await resets.whose(token)
    except ResetLinkError as error:
        return refused(request, RESET, error, form={}, context=_of_nobody())
    try:
        await resets.redeem(token, form.get("password", ""))
    except DomainError as error:
        context = {"token": token, "email": user.email}
        return refused(request, RESET, error, form=form, context=context)
    return see_other("/login")


def _of_nobody() -> dict[str, Any]:
    return {"token": "", "email": ""}
