"""/api/orgs/…/invitations and /api/invitations: links by which somebody joins an organisation."""

from http import HTTPStatus
from urllib.parse import urlencode

from aiohttp import web

from appliance.web.api.org_bodies import (
    InvitationAnswer,
    InvitationList,
    InvitedAnswer,
    NewInvitationAnswer,
    NewInvitationBody,
    OrgAnswer,
    TokenBody,
)
from appliance.web.keys import INVITATIONS, ORGS
from appliance.web.requests import org_of, own_url, principal_of
from appliance.web.routes import Routes

routes = Routes("invitations")


def link_of(request: web.Request, token: str) -> str:
    """Return where whoever is invited joins; the token stands in the query, which no log keeps."""
    return f"{own_url(request)}/invitation?{urlencode({'token': token})}"


@routes.get("/api/orgs/{org}/invitations", summary="List invitations")
async def index(request: web.Request) -> InvitationList:
    """Invitations with which somebody may still join, newest first; for owners."""
    found = await request.app[INVITATIONS].list(principal_of(request), org_of(request))
    return InvitationList(items=[InvitationAnswer.of(item) for item in found])


@routes.post(
    "/api/orgs/{org}/invitations",
    summary="Invite somebody",
    status=HTTPStatus.CREATED,
)
async def create(
    request: web.Request, *, body: NewInvitationBody
) -> NewInvitationAnswer:
    """Make a link by which one person with an account here joins; the answer shows it, this once. For owners."""
    made, token = await request.app[INVITATIONS].create(
        principal_of(request),
        org_of(request),
        body.role,
        note=body.note,
        days=body.days,
    )
    shown = InvitationAnswer.of(made).model_dump()
    return NewInvitationAnswer(**shown, token=token, link=link_of(request, token))


@routes.delete(
    "/api/orgs/{org}/invitations/{invitation_id:[0-9]{1,18}}",
    summary="Revoke an invitation",
    status=HTTPStatus.NO_CONTENT,
)
async def revoke(request: web.Request) -> None:
    """Nobody joins with it any more; for owners."""
    await request.app[INVITATIONS].revoke(
        principal_of(request),
        org_of(request),
        int(request.match_info["invitation_id"]),
    )


@routes.post(
    "/api/invitations/look",
    summary="Look at an invitation",
    errors=(HTTPStatus.NOT_FOUND,),
)
async def look(request: web.Request, *, body: TokenBody) -> InvitedAnswer:
    """What an invitation is to, without accepting it."""
    org, invitation = await request.app[INVITATIONS].look(body.token)
    return InvitedAnswer(
        org=org.name,
        title=org.title,
        role=invitation.role,
        invited_by=invitation.created_by,
        expires_at=invitation.expires_at,
    )


@routes.post(
    "/api/invitations/accept",
    summary="Accept an invitation",
    errors=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
async def accept(request: web.Request, *, body: TokenBody) -> OrgAnswer:
    """Join the organisation; the link works once."""
    joined = await request.app[INVITATIONS].accept(principal_of(request), body.token)
    view = await request.app[ORGS].of_new_member(principal_of(request), joined.id)
    return OrgAnswer.of(view)
