"""The Dockerfile of one server, in a form that takes it over."""

from typing import Any

from aiohttp import web

from appliance.core.errors import InvalidError
from appliance.servers.dockerfiles import ServerDockerfiles
from appliance.servers.service import ServerView
from appliance.web import words
from appliance.web.keys import SERVERS
from appliance.web.pages.forms import read_form, refused, see_other
from appliance.web.pages.servers import frame_of
from appliance.web.render import page
from appliance.web.requests import principal_of, server_of

routes = web.RouteTableDef()
TEMPLATE = "pages/servers/dockerfile.html"


@routes.get("/servers/{server}/dockerfile")
async def show(request: web.Request) -> web.Response:
    """Show the Dockerfile, to be edited by those who may."""
    return page(request, TEMPLATE, await _context(request))


async def _context(request: web.Request) -> dict[str, Any]:
    frame = await frame_of(request, "config")
    view = await _dockerfiles(request).get(principal_of(request), server_of(request))
    return {
        **frame,
        "dockerfile": view,
        "values": {"dockerfile": view.text},
        "errors": {},
        "problem": None,
    }


@routes.post("/servers/{server}/dockerfile")
async def take_over(request: web.Request) -> web.Response:
    """Build the server by what was typed, and show the build."""
    form = await read_form(request)
    try:
        view = await _dockerfiles(request).take_over(
            principal_of(request), server_of(request), form.get("dockerfile", "")
        )
    except InvalidError as error:
        context = await _context(request)
        return refused(request, TEMPLATE, error, form=form, context=context)
    return _to_build(view)


@routes.post("/servers/{server}/dockerfile/reset")
async def give_back(request: web.Request) -> web.Response:
    """Build the server as it was before somebody took its Dockerfile over, and show the build."""
    return _to_build(
        await _dockerfiles(request).give_back(principal_of(request), server_of(request))
    )


def _dockerfiles(request: web.Request) -> ServerDockerfiles:
    return ServerDockerfiles(request.app[SERVERS])


def _to_build(view: ServerView) -> web.Response:
    return see_other(f"{words.server_path(view.server)}/build")
