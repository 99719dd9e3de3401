"""/api/servers/{server}/health, /check and /status-history: whether a server is well, since when, and why not."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Self

from aiohttp import web
from pydantic import ConfigDict, Field

from appliance.servers.checks.service import HealthView
from appliance.servers.health.model import (
    HealthState,
    Liveness,
    StatusChange,
    Step,
    StepResult,
)
from appliance.servers.health.policy import as_dict
from appliance.servers.health.uptime import Span
from appliance.servers.model import Status
from appliance.web.api.answer import Answer
from appliance.web.api.health_bodies import HealthBody
from appliance.web.keys import CHECKS
from appliance.web.paging import one_page
from appliance.web.parsing import Input
from appliance.web.requests import move_time_limit, principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("health-checks")

#: Beyond a check's own time, for what comes before and after it.
SLACK_S = 15.0


class StepAnswer(Answer):
    """One question of a check, and what came back."""

    name: str = Field(
        description="`alive`, `open`, `tools/list`, `canary` or `calls`: what its users' own calls tell."
    )
    result: StepResult
    detail: str
    answer: str = Field(
        description="The failing answer itself, secrets redacted, cut; empty: there was none."
    )
    duration_ms: float

    @classmethod
    def of(cls, step: Step) -> Self:
        """Return ``step`` as it is answered."""
        return cls(**{name: getattr(step, name) for name in cls.model_fields})


class SpanAnswer(Answer):
    """A time in which the status stayed the same."""

    status: Status
    reason: str
    since: datetime
    until: datetime

    @classmethod
    def of(cls, span: Span) -> Self:
        """Return ``span`` as it is answered."""
        return cls(
            status=Status(span.status),
            reason=span.reason,
            since=span.since,
            until=span.until,
        )


class UptimeAnswer(Answer):
    """What the last day was like."""

    since: datetime
    until: datetime
    share: float | None = Field(
        description="`running` among the time that it was that, `degraded` or `error`, 0 to 1; null: it was none of them."
    )
    spans: list[SpanAnswer]


class HealthAnswer(Answer):
    """What is known of a server's health."""

    status: Status
    state: HealthState = Field(
        description="Readiness: whether it does what its users come for; `unknown` until the instance that runs was asked."
    )
    liveness: Liveness = Field(description="Whether its process is there.")
    reason: str
    answer: str = Field(
        description="The newest failing answer itself, secrets redacted, cut."
    )
    since: datetime = Field(description="When `state` became what it is.")
    failures: int = Field(description="Failed checks in a row.")
    successes: int = Field(description="Good checks in a row.")
    checked_at: datetime | None
    next_check_at: datetime | None = Field(
        description="null: nothing of it runs that could be asked."
    )
    steps: list[StepAnswer] = Field(description="Of the last check.")
    policy: HealthBody
    rhythm_s: float = Field(
        description="Seconds from the start of one check to the next, so that even one that times out ends within the interval."
    )
    uptime: UptimeAnswer

    @classmethod
    def of(cls, view: HealthView) -> Self:
        """Return ``view`` as it is answered."""
        health, day = view.health, view.uptime
        return cls(
            status=view.server.status,
            state=health.state,
            liveness=health.liveness,
            reason=health.reason,
            answer=health.answer,
            since=health.since,
            failures=health.failures,
            successes=health.successes,
            checked_at=health.checked_at,
            next_check_at=health.next_check_at,
            steps=[StepAnswer.of(step) for step in health.steps],
            policy=HealthBody.model_validate(as_dict(view.server.config.health)),
            rhythm_s=view.rhythm_s,
            uptime=UptimeAnswer(
                since=day.since,
                until=day.until,
                share=day.share,
                spans=[SpanAnswer.of(span) for span in day.spans],
            ),
        )


class StatusChangeAnswer(Answer):
    """One change of a server's status, or of the reason for it."""

    model_config = ConfigDict(serialize_by_alias=True)

    id: int
    at: datetime
    before: Status | None = Field(alias="from", description="null: the server was new.")
    after: Status = Field(alias="to")
    reason: str
    deployment: int | None = Field(
        description="Number of the deployment that served; null: none did, or it is gone."
    )

    @classmethod
    def of(cls, item: StatusChange) -> Self:
        """Return ``item`` as it is answered."""
        values: dict[str, Any] = {
            "id": item.id,
            "at": item.at,
            "from": item.before or None,
            "to": item.after,
            "reason": item.reason,
            "deployment": item.deployment,
        }
        return cls.model_validate(values)


class HistoryPage(Answer):
    """Some changes, newest first."""

    items: list[StatusChangeAnswer]
    next_cursor: int | None = Field(
        description="`cursor` for the next page; null on the last."
    )


class StatusHistoryQuery(Input):
    """Which changes."""

    cursor: int | None = Field(
        None, ge=1, lt=2**63, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Changes a page.")


@routes.get("/api/servers/{server}/health", summary="Show a server's health")
async def show(request: web.Request) -> HealthAnswer:
    """Liveness and readiness apart, the last check step by step, and the last day."""
    view = await request.app[CHECKS].view(principal_of(request), server_of(request))
    return HealthAnswer.of(view)


@routes.put("/api/servers/{server}/health", summary="Change how a server is checked")
async def configure(request: web.Request, *, body: HealthBody) -> HealthAnswer:
    """Replace the whole policy; it holds from now on, without a redeploy."""
    view = await request.app[CHECKS].configure(
        principal_of(request), server_of(request), body.policy()
    )
    return HealthAnswer.of(view)


@routes.post(
    "/api/servers/{server}/check",
    summary="Check a server now",
    errors=(HTTPStatus.CONFLICT,),
)
async def check(request: web.Request) -> HealthAnswer:
    """Ask the server everything that its checks ask, and answer what was found; the status follows within moments."""
    checks, principal = request.app[CHECKS], principal_of(request)
    view = await checks.view(principal, server_of(request))
    move_time_limit(request, view.server.config.health.timeout_s + SLACK_S)
    return HealthAnswer.of(await checks.check(principal, server_of(request)))


@routes.get(
    "/api/servers/{server}/status-history", summary="List how a server's status changed"
)
async def history(request: web.Request, *, query: StatusHistoryQuery) -> HistoryPage:
    """Every change with its reason: 90 days of them, and of one server the newest 2,000."""
    found = await request.app[CHECKS].history(
        principal_of(request),
        server_of(request),
        before=query.cursor,
        limit=query.limit + 1,
    )
    shown, last = one_page(found, query.limit)
    return HistoryPage(
        items=[StatusChangeAnswer.of(item) for item in shown],
        next_cursor=last.id if last else None,
    )
