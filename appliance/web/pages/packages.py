"""What is particular to packages on a server's pages: its lock, newer dependencies, and the settings that it lacks."""

from collections.abc import Iterable

from aiohttp import web

from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.web import words
from appliance.web.keys import SERVERS
from appliance.web.pages.forms import SETTING, read_form, refused, see_other
from appliance.web.pages.servers import overview_context
from appliance.web.requests import principal_of, server_of

routes = web.RouteTableDef()


@routes.get("/servers/{server}/lock")
async def lock(request: web.Request) -> web.Response:
    """Send the lock as a file."""
    found = await request.app[SERVERS].lock(principal_of(request), server_of(request))
    headers = {
        "Content-Disposition": f'attachment; filename="{found.filename}"',
        "Cache-Control": "no-store",
    }
    return web.Response(text=found.text, content_type="text/plain", headers=headers)


@routes.post("/servers/{server}/dependencies")
async def dependencies(request: web.Request) -> web.Response:
    """Resolve the package anew, as of today, and show the build."""
    view = await request.app[SERVERS].redeploy(
        principal_of(request), server_of(request), as_of=now().date()
    )
    return see_other(words.server_path(view.server) + "/build")


@routes.post("/servers/{server}/settings")
async def provide(request: web.Request) -> web.Response:
    """Add the settings that the server said it lacks, redeploy it, and show the build."""
    form = await read_form(request)
    context = await overview_context(request)
    names = context["view"].missing_settings
    if not names:
        return see_other(words.server_path(context["view"].server))
    typed = {name: form.get(SETTING + name, "").strip() for name in names}
    # Of several one may do: "either A or B". One that is still missing is asked for again.
    given = {name: value for name, value in typed.items() if value}
    try:
        if not given:
            raise _nothing(names)
        view = await request.app[SERVERS].provide(
            principal_of(request), server_of(request), given
        )
    except InvalidError as error:
        error.fields = {
            name.replace("environment.", SETTING): text
            for name, text in error.fields.items()
        }
        return refused(
            request,
            "pages/servers/overview.html",
            error,
            form=form,
            context=context,
        )
    return see_other(words.server_path(view.server) + "/build")


def _nothing(names: Iterable[str]) -> InvalidError:
    empty = {SETTING + name: "give a value" for name in names}
    return InvalidError("The server needs a setting.", fields=empty)
