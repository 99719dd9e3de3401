"""/api/front-door: how Nginx before the hub and the gateway is, and what it leaves out; have it read everything again."""

from datetime import datetime
from http import HTTPStatus
from typing import Self

from aiohttp import web
from pydantic import Field

from appliance.proxy.service import Overview
from appliance.web.api.answer import Answer
from appliance.web.keys import FRONT_DOOR
from appliance.web.requests import Access, principal_of
from appliance.web.routes import Routes

routes = Routes("front door")


class QuarantinedAnswer(Answer):
    """One name that is left out, so that all others are served."""

    kind: str = Field(description="certificate or wildcard.")
    name: str
    reason: str


class LimitsAnswer(Answer):
    """What one address may do; 0: any number."""

    requests_per_second: int
    burst: int
    connections: int


class FrontDoorAnswer(Answer):
    """The front door at a glance."""

    enabled: bool = Field(description="Whether this box has one: `PROXY_ENABLED`.")
    status: str = Field(description="off, ok or degraded.")
    text: str = Field(description="The same for a person.")
    hint: str = Field(description="The next step; empty: there is none to take.")
    names: list[str] = Field(description="Of the hub, beside every address of the box.")
    addresses: list[str]
    http_port: int
    https_port: int
    hsts_seconds: int
    limits: LimitsAnswer
    nginx: str | None = Field(
        description="running or stopped; null: nobody has looked yet."
    )
    version: str | None
    generation: str | None = Field(description="Of the configuration that serves.")
    problem: str | None = Field(description="Why it is not the newest; empty: it is.")
    certificates: int = Field(description="Names that are served beside the box's own.")
    wildcards: int
    quarantined: list[QuarantinedAnswer]
    requests: int = Field(description="Since Nginx was started.")
    connections: int = Field(description="That are open.")
    seen_at: datetime | None = Field(description="When the controller looked last.")
    reloaded_at: datetime | None
    reload_s: float | None = Field(
        description="Seconds that the last reload waited, so that no request was lost."
    )
    reload_asked_at: datetime | None = Field(
        description="Since when a reload is wanted that is not done yet."
    )

    @classmethod
    def of(cls, found: Overview) -> Self:
        """Return ``found`` as it is answered."""
        state = found.state
        return cls(
            enabled=found.is_enabled,
            status=found.verdict.health.value,
            text=found.verdict.text,
            hint=found.verdict.hint,
            names=list(found.names),
            addresses=list(found.addresses),
            http_port=found.http_port,
            https_port=found.https_port,
            hsts_seconds=found.hsts_seconds,
            limits=LimitsAnswer(
                requests_per_second=found.requests_per_second,
                burst=found.burst,
                connections=found.connections,
            ),
            nginx=state.nginx.value if state else None,
            version=state.version if state else None,
            generation=state.generation if state else None,
            problem=state.problem if state else None,
            certificates=state.certificates if state else 0,
            wildcards=state.wildcards if state else 0,
            quarantined=[
                QuarantinedAnswer(kind=item.kind, name=item.name, reason=item.reason)
                for item in (state.quarantined if state else ())
            ],
            requests=state.requests if state else 0,
            connections=state.connections if state else 0,
            seen_at=state.seen_at if state else None,
            reloaded_at=state.reloaded_at if state else None,
            reload_s=state.reload_s if state else None,
            reload_asked_at=state.reload_asked_at if state else None,
        )


@routes.get("/api/front-door", summary="Show the front door", access=Access.ADMIN)
async def show(request: web.Request) -> FrontDoorAnswer:
    """How Nginx is, what it leaves out and why, and when it was reloaded last; for administrators."""
    return FrontDoorAnswer.of(await request.app[FRONT_DOOR].overview())


@routes.post(
    "/api/front-door/reload",
    summary="Have Nginx read everything again",
    access=Access.ADMIN,
    status=HTTPStatus.ACCEPTED,
    errors=(HTTPStatus.CONFLICT,),
)
async def reload(request: web.Request) -> FrontDoorAnswer:
    """Have it reloaded with no request lost; `reload_asked_at` is null again once it is done. For administrators."""
    return FrontDoorAnswer.of(
        await request.app[FRONT_DOOR].reload(principal_of(request))
    )
