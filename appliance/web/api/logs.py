"""/api/servers/{server}/logs: what a server prints, now and before."""

from datetime import datetime
from typing import Literal, Self

from aiohttp import web
from pydantic import Field

from appliance.output.errors import CursorError
from appliance.output.model import Filter, Line, Page, Position, Stream
from appliance.web.api.answer import Answer
from appliance.web.keys import OUTPUT
from appliance.web.output_texts import events_of, send_file
from appliance.web.parsing import Input, Moment
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import EVENT_STREAM, TEXT, Routes
from appliance.web.sse import pour

routes = Routes("logs")


class LogsQuery(Input):
    """How much."""

    lines: int = Field(200, ge=1, le=2000, description="The last so many lines.")


class LinesQuery(Input):
    """Which lines."""

    q: str = Field("", max_length=200, description="Part of the text, in any case.")
    stream: Stream | None = Field(
        None, description="Only `stdout`, `stderr`, or `note`: what is missing here."
    )
    since: Moment | None = Field(None, description="Only lines printed then or later.")
    until: Moment | None = Field(None, description="Only lines printed before.")
    deployment_id: int | None = Field(
        None, ge=1, le=10**18 - 1, description="Only lines of this deployment."
    )
    session: str = Field(
        "",
        max_length=32,
        pattern="^[0-9a-zA-Z]*$",
        description="Only lines of the container of this session.",
    )

    def filter(self) -> Filter:
        """Return what is asked for."""
        return Filter(
            text=self.q,
            stream=self.stream,
            since=self.since,
            until=self.until,
            deployment_id=self.deployment_id,
            session=self.session,
        )


class HistoryQuery(LinesQuery):
    """Which lines, and where to go on."""

    cursor: str = Field(
        "",
        max_length=64,
        description="`next_cursor` or `previous_cursor` of another page, or the `id` of a line.",
    )
    direction: Literal["older", "newer"] = Field(
        "older",
        description="Whether to go on before or after the cursor; without one: from the newest line, or from the oldest.",
    )
    limit: int = Field(200, ge=1, le=1000, description="Lines a page.")

    def position(self) -> Position | None:
        """Return where to go on.

        Raises:
            CursorError: The cursor is none of ours.
        """
        found = Position.parse(self.cursor)
        if self.cursor and found is None:
            raise CursorError.field("cursor", "is not one that a page gave")
        return found


class LogAnswer(Answer):
    """One line that a server printed."""

    id: str = Field(description="Its place; `Last-Event-ID` and `cursor` take it.")
    at: datetime
    stream: Stream = Field(
        description="`stdout`, `stderr`, or `note`: what is missing here, said by the hub."
    )
    text: str
    deployment_id: int = Field(description="0: said by the hub.")
    container: str = Field(description="The beginning of the container's id.")
    session: str = Field(
        description="For which session the container was; empty: the server's own."
    )

    @classmethod
    def of(cls, line: Line) -> Self:
        """Return ``line`` as it is answered."""
        printed = line.printed
        return cls(
            id=str(line.position),
            at=printed.at,
            stream=printed.stream,
            text=printed.text,
            deployment_id=printed.deployment_id,
            container=printed.container,
            session=printed.session,
        )


class LogsAnswer(Answer):
    """The last lines, oldest first."""

    items: list[LogAnswer]


class LogPage(LogsAnswer):
    """Lines, oldest first."""

    next_cursor: str | None = Field(
        description="`cursor` for older lines; null: there are none. A page with few or no items may have one: "
        "a page looks at a bounded amount of output."
    )
    previous_cursor: str | None = Field(
        description="`cursor` for newer lines, with `direction=newer`."
    )
    is_partial: bool = Field(
        description="Whether the page ended before it was full because it had looked at enough."
    )


@routes.get("/api/servers/{server}/logs", summary="Show what a server printed")
async def logs(request: web.Request, *, query: LogsQuery) -> LogsAnswer:
    """The last lines of all its containers; a stdio server's protocol traffic is not kept, and so not among them."""
    found = await request.app[OUTPUT].tail(
        principal_of(request), server_of(request), lines=query.lines
    )
    return LogsAnswer(items=[LogAnswer.of(line) for line in found])


@routes.get(
    "/api/servers/{server}/logs/history", summary="Search what a server printed"
)
async def history(request: web.Request, *, query: HistoryQuery) -> LogPage:
    """Lines that match, oldest first, a page at a time from either end; kept as SERVER_LOG_RETENTION_DAYS says."""
    found = await page_of(request, query)
    return LogPage(
        items=[LogAnswer.of(line) for line in found.items],
        next_cursor=str(found.older) if found.older else None,
        previous_cursor=str(found.newer) if found.newer else None,
        is_partial=found.is_partial,
    )


async def page_of(request: web.Request, query: HistoryQuery) -> Page:
    """Return the page that ``query`` asks for."""
    position = query.position()
    is_newer = query.direction == "newer"
    return await request.app[OUTPUT].history(
        principal_of(request),
        server_of(request),
        query.filter(),
        before=None if is_newer else position,
        after=(position or Position(0, 0)) if is_newer else None,
        limit=query.limit,
    )


@routes.get(
    "/api/servers/{server}/logs/download",
    summary="Download what a server printed",
    content=TEXT,
)
async def download(request: web.Request, *, query: LinesQuery) -> web.StreamResponse:
    """All lines that match, oldest first, each with its time and stream."""
    output = request.app[OUTPUT]
    server_id = await output.find(principal_of(request), server_of(request))
    name = f"{request.match_info['server']}-log.txt"
    return await send_file(request, name, output.all(server_id, query.filter()))


@routes.get(
    "/api/servers/{server}/logs/stream",
    summary="Follow what a server prints",
    content=EVENT_STREAM,
)
async def logs_stream(request: web.Request, *, query: LogsQuery) -> web.StreamResponse:
    """The last lines and then new ones, as events named `log`, over restarts and deployments.

    Ids are the lines' own; with `Last-Event-ID` the stream goes on right after that line. `missed` tells how many `lines` a
    reader did not get because it is too slow, `gap` that lines after the id are no longer kept. `end` comes when the server
    is deleted.
    """
    output = request.app[OUTPUT]
    server_id = await output.find(principal_of(request), server_of(request))
    after = Position.parse(request.headers.get("Last-Event-ID", ""))
    batches = output.watch(server_id, after=after, lines=query.lines)
    return await pour(request, events_of(batches))
