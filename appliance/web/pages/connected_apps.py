"""Connected apps: what a person allowed clients, and the clients that they made."""

from typing import Any

from aiohttp import web

from appliance.accounts.model import Role
from appliance.core.errors import DomainError
from appliance.core.oauth import SCOPES, resource_of
from appliance.oauth import scopes
from appliance.oauth.machines import NewClient
from appliance.web.keys import OAUTH
from appliance.web.pages.forms import read_form, refused, see_other
from appliance.web.render import page
from appliance.web.requests import principal_of

routes = web.RouteTableDef()
APPS = "pages/settings/apps.html"
#: What a machine client may have at most.
MOST = (("", "Everything"), *((scope, scopes.WORDS[scope]) for scope in SCOPES))
SECRETS = (
    ("", "A secret"),
    ("yes", "No secret: it runs on people's own computers, or is a page"),
)
_EMPTY: dict[str, Any] = {"values": {}, "errors": {}, "problem": None}


@routes.get("/settings/apps")
async def apps(request: web.Request) -> web.Response:
    """Show what clients may do in one's name."""
    return page(request, APPS, {**await _apps(request), **_EMPTY})


@routes.post("/settings/apps/grants/{id:[0-9]{1,18}}/revoke")
async def revoke(request: web.Request) -> web.Response:
    """Take back what a client was allowed."""
    await request.app[OAUTH].grants.revoke(
        principal_of(request), int(request.match_info["id"])
    )
    return see_other("/settings/apps")


@routes.post("/settings/apps/clients")
async def create(request: web.Request) -> web.Response:
    """Make a client, and show its secret this once."""
    form = await read_form(request)
    most = form.get("scope", "")
    try:
        client, secret = await request.app[OAUTH].machines.create(
            principal_of(request),
            NewClient(
                form.get("name", ""),
                scope=(most,) if most else (),
                redirect_uris=tuple(form.get("redirect_uris", "").split()),
                is_public=form.get("public", "") == "yes",
            ),
        )
    except DomainError as error:
        return refused(request, APPS, error, form=form, context=await _apps(request))
    shown = {"new_id": client.client_id, "new_secret": secret}
    return page(request, APPS, {**await _apps(request), **_EMPTY, **shown})


@routes.post("/settings/apps/clients/{client_id}/rotate")
async def rotate(request: web.Request) -> web.Response:
    """Exchange a client's secret and show the new one this once."""
    client_id = request.match_info["client_id"]
    secret = await request.app[OAUTH].machines.rotate(principal_of(request), client_id)
    shown = {"new_id": client_id, "new_secret": secret}
    return page(request, APPS, {**await _apps(request), **_EMPTY, **shown})


@routes.post("/settings/apps/clients/{client_id}/delete")
async def delete(request: web.Request) -> web.Response:
    """Delete a client."""
    await request.app[OAUTH].machines.delete(
        principal_of(request), request.match_info["client_id"]
    )
    return see_other("/settings/apps")


async def _apps(request: web.Request) -> dict[str, Any]:
    principal = principal_of(request)
    server = request.app[OAUTH]
    may_make = principal.role is not Role.READER
    found = await server.grants.list(principal)
    return {
        "connections": [(item, resource_of(item.grant.resource)) for item in found],
        "made": await server.machines.list(principal) if may_make else [],
        "may_make": may_make,
        "most": MOST,
        "secrets": SECRETS,
        "scope_words": scopes.WORDS,
        "new_id": "",
        "new_secret": "",
    }
