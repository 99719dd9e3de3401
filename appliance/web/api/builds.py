"""/api/servers/{server}/builds: the newest build and its log, stored and live."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Any, Self

from aiohttp import web
from pydantic import ConfigDict, Field

from appliance.builds.model import BuildState, BuildView
from appliance.web.api.answer import Answer
from appliance.web.keys import EVENTS, SERVERS
from appliance.web.parsing import Input
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import EVENT_STREAM, Routes
from appliance.web.sse import Message, last_event_id, stream

routes = Routes("builds")


class StepAnswer(Answer):
    """One instruction of a Dockerfile."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    state: str = Field(description="`running`, `done`, `cached` or `failed`.")
    seconds: float | None


class PlatformAnswer(Answer):
    """One platform of a build, as far as it is."""

    model_config = ConfigDict(from_attributes=True)

    platform: str
    state: str = Field(
        description="`waiting`, `building`, `built`, `pushing`, `done`, `failed` or `cancelled`."
    )
    step: int = Field(description="Steps that are behind.")
    steps: int = Field(description="Steps known of.")
    current: str = Field(description="What runs now; empty between steps.")
    started_at: datetime | None
    built_at: datetime | None
    finished_at: datetime | None
    image_id: str
    digest: str = Field(
        description="As the registry keeps it; empty if it was not pushed."
    )
    log: list[StepAnswer] = Field(description="The steps that began, with their times.")


class BuildAnswer(Answer):
    """One build."""

    id: int
    deployment_id: int
    state: BuildState
    attempt: int = Field(
        description="1, or more when the hub stopped in the middle and went on."
    )
    image: str | None
    image_digest: str | None = Field(
        description="The image's id, which is what instances run."
    )
    base_image: str | None
    dockerfile: str = Field(description="What was built; empty until it is known.")
    resolved: dict[str, Any] = Field(
        description="What was really taken: version, revision, entry."
    )
    platforms: list[PlatformAnswer] = Field(
        description="The box's own platform first, whose image runs here."
    )
    error: str = Field(description="Why it failed, with what to do; empty otherwise.")
    started_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, view: BuildView) -> Self:
        """Return ``view`` as it is answered."""
        return cls.model_validate(view, from_attributes=True)


class LineAnswer(Answer):
    """One line of a log."""

    number: int
    text: str


class BuildLogAnswer(Answer):
    """A build's log."""

    build_id: int
    deployment_id: int
    state: BuildState
    items: list[LineAnswer]


class LogQuery(Input):
    """Which lines."""

    after: int = Field(0, ge=0, description="Only lines after this number.")


@routes.get("/api/servers/{server}/builds/latest", summary="Show the newest build")
async def latest(request: web.Request) -> BuildAnswer:
    """The newest build of a server; 404 `no_build` when nothing was built yet."""
    view = await request.app[SERVERS].build(principal_of(request), server_of(request))
    return BuildAnswer.of(view)


@routes.get(
    "/api/servers/{server}/builds/latest/log", summary="Show the newest build's log"
)
async def log(request: web.Request, *, query: LogQuery) -> BuildLogAnswer:
    """All lines, or those after a number."""
    servers, principal, server = (
        request.app[SERVERS],
        principal_of(request),
        server_of(request),
    )
    # The build first: one that ends in between is shown as running once more, and no line is missed.
    view = await servers.build(principal, server)
    lines = await servers.build_lines(principal, server, after=query.after)
    items = [LineAnswer(number=line.number, text=line.text) for line in lines]
    return BuildLogAnswer(
        build_id=view.id,
        deployment_id=view.deployment_id,
        state=view.state,
        items=items,
    )


@routes.get(
    "/api/servers/{server}/builds/latest/log/stream",
    summary="Follow the newest build's log",
    content=EVENT_STREAM,
)
async def log_stream(request: web.Request) -> web.StreamResponse:
    """Events named `line` ({number, text}, id: the number), then one named `end` ({state, error}).

    `Last-Event-ID` goes on after a line.
    """
    view = await request.app[SERVERS].build(principal_of(request), server_of(request))
    return await stream(request, _follow(request, view))


async def _follow(request: web.Request, build: BuildView) -> AsyncIterator[Message]:
    """Yield lines from the table, woken by events; the table is the truth, the events only say when to look."""
    servers, principal = request.app[SERVERS], principal_of(request)
    server, after = build.server_id, last_event_id(request) or 0
    async with aclosing(request.app[EVENTS].subscribe(server_id=server)) as wake:
        while True:
            view = await servers.build(principal, server)
            if view.id != build.id:  # a newer deployment has taken this one's place
                yield Message({"state": BuildState.CANCELLED, "error": ""}, event="end")
                return
            for line in await servers.build_lines(principal, server, after=after):
                after = line.number
                data = {"number": line.number, "text": line.text}
                yield Message(data, event="line", id=line.number)
            if view.state is not BuildState.RUNNING:
                yield Message({"state": view.state, "error": view.error}, event="end")
                return
            if await anext(wake, None) is None:
                return  # the reader was too slow, or the hub stops: the client comes back with its last id
