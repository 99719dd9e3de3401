"""Live events: of everything that one may see, or of one server."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from aiohttp import web

from appliance.accounts.model import Principal
from appliance.core.errors import NotFoundError
from appliance.observability.events import RESET, Event
from appliance.servers.service import ServerService
from appliance.web.api.server_answers import ServerAnswer
from appliance.web.keys import EVENTS, SERVERS
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import EVENT_STREAM, Routes
from appliance.web.sse import Message, last_event_id, stream

routes = Routes("events")


@routes.get("/api/events", summary="Follow everything", content=EVENT_STREAM)
async def everything(request: web.Request) -> web.StreamResponse:
    """Events of every server that the caller may see, and of the hub itself, from now on or after `Last-Event-ID`.

    The event's name is its kind: `server.status`, `build.log`, `job.state`, `usage.metric`. One of kind `events.reset` says
    that some may have been missed: look at the state again.
    """
    return await stream(request, _everything(request))


async def _everything(request: web.Request) -> AsyncIterator[Message]:
    servers, principal = request.app[SERVERS], principal_of(request)
    subscription = request.app[EVENTS].subscribe(last_event_id(request))
    async with aclosing(subscription):
        async for event in subscription:
            if await _may_see(servers, principal, event):
                yield message_of(event)


async def _may_see(servers: ServerService, principal: Principal, event: Event) -> bool:
    if principal.is_admin or event.kind == RESET:
        return True
    if event.server_id is None:
        return False  # of the hub itself: for administrators
    try:
        await servers.get(principal, event.server_id)
    except NotFoundError:
        return False
    return True


@routes.get(
    "/api/servers/{server}/events", summary="Follow a server", content=EVENT_STREAM
)
async def of_server(request: web.Request) -> web.StreamResponse:
    """First the server itself (`server`), then its events, named by kind; `deleted` is the last one.

    With `Last-Event-ID` it goes on after that event instead.
    """
    view = await request.app[SERVERS].get(principal_of(request), server_of(request))
    return await stream(request, _of_server(request, view.server.id))


async def _of_server(request: web.Request, server_id: int) -> AsyncIterator[Message]:
    events, servers = request.app[EVENTS], request.app[SERVERS]
    principal, after = principal_of(request), last_event_id(request)
    try:
        if after is None:
            # The id is taken before the look, so an event in between is told twice rather than never.
            after = await events.newest_id()
            view = await servers.get(principal, server_id)
            data = ServerAnswer.of(view).model_dump(mode="json")
            yield Message(data, event="server", id=after)
        subscription = events.subscribe(after, server_id=server_id)
        async with aclosing(subscription):
            async for event in subscription:
                await servers.get(principal, server_id)
                yield message_of(event)
    except NotFoundError:
        yield Message({"id": server_id}, event="deleted")


def message_of(event: Event) -> Message:
    """Return an event as it is streamed."""
    data = {"at": event.at, "server_id": event.server_id, **event.data}
    return Message(data, event=event.kind, id=event.id)
