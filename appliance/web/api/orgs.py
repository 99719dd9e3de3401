"""/api/orgs: organisations and who belongs to them."""

from http import HTTPStatus

from aiohttp import web

from appliance.web.api.org_bodies import (
    NewMemberOfOrgBody,
    NewOrgBody,
    OrgAnswer,
    OrgChangeBody,
    OrgMemberAnswer,
    OrgMemberList,
    OrgPage,
    OrgQuery,
    RoleBody,
)
from appliance.web.keys import ORGS
from appliance.web.paging import one_page
from appliance.web.parsing import json_answer
from appliance.web.requests import org_of, principal_of
from appliance.web.routes import Routes

routes = Routes("orgs")
CONFLICT = (HTTPStatus.CONFLICT,)
MEMBER = "/api/orgs/{org}/members/{user_id:[0-9]{1,18}}"


@routes.get("/api/orgs", summary="List organisations")
async def index(request: web.Request, *, query: OrgQuery) -> OrgPage:
    """Organisations that the caller belongs to, by name; administrators and readers of the box see all."""
    views = await request.app[ORGS].page(
        principal_of(request),
        query=query.q,
        after=query.cursor,
        limit=query.limit + 1,
    )
    shown, last = one_page(views, query.limit)
    return OrgPage(
        items=[OrgAnswer.of(view) for view in shown],
        next_cursor=last.org.name if last else None,
    )


@routes.post(
    "/api/orgs",
    summary="Found an organisation",
    status=HTTPStatus.CREATED,
    answer=OrgAnswer,
    errors=CONFLICT,
)
async def create(request: web.Request, *, body: NewOrgBody) -> web.Response:
    """Found an organisation; the caller owns it."""
    view = await request.app[ORGS].create(principal_of(request), body.name, body.title)
    location = {"Location": f"/api/orgs/{view.org.id}"}
    return json_answer(OrgAnswer.of(view), status=HTTPStatus.CREATED, headers=location)


@routes.get("/api/orgs/{org}", summary="Show an organisation")
async def show(request: web.Request) -> OrgAnswer:
    """One organisation, by id or name."""
    view = await request.app[ORGS].get(principal_of(request), org_of(request))
    return OrgAnswer.of(view)


@routes.patch("/api/orgs/{org}", summary="Change an organisation")
async def change(request: web.Request, *, body: OrgChangeBody) -> OrgAnswer:
    """Change what is given; for owners. How many servers it may have is for administrators of the box to say."""
    view = await request.app[ORGS].change(
        principal_of(request),
        org_of(request),
        title=body.title,
        server_quota=body.server_quota,
        sets_quota="server_quota" in body.model_fields_set,
    )
    return OrgAnswer.of(view)


@routes.delete(
    "/api/orgs/{org}",
    summary="Delete an organisation",
    status=HTTPStatus.NO_CONTENT,
    errors=CONFLICT,
)
async def delete(request: web.Request) -> None:
    """Remove an organisation to which no server and no bundle belongs; for owners."""
    await request.app[ORGS].delete(principal_of(request), org_of(request))


@routes.get("/api/orgs/{org}/members", summary="List members")
async def members(request: web.Request) -> OrgMemberList:
    """Who belongs to the organisation, by address."""
    found = await request.app[ORGS].members.list(principal_of(request), org_of(request))
    return OrgMemberList(items=[OrgMemberAnswer.of(item) for item in found])


@routes.post("/api/orgs/{org}/members", summary="Add a member", errors=CONFLICT)
async def add_member(
    request: web.Request, *, body: NewMemberOfOrgBody
) -> OrgMemberAnswer:
    """Take somebody of this box into the organisation, or change what they are in it; for owners."""
    added = await request.app[ORGS].members.add(
        principal_of(request), org_of(request), body.email, body.role
    )
    return OrgMemberAnswer.of(added)


@routes.patch(MEMBER, summary="Change a member's role", errors=CONFLICT)
async def change_member(request: web.Request, *, body: RoleBody) -> OrgMemberAnswer:
    """Change what somebody is in the organisation; for owners. It keeps one owner at least."""
    changed = await request.app[ORGS].members.change(
        principal_of(request),
        org_of(request),
        int(request.match_info["user_id"]),
        body.role,
    )
    return OrgMemberAnswer.of(changed)


@routes.delete(
    MEMBER,
    summary="Remove a member",
    status=HTTPStatus.NO_CONTENT,
    errors=CONFLICT,
)
async def remove_member(request: web.Request) -> None:
    """Let somebody go, or go oneself; what they brought stays the organisation's. Their keys stop opening it within 2 s."""
    await request.app[ORGS].members.remove(
        principal_of(request), org_of(request), int(request.match_info["user_id"])
    )
