"""/api/servers/{server}/metrics: what a server did and what was done to it."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field

from appliance.observability.events import EventLog
from appliance.observability.usage import USAGE_EVENT
from appliance.web.api.events import message_of
from appliance.web.keys import EVENTS, SERVERS
from appliance.web.parsing import Input
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import EVENT_STREAM, Routes
from appliance.web.sse import Message, last_event_id, stream

routes = Routes("metrics")


class MetricsQuery(Input):
    """How much."""

    limit: int = Field(200, ge=1, le=1000, description="The newest so many.")


class UsageAnswer(BaseModel):
    """One thing that a server did or that was done to it."""

    id: int
    event_type: str = Field(description="start, stop, delete, restart, …")
    details: dict[str, Any]
    created_at: datetime


class UsageList(BaseModel):
    """Usage metrics, newest first."""

    items: list[UsageAnswer]


@routes.get("/api/servers/{server}/metrics", summary="List usage metrics")
async def metrics(request: web.Request, *, query: MetricsQuery) -> UsageList:
    """What the server did and what was done to it, newest first."""
    found = await request.app[SERVERS].metrics(
        principal_of(request), server_of(request), limit=query.limit
    )
    return UsageList(
        items=[UsageAnswer.model_validate(item, from_attributes=True) for item in found]
    )


@routes.get(
    "/api/servers/{server}/metrics/stream",
    summary="Follow usage metrics",
    content=EVENT_STREAM,
)
async def metrics_stream(request: web.Request) -> web.StreamResponse:
    """Every new usage metric as an event named `usage.metric`, from now on or after `Last-Event-ID`."""
    servers, principal = request.app[SERVERS], principal_of(request)
    view = await servers.get(principal, server_of(request))
    return await stream(
        request, _usage(request.app[EVENTS], view.server.id, last_event_id(request))
    )


async def _usage(
    events: EventLog, server_id: int, after: int | None
) -> AsyncIterator[Message]:
    async with aclosing(
        events.subscribe(after, kinds={USAGE_EVENT}, server_id=server_id)
    ) as subscription:
        async for event in subscription:
            yield message_of(event)
