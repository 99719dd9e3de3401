"""/api/servers/{server}/invocations: every call of a server, one in full, and what they were like together."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Self

from aiohttp import web
from pydantic import Field

from appliance.invocations.errors import InvocationNotFoundError
from appliance.invocations.model import (
    Cursor,
    Figures,
    Filter,
    FullInvocation,
    Invocation,
    Outcome,
    Page,
    Summary,
)
from appliance.web.api.answer import Answer
from appliance.web.keys import INVOCATIONS
from appliance.web.parsing import Input, Moment
from appliance.web.requests import path_id, principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("invocations")


class InvocationQuery(Input):
    """Which calls."""

    since: Moment | None = Field(
        None, description="Only calls that started then or later."
    )
    until: Moment | None = Field(None, description="Only calls that started before.")
    principal: str = Field(
        "",
        max_length=100,
        description="Who called: `user:5`, `client:…` (a machine with a token of its own), `key:9` (of an organisation), "
        "`server:12` (its endpoint key), `bundle:3`, `hub`.",
    )
    method: str = Field(
        "", max_length=200, description="The JSON-RPC method, such as `tools/call`."
    )
    tool: str = Field(
        "", max_length=1024, description="The whole name of a tool, prompt or resource."
    )
    q: str = Field("", max_length=200, description="A part of that name, in any case.")
    outcome: Outcome | None = Field(None, description="Only calls that went so.")
    status: int | None = Field(
        None, ge=1, le=5, description="First digit of the HTTP status."
    )
    error_class: str = Field(
        "",
        max_length=100,
        description="`tool_error`, `rpc_error`, or the `code` of a gateway's error.",
    )
    min_duration_ms: float = Field(
        0, ge=0, le=1e9, description="Only calls that took so long or longer."
    )
    cursor: str = Field(
        "", max_length=64, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Calls a page.")

    def filter(self) -> Filter:
        """Return what is asked for."""
        return Filter(
            since=self.since,
            until=self.until,
            principal=self.principal,
            method=self.method,
            target=self.tool,
            text=self.q,
            outcome=self.outcome,
            status_class=self.status,
            error_class=self.error_class,
            min_duration_ms=self.min_duration_ms,
        )

    def after(self) -> Cursor | None:
        """Return where to go on.

        Raises:
            InvalidError: The cursor is none of ours.
        """
        return Cursor.parse(self.cursor) if self.cursor else None


class SummaryQuery(Input):
    """Which window."""

    hours: float = Field(
        24, gt=0, le=24 * 3650, description="How far back from now it reaches."
    )


class InvocationAnswer(Answer):
    """One call."""

    id: int
    started_at: datetime
    duration_ms: float
    server_id: int
    bundle_id: int | None = Field(description="The bundle that it came through.")
    deployment_id: int | None
    principal: str = Field(
        description="`user:5`, `client:…`, `key:9`, `server:12`, `bundle:3` or `hub`."
    )
    caller: str = Field(description="The same, as people know it.")
    method: str
    target: str = Field(description="Tool, prompt or resource; else empty.")
    http_status: int
    outcome: Outcome
    error_class: str = Field(description="Empty when it went well.")
    rpc_code: int | None = Field(description="Of the JSON-RPC error.")
    request_bytes: int
    response_bytes: int
    traceparent: str = Field(description="W3C trace context that the client gave.")


class FullInvocationAnswer(InvocationAnswer):
    """One call with what is kept of its bodies."""

    request: str | None = Field(
        description="The first bytes, secrets redacted; null: not kept."
    )
    response: str | None = Field(description="As `request`.")

    @classmethod
    def of_full(cls, item: FullInvocation) -> Self:
        """Return ``item`` as it is answered."""
        shown = _answer(item.call).model_dump()
        return cls(**shown, request=item.request, response=item.response)


class InvocationPage(Answer):
    """Some calls, newest first."""

    items: list[InvocationAnswer]
    next_cursor: str | None = Field(
        description="`cursor` for the next page; null on the last. A page with few or no items may have one: "
        "a page looks at a bounded number of calls."
    )


class FiguresAnswer(Answer):
    """What calls were like."""

    calls: int
    errors: int
    error_rate: float = Field(description="From 0 to 1.")
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class KindAnswer(FiguresAnswer):
    """What calls of one kind were like."""

    method: str
    target: str = Field(description="Tool or prompt; else empty.")


class SummaryAnswer(Answer):
    """What the calls of a window were like."""

    since: datetime
    until: datetime
    total: FiguresAnswer
    tools: list[KindAnswer] = Field(
        description="One for each method and tool, the most called first."
    )
    sample: int | None = Field(
        description="Only so many of the newest calls were looked at; null: all."
    )


@routes.get("/api/servers/{server}/invocations", summary="List calls")
async def index(request: web.Request, *, query: InvocationQuery) -> InvocationPage:
    """Calls of the server, newest first. They appear within a second."""
    found = await page_of(request, query)
    return InvocationPage(
        items=[_answer(item) for item in found.items],
        next_cursor=str(found.next) if found.next else None,
    )


async def page_of(request: web.Request, query: InvocationQuery) -> Page:
    """Return the page that ``query`` asks for."""
    return await request.app[INVOCATIONS].page(
        principal_of(request),
        server_of(request),
        query.filter(),
        after=query.after(),
        limit=query.limit,
    )


@routes.get("/api/servers/{server}/invocations/summary", summary="Sum calls up")
async def summary(request: web.Request, *, query: SummaryQuery) -> SummaryAnswer:
    """How many calls, how many failed, and how long they took: together, and by method and tool."""
    found = await request.app[INVOCATIONS].summary(
        principal_of(request),
        server_of(request),
        window=timedelta(hours=query.hours),
    )
    return _summary(found)


@routes.get(
    "/api/servers/{server}/invocations/{invocation}",
    summary="Show a call",
    errors=(HTTPStatus.NOT_FOUND,),
)
async def show(request: web.Request) -> FullInvocationAnswer:
    """One call with what is kept of its request and its answer."""
    return FullInvocationAnswer.of_full(await full_of(request))


async def full_of(request: web.Request) -> FullInvocation:
    """Return the call that the address names.

    Raises:
        InvocationNotFoundError: It names none.
    """
    number = path_id(
        request, "invocation", "There is no invocation {}.", InvocationNotFoundError
    )
    return await request.app[INVOCATIONS].get(
        principal_of(request), server_of(request), number
    )


def _answer(item: Invocation) -> InvocationAnswer:
    return InvocationAnswer.model_validate(item, from_attributes=True)


def _figures(item: Figures) -> FiguresAnswer:
    return FiguresAnswer.model_validate(item, from_attributes=True)


def _summary(found: Summary) -> SummaryAnswer:
    return SummaryAnswer(
        since=found.since,
        until=found.until,
        total=_figures(found.total),
        tools=[
            KindAnswer.model_validate(item, from_attributes=True)
            for item in found.tools
        ],
        sample=found.sample,
    )
