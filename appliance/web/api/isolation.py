"""/api/servers/{server}/isolation: how far a server is kept apart, what holds, and which limits it ran into."""

from http import HTTPStatus

from aiohttp import web

from appliance.web.api.isolation_bodies import IsolationAnswer, IsolationBody
from appliance.web.keys import ISOLATION
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("isolation")


@routes.get(
    "/api/servers/{server}/isolation", summary="Show how far a server is kept apart"
)
async def show(request: web.Request) -> IsolationAnswer:
    """With the limits that hold, hardening that was taken away, limits that the server ran into, and what this box offers."""
    view = await request.app[ISOLATION].view(principal_of(request), server_of(request))
    return IsolationAnswer.of(view)


@routes.put(
    "/api/servers/{server}/isolation",
    summary="Change how far a server is kept apart",
    status=HTTPStatus.ACCEPTED,
    errors=(HTTPStatus.CONFLICT,),
)
async def change(request: web.Request, *, body: IsolationBody) -> IsolationAnswer:
    """Redeploys the server; what was not given takes its default. Only administrators may take hardening away.

    Another size of /data holds from the next time that no container of the server runs, as after a stop.
    """
    principal, server = principal_of(request), server_of(request)
    await request.app[ISOLATION].change(principal, server, body.isolation())
    return IsolationAnswer.of(await request.app[ISOLATION].view(principal, server))
