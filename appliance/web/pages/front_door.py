"""The front door: how Nginx is, what it leaves out, what to do. For administrators."""

from typing import Any

from aiohttp import web

from appliance.web.keys import FRONT_DOOR
from appliance.web.pages.forms import see_other
from appliance.web.render import blocks, is_htmx, page
from appliance.web.requests import Access, access, principal_of

routes = web.RouteTableDef()
TEMPLATE = "pages/settings/front_door.html"


@routes.get("/settings/front-door")
@access(Access.ADMIN)
async def overview(request: web.Request) -> web.Response:
    """Show everything; htmx asks for what changes."""
    context: dict[str, Any] = {"door": await request.app[FRONT_DOOR].overview()}
    if is_htmx(request) and context["door"].is_enabled:
        return blocks(request, TEMPLATE, ("door_state",), context)
    return page(request, TEMPLATE, context)


@routes.post("/settings/front-door/reload")
@access(Access.ADMIN)
async def reload(request: web.Request) -> web.Response:
    """Have Nginx read everything again."""
    await request.app[FRONT_DOOR].reload(principal_of(request))
    return see_other("/settings/front-door")
