"""A person's profile: who they are, their sessions and their password."""

from typing import Any

from aiohttp import web

from appliance.core.errors import DomainError, InvalidError, NotFoundError
from appliance.web.keys import ACCOUNTS, QUOTAS, SIGNIN
from appliance.web.pages.forms import read_form, refused, see_other
from appliance.web.render import page
from appliance.web.requests import principal_of

routes = web.RouteTableDef()
SESSIONS = "pages/settings/sessions.html"
_EMPTY: dict[str, Any] = {"values": {}, "errors": {}, "problem": None}


@routes.get("/settings/sessions")
async def sessions(request: web.Request) -> web.Response:
    """Show where the person is signed in."""
    changed = "changed" in request.query
    return page(
        request, SESSIONS, {**await _sessions(request), **_EMPTY, "changed": changed}
    )


@routes.post("/settings/sessions/{id:[0-9]{1,18}}/revoke")
async def revoke_session(request: web.Request) -> web.Response:
    """End a session; one's own leads to the way in."""
    principal, session_id = principal_of(request), int(request.match_info["id"])
    await request.app[ACCOUNTS].sessions.end(principal, session_id)
    return see_other(
        "/" if session_id == principal.credential_id else "/settings/sessions"
    )


@routes.post("/settings/password")
async def change_password(request: web.Request) -> web.Response:
    """Change the password and end the other sessions."""
    form = await read_form(request)
    try:
        await request.app[ACCOUNTS].change_password(
            principal_of(request), form.get("current", ""), form.get("new", "")
        )
    except NotFoundError:
        raise
    except DomainError as error:
        shown = {"changed": False, "path": "/settings/sessions"}
        context = {**await _sessions(request), **shown}
        return refused(request, SESSIONS, _named(error), form=form, context=context)
    return see_other("/settings/sessions?changed")


def _named(error: DomainError) -> DomainError:
    """Put what is wrong with a new password beside the control that it was typed into."""
    if isinstance(error, InvalidError) and "password" in error.fields:
        return InvalidError(
            error.detail, fields={"new": error.fields["password"]}, hint=error.hint
        )
    return error


async def _sessions(request: web.Request) -> dict[str, Any]:
    principal, signin = principal_of(request), request.app[SIGNIN]
    found = await request.app[ACCOUNTS].sessions.list(principal)
    return {
        "sessions": found,
        "identities": await signin.identities.of(principal),
        "provider": signin.name,
        "linked": "linked" in request.query,
        "has_password": await request.app[ACCOUNTS].has_password(principal),
        "own_quotas": await request.app[QUOTAS].own(principal),
    }
