"""/api/servers/{server}/metrics: what a server did and what was done to it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, Self

from aiohttp import web
from pydantic import Field

from appliance.core.clock import now
from appliance.measurements.model import MarkKind, Sample, Series
from appliance.observability.events import EventLog
from appliance.observability.usage import USAGE_EVENT
from appliance.web.api.answer import Answer
from appliance.web.api.events import message_of
from appliance.web.keys import EVENTS, MEASUREMENTS, SERVERS
from appliance.web.parsing import Input, Moment
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import EVENT_STREAM, Routes
from appliance.web.sse import Message, last_event_id, merged, stream

routes = Routes("metrics")
SAMPLE_COLUMNS = (
    "cpu_percent",
    "memory_bytes",
    "received_bytes_per_s",
    "sent_bytes_per_s",
    "containers",
)


class MetricsQuery(Input):
    """How much."""

    limit: int = Field(200, ge=1, le=1000, description="The newest so many.")


class UsageAnswer(Answer):
    """One thing that a server did or that was done to it."""

    id: int
    event_type: str = Field(description="start, stop, delete, restart, …")
    details: dict[str, Any]
    created_at: datetime


class UsageList(Answer):
    """Usage metrics, newest first."""

    items: list[UsageAnswer]


class SeriesQuery(Input):
    """Which window."""

    since: Moment | None = Field(
        None,
        description="Its beginning; by default an hour before its end.",
    )
    until: Moment | None = Field(None, description="Its end; by default now.")
    step: int | None = Field(
        None,
        ge=10,
        le=86400,
        description="Seconds of one step; by default as fine as is kept and fits.",
    )


class SampleAnswer(Answer):
    """What a server used in one step, all its containers together."""

    at: datetime
    cpu_percent: float = Field(description="Of one core.")
    memory_bytes: int = Field(
        description="The most at one moment, without the cache of files."
    )
    received_bytes_per_s: float
    sent_bytes_per_s: float
    containers: int

    @classmethod
    def of(cls, sample: Sample) -> Self:
        """Return ``sample`` as it is answered."""
        return cls(
            at=sample.at,
            cpu_percent=round(sample.cpu_percent, 3),
            memory_bytes=sample.memory_bytes,
            received_bytes_per_s=round(sample.per_second(sample.received_bytes), 1),
            sent_bytes_per_s=round(sample.per_second(sample.sent_bytes), 1),
            containers=sample.containers,
        )


class MarkAnswer(Answer):
    """Something that happened."""

    at: datetime
    kind: MarkKind
    text: str


class SeriesAnswer(Answer):
    """Columns of equal length; null where nothing is known."""

    since: datetime
    until: datetime
    step: float = Field(description="Seconds.")
    at: list[float] = Field(description="Beginnings of the steps, seconds since 1970.")
    cpu_percent: list[float | None]
    memory_bytes: list[int | None]
    received_bytes_per_s: list[float | None]
    sent_bytes_per_s: list[float | None]
    containers: list[int | None]
    calls: list[int] = Field(
        description="Called by people and clients, not by the hub's own checks."
    )
    errors: list[int]
    p50_ms: list[float | None]
    p90_ms: list[float | None]
    p99_ms: list[float | None]
    marks: list[MarkAnswer] = Field(
        description="Deployments, builds, starts, stops, restarts, crashes and errors, oldest first."
    )
    calls_sample: int | None = Field(
        description="Only so many of the newest calls were looked at; null: all."
    )

    @classmethod
    def of(cls, found: Series) -> Self:
        """Return a series as it is answered."""
        samples = [item and SampleAnswer.of(item) for item in found.samples]
        columns: dict[str, list[Any]] = {
            name: [item and getattr(item, name) for item in samples]
            for name in SAMPLE_COLUMNS
        }
        for name in ("p50_ms", "p90_ms", "p99_ms"):
            columns[name] = [item and getattr(item, name) for item in found.calls]
        return cls(
            since=found.since,
            until=found.until,
            step=found.step.total_seconds(),
            at=[item.timestamp() for item in found.at],
            calls=[item.calls if item else 0 for item in found.calls],
            errors=[item.errors if item else 0 for item in found.calls],
            marks=[
                MarkAnswer(at=item.at, kind=item.kind, text=item.text)
                for item in found.marks
            ],
            calls_sample=found.calls_sample,
            **columns,
        )


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
    "/api/servers/{server}/metrics/series",
    summary="Show what a server used, and its calls, over time",
)
async def series(request: web.Request, *, query: SeriesQuery) -> SeriesAnswer:
    """Calls, errors, latency, processor time, memory and network in equal steps, and what happened meanwhile.

    Samples are kept in steps of 10 seconds for an hour, of a minute for a day, and of ten minutes for 30 days.
    """
    return SeriesAnswer.of(await series_of(request, query))


async def series_of(request: web.Request, query: SeriesQuery) -> Series:
    """Return the series that ``query`` asks for."""
    end = query.until or now()
    return await request.app[MEASUREMENTS].series(
        principal_of(request),
        server_of(request),
        since=query.since or end - timedelta(hours=1),
        until=query.until,
        step=timedelta(seconds=query.step) if query.step else None,
    )


@routes.get(
    "/api/servers/{server}/metrics/stream",
    summary="Follow metrics",
    content=EVENT_STREAM,
)
async def metrics_stream(request: web.Request) -> web.StreamResponse:
    """Every new usage metric as an event named `usage.metric`, from now on or after `Last-Event-ID`.

    While the server runs, what it uses comes every ten seconds as an event named `sample`, without an id.
    """
    servers, principal = request.app[SERVERS], principal_of(request)
    view = await servers.get(principal, server_of(request))
    server_id = view.server.id
    usage = _usage(request.app[EVENTS], server_id, last_event_id(request))
    return await stream(request, merged(usage, sample_messages(request, server_id)))


async def _usage(
    events: EventLog, server_id: int, after: int | None
) -> AsyncGenerator[Message]:
    async with aclosing(
        events.subscribe(after, kinds={USAGE_EVENT}, server_id=server_id)
    ) as subscription:
        async for event in subscription:
            yield message_of(event)


async def sample_messages(
    request: web.Request, server_id: int
) -> AsyncGenerator[Message]:
    """Yield every new sample of a server."""
    async with aclosing(request.app[MEASUREMENTS].watch(server_id)) as samples:
        async for sample in samples:
            data = SampleAnswer.of(sample).model_dump(mode="json")
            yield Message(data, event="sample")
