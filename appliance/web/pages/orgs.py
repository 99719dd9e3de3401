"""Settings, Organisations: which there are, who belongs to one, and the links by which somebody joins."""

from typing import Any

from aiohttp import web

from appliance.accounts.access import actions
from appliance.accounts.model import Action, MemberRole
from appliance.core.errors import DomainError, InvalidError, NotFoundError
from appliance.web.api.invitations import link_of
from appliance.web.keys import BUNDLES, INVITATIONS, ORGS, QUOTAS, SERVERS
from appliance.web.pages.forms import member, number, read_form, refused, see_other
from appliance.web.pages.quota_forms import read_limits, shown_limits
from appliance.web.render import page
from appliance.web.requests import org_of, principal_of

routes = web.RouteTableDef()
LIST = "pages/settings/orgs.html"
ONE = "pages/settings/org.html"
INVITATION = "pages/settings/invitation.html"
PLACE = "/settings/orgs"
#: How many a page shows; more are found by mcpctl and the API.
SHOWN = 200
ROLES = (
    ("reader", "Reader: sees and calls"),
    ("deployer", "Deployer: also starts, stops, redeploys"),
    ("maintainer", "Maintainer: also changes, adds, deletes"),
    ("owner", "Owner: also members and transfers"),
)
LASTS = (("1", "1 day"), ("7", "7 days"), ("30", "30 days"))
_EMPTY: dict[str, Any] = {"values": {}, "errors": {}, "problem": None}


@routes.get("/settings/orgs")
async def index(request: web.Request) -> web.Response:
    """Show the organisations that the person may see."""
    return page(request, LIST, {**await _list(request), **_EMPTY})


@routes.post("/settings/orgs")
async def create(request: web.Request) -> web.Response:
    """Found an organisation, and show it."""
    form = await read_form(request)
    try:
        view = await request.app[ORGS].create(
            principal_of(request), form.get("name", "").strip(), form.get("title", "")
        )
    except DomainError as error:
        return refused(request, LIST, error, form=form, context=await _list(request))
    return see_other(f"{PLACE}/{view.org.id}")


async def _list(request: web.Request) -> dict[str, Any]:
    views = await request.app[ORGS].page(principal_of(request), limit=SHOWN)
    return {"views": views}


@routes.get("/settings/orgs/{org}")
async def show(request: web.Request) -> web.Response:
    """Show one organisation."""
    return page(request, ONE, {**await _one(request), **_EMPTY})


async def _one(request: web.Request) -> dict[str, Any]:
    principal, org = principal_of(request), org_of(request)
    view = await request.app[ORGS].get(principal, org)
    allowed = actions(principal, view.org.thing)
    is_manager = Action.MANAGE in allowed
    servers = await request.app[SERVERS].page(
        principal, org_id=view.org.id, limit=SHOWN
    )
    bundles = await request.app[BUNDLES].page(
        principal, org_id=view.org.id, limit=SHOWN
    )
    invitations = (
        await request.app[INVITATIONS].list(principal, view.org.id)
        if is_manager
        else []
    )
    quotas = await request.app[QUOTAS].of_org(principal, view.org.id)
    return {
        "view": view,
        "base": f"{PLACE}/{view.org.id}",
        "members": await request.app[ORGS].members.list(principal, view.org.id),
        "invitations": invitations,
        "servers": servers,
        "bundles": bundles,
        "may_manage": is_manager,
        "may_change": Action.CHANGE in allowed,
        "may_set_quota": principal.is_admin,
        "roles": ROLES,
        "lasts": LASTS,
        "link": "",
        "quotas": quotas,
        "own": {
            **shown_limits(quotas),
            "title": view.org.title,
            "server_quota": ""
            if view.org.server_quota is None
            else str(view.org.server_quota),
        },
    }


@routes.post("/settings/orgs/{org}")
async def change(request: web.Request) -> web.Response:
    """Change the title, and as an administrator the quota."""
    form, principal = await read_form(request), principal_of(request)
    try:
        await request.app[ORGS].change(
            principal,
            org_of(request),
            title=form.get("title", ""),
            server_quota=number(form.get("server_quota", ""), int, "server_quota"),
            sets_quota=principal.is_admin and "server_quota" in form,
        )
        if principal.is_admin and (wanted := read_limits(form)):
            await request.app[QUOTAS].change_org(principal, org_of(request), wanted)
    except InvalidError as error:
        context = await _one(request)
        return refused(
            request, ONE, error, form={}, context={**context, "own": {**form}}
        )
    return see_other(f"{PLACE}/{request.match_info['org']}")


@routes.post("/settings/orgs/{org}/delete")
async def delete(request: web.Request) -> web.Response:
    """Remove the organisation."""
    try:
        await request.app[ORGS].delete(principal_of(request), org_of(request))
    except NotFoundError:
        raise
    except DomainError as error:
        return refused(request, ONE, error, form={}, context=await _one(request))
    return see_other(PLACE)


@routes.post("/settings/orgs/{org}/members")
async def set_member(request: web.Request) -> web.Response:
    """Take somebody in, or change what they are."""
    form = await read_form(request)
    try:
        await request.app[ORGS].members.add(
            principal_of(request), org_of(request), form.get("email", ""), _role(form)
        )
    except NotFoundError:
        raise
    except DomainError as error:
        return refused(request, ONE, error, form=form, context=await _one(request))
    return see_other(f"{PLACE}/{request.match_info['org']}#members")


@routes.post("/settings/orgs/{org}/members/{user_id:[0-9]{1,18}}/remove")
async def remove_member(request: web.Request) -> web.Response:
    """Let somebody go; who goes themselves is led to their other organisations."""
    user_id = int(request.match_info["user_id"])
    try:
        await request.app[ORGS].members.remove(
            principal_of(request), org_of(request), user_id
        )
    except NotFoundError:
        raise
    except DomainError as error:
        return refused(request, ONE, error, form={}, context=await _one(request))
    principal = principal_of(request)
    if user_id == principal.user_id:
        return see_other(PLACE)
    return see_other(f"{PLACE}/{request.match_info['org']}#members")


@routes.post("/settings/orgs/{org}/invitations")
async def invite(request: web.Request) -> web.Response:
    """Make a link, and show it this once."""
    form = await read_form(request)
    try:
        _, token = await request.app[INVITATIONS].create(
            principal_of(request),
            org_of(request),
            _role(form),
            note=form.get("note", ""),
            days=number(form.get("days", ""), int, "days") or 0,
        )
    except NotFoundError:
        raise
    except DomainError as error:
        return refused(request, ONE, error, form=form, context=await _one(request))
    context = {**await _one(request), **_EMPTY, "link": link_of(request, token)}
    return page(request, ONE, context)


@routes.post("/settings/orgs/{org}/invitations/{id:[0-9]{1,18}}/revoke")
async def revoke(request: web.Request) -> web.Response:
    """Shut a link."""
    await request.app[INVITATIONS].revoke(
        principal_of(request), org_of(request), int(request.match_info["id"])
    )
    return see_other(f"{PLACE}/{request.match_info['org']}#invitations")


def _role(form: dict[str, str]) -> MemberRole:
    role = member(MemberRole, form.get("role", ""))
    if role is None:
        raise InvalidError.field("role", "choose one of the list")
    return role


@routes.get("/invitation")
async def invitation(request: web.Request) -> web.Response:
    """Show what a link invites to."""
    token = request.query.get("token", "")[:200]
    org, invited = await request.app[INVITATIONS].look(token)
    context = {"org": org, "invited": invited, "token": token, "problem": None}
    return page(request, INVITATION, context)


@routes.post("/invitation")
async def accept(request: web.Request) -> web.Response:
    """Join, and show the organisation."""
    form = await read_form(request)
    token = form.get("token", "")[:200]
    org = await request.app[INVITATIONS].accept(principal_of(request), token)
    return see_other(f"{PLACE}/{org.id}")
