"""/api/servers/{server}/egress: where a server may go, where it went, and what it was denied."""

from http import HTTPStatus

from aiohttp import web

from appliance.web.api.egress_bodies import (
    AllowBody,
    AttemptAnswer,
    DeniedAnswer,
    EgressAnswer,
    EgressBody,
    UsedAnswer,
)
from appliance.web.keys import EGRESS
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("egress")


@routes.get("/api/servers/{server}/egress", summary="Show where a server may go")
async def show(request: web.Request) -> EgressAnswer:
    """With what it declares, and whether this box holds it to that."""
    return EgressAnswer.of(
        await request.app[EGRESS].view(principal_of(request), server_of(request))
    )


@routes.put("/api/servers/{server}/egress", summary="Choose where a server may go")
async def change(request: web.Request, *, body: EgressBody) -> EgressAnswer:
    """Counts at once, also for connections that are open; nothing is restarted. What was not given takes its default."""
    found = await request.app[EGRESS].set(
        principal_of(request), server_of(request), body.policy()
    )
    return EgressAnswer.of(found)


@routes.delete(
    "/api/servers/{server}/egress", summary="Let a server go where it declares"
)
async def reset(request: web.Request) -> EgressAnswer:
    """Forget what was chosen: it gets what servers of its kind of source get."""
    found = await request.app[EGRESS].set(
        principal_of(request), server_of(request), None
    )
    return EgressAnswer.of(found)


@routes.post(
    "/api/servers/{server}/egress/allow", summary="Let a server reach more hosts"
)
async def allow(request: web.Request, *, body: AllowBody) -> EgressAnswer:
    """Adds to what it may reach; without hosts, everything that was proposed. Counts at once."""
    found = await request.app[EGRESS].allow(
        principal_of(request),
        server_of(request),
        [host.strip().lower() for host in body.hosts],
        private=body.private,
    )
    return EgressAnswer.of(found)


@routes.get(
    "/api/servers/{server}/egress/denied", summary="List what a server was denied"
)
async def denied(request: web.Request) -> DeniedAnswer:
    """The latest 200 destinations of the last 30 days, each with how often, and what would allow them."""
    items, proposed = await request.app[EGRESS].denied(
        principal_of(request), server_of(request)
    )
    return DeniedAnswer(
        items=[AttemptAnswer.of(item) for item in items], proposed=proposed
    )


@routes.delete(
    "/api/servers/{server}/egress/denied",
    summary="Empty the list of what a server was denied",
    status=HTTPStatus.NO_CONTENT,
)
async def forget(request: web.Request) -> None:
    """What is denied afterwards begins a new list."""
    await request.app[EGRESS].forget(principal_of(request), server_of(request))


@routes.get("/api/servers/{server}/egress/used", summary="List where a server went")
async def used(request: web.Request) -> UsedAnswer:
    """The latest 200 destinations of the last 30 days, with bytes. Of an `open` server, only what went by an allowed host."""
    items = await request.app[EGRESS].used(principal_of(request), server_of(request))
    return UsedAnswer(items=[AttemptAnswer.of(item) for item in items])
