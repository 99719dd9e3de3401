"""How one server is kept apart: its tier and limits, what was given away, and which limits it ran into."""

from typing import Any

from aiohttp import web

from appliance.core.errors import DomainError, InvalidError
from appliance.runtimes.isolation import GPU, MEANINGS
from appliance.servers.isolating.model import MEANINGS as LIMITS
from appliance.web import isolation_form, words
from appliance.web.keys import ISOLATION
from appliance.web.pages.forms import read_form, refused, see_other
from appliance.web.pages.servers import frame_of
from appliance.web.render import page
from appliance.web.requests import principal_of, server_of

routes = web.RouteTableDef()

TEMPLATE = "pages/servers/isolation.html"


@routes.get("/servers/{server}/isolation")
async def isolation(request: web.Request) -> web.Response:
    """Show what holds, and a form that changes it."""
    return page(request, TEMPLATE, await isolation_context(request))


async def isolation_context(request: web.Request) -> dict[str, Any]:
    """Return what the isolation tab shows."""
    principal = principal_of(request)
    found = await request.app[ISOLATION].view(principal, server_of(request))
    return {
        **await frame_of(request, "isolation"),
        "found": found,
        "may_relax": principal.is_admin,
        "has_gpu": GPU in found.capabilities,
        "meanings": MEANINGS,
        "limit_words": LIMITS,
        "values": isolation_form.values_of(found.isolation),
        "errors": {},
        "problem": None,
        "tiers": isolation_form.TIERS,
        "gpu": isolation_form.GPU,
    }


@routes.post("/servers/{server}/isolation")
async def change(request: web.Request) -> web.Response:
    """Change it, and show the build that follows."""
    form = await read_form(request)
    try:
        wanted = isolation_form.read(form)
        view = await request.app[ISOLATION].change(
            principal_of(request), server_of(request), wanted
        )
    except DomainError as error:
        context = await isolation_context(request)
        told = (
            isolation_form.at_controls(error)
            if isinstance(error, InvalidError)
            else error
        )
        return refused(request, TEMPLATE, told, form=form, context=context)
    return see_other(f"{words.server_path(view.server)}/isolation")
