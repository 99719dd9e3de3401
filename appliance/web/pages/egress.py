"""Where one server may go, where it went, and what it was denied, with what would allow it."""

from typing import Any

from aiohttp import web

from appliance.core.errors import DomainError
from appliance.servers.egress.denials import entry_of, leads_inside
from appliance.servers.egress_service import without
from appliance.web import egress_form, words
from appliance.web.keys import EGRESS
from appliance.web.pages.forms import read_form, refused, see_other
from appliance.web.pages.servers import frame_of
from appliance.web.render import page
from appliance.web.requests import principal_of, server_of

routes = web.RouteTableDef()

TEMPLATE = "pages/servers/egress.html"


@routes.get("/servers/{server}/egress")
async def egress(request: web.Request) -> web.Response:
    """Show what counts, what was denied, and a form that changes it."""
    return page(request, TEMPLATE, await egress_context(request))


async def egress_context(request: web.Request) -> dict[str, Any]:
    """Return what the egress tab shows."""
    principal, server = principal_of(request), server_of(request)
    service = request.app[EGRESS]
    found = await service.view(principal, server)
    denied, proposed = await service.denied(principal, server)
    return {
        **await frame_of(request, "egress"),
        "found": found,
        "denied": [(item, entry_of(item), leads_inside(item)) for item in denied],
        "proposed": proposed,
        "used": await service.used(principal, server),
        "modes": egress_form.MODES,
        "learn": egress_form.LEARN,
        "may_lead_inside": principal.is_admin,
        "values": egress_form.values_of(without(found.policy, found.services)),
        "errors": {},
        "problem": None,
    }


@routes.post("/servers/{server}/egress")
async def change(request: web.Request) -> web.Response:
    """Change it; it counts at once."""
    form = await read_form(request)
    try:
        wanted = egress_form.read(form)
        await request.app[EGRESS].set(principal_of(request), server_of(request), wanted)
    except DomainError as error:
        context = await egress_context(request)
        return refused(request, TEMPLATE, error, form=form, context=context)
    return await _back(request)


@routes.post("/servers/{server}/egress/reset")
async def reset(request: web.Request) -> web.Response:
    """Forget what was chosen."""
    await request.app[EGRESS].set(principal_of(request), server_of(request), None)
    return await _back(request)


@routes.post("/servers/{server}/egress/allow")
async def allow(request: web.Request) -> web.Response:
    """Allow one entry, or all that were proposed."""
    form = await read_form(request)
    try:
        await request.app[EGRESS].allow(
            principal_of(request),
            server_of(request),
            [form["host"]] if form.get("host") else [],
            private="private" in form,
        )
    except DomainError as error:
        context = await egress_context(request)
        return refused(request, TEMPLATE, error, form={}, context=context)
    return await _back(request)


@routes.post("/servers/{server}/egress/forget")
async def forget(request: web.Request) -> web.Response:
    """Empty the list of what was denied."""
    await request.app[EGRESS].forget(principal_of(request), server_of(request))
    return await _back(request)


async def _back(request: web.Request) -> web.Response:
    view = (await frame_of(request, "egress"))["view"]
    return see_other(f"{words.server_path(view.server)}/egress")
