"""/healthz, /readyz and /metrics: for machines that watch the hub."""

from http import HTTPStatus

from aiohttp import web
from pydantic import Field

from appliance.core.errors import ForbiddenError
from appliance.web.api.answer import Answer
from appliance.web.health import Report
from appliance.web.keys import METRICS, PRINCIPAL, READINESS
from appliance.web.parsing import json_answer
from appliance.web.requests import Access
from appliance.web.routes import TEXT, Routes

routes = Routes("health")


class AliveAnswer(Answer):
    """The process answers."""

    status: str


class PartAnswer(Answer):
    """One part of the appliance."""

    name: str
    state: str = Field(description="ok, degraded or down.")
    text: str = Field(description="The same for a person, with what to do.")


class ReadyAnswer(Answer):
    """All parts."""

    status: str = Field(description="The worst state of any part.")
    parts: list[PartAnswer]


@routes.get("/healthz", summary="Whether the hub is alive", access=Access.PUBLIC)
async def healthz(_request: web.Request) -> AliveAnswer:
    """Answers as long as the process does; says nothing of its parts."""
    return AliveAnswer(status="alive")


@routes.get(
    "/readyz",
    summary="Whether the hub can work",
    access=Access.PUBLIC,
    answer=ReadyAnswer,
    others={HTTPStatus.SERVICE_UNAVAILABLE: ReadyAnswer},
)
async def readyz(request: web.Request) -> web.Response:
    """Every part's state in words; 503 when one is down, 200 when all work, if only so-so."""
    report = await request.app[READINESS].report()
    status = HTTPStatus.OK if report.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
    return json_answer(_answer(report), status=status)


def _answer(report: Report) -> ReadyAnswer:
    parts = [
        PartAnswer(name=item.name, state=item.state, text=item.text)
        for item in report.parts
    ]
    return ReadyAnswer(status=report.state, parts=parts)


@routes.get(
    "/metrics",
    summary="Prometheus metrics",
    access=Access.PUBLIC,
    content=TEXT,
    errors=(HTTPStatus.FORBIDDEN,),
)
async def metrics(request: web.Request) -> web.Response:
    """For a scraper on this box, or with an administrator's API key."""
    principal = request.get(PRINCIPAL)
    if not _is_local(request) and not (principal and principal.is_admin):
        raise ForbiddenError(
            "Metrics are for this box and for administrators.",
            hint="Send an administrator's API key.",
        )
    response = web.Response(body=request.app[METRICS].render())
    response.headers["Content-Type"] = "text/plain; version=1.0.0; charset=utf-8"
    return response


def _is_local(request: web.Request) -> bool:
    # A proxy on this box speaks from loopback for the whole world, but says so.
    forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    return not forwarded and request.remote in {"127.0.0.1", "::1"}
