"""/api/jobs and /api/schedules: what the hub does in the background, and when."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Self

from aiohttp import web
from pydantic import Field

from appliance.jobs.model import Job, JobState, Schedule
from appliance.web.api.answer import Answer
from appliance.web.keys import AUDIT, JOBS
from appliance.web.paging import one_page
from appliance.web.parsing import Input
from appliance.web.requests import Access, principal_of
from appliance.web.routes import Routes

routes = Routes("jobs")
MAX_ID = 2**63 - 1
CONFLICT = (HTTPStatus.CONFLICT,)


class JobQuery(Input):
    """Which jobs."""

    state: JobState | None = Field(None, description="Only jobs in this state.")
    kind: str | None = Field(
        None,
        max_length=100,
        description="Only jobs of this kind, such as `servers.reconcile`.",
    )
    cursor: int | None = Field(
        None, ge=0, le=MAX_ID, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Jobs a page.")


class JobAnswer(Answer):
    """One piece of background work."""

    id: int
    kind: str
    payload: dict[str, Any]
    lane: str | None = Field(description="Jobs of one lane run one after another.")
    state: JobState
    attempt: int = Field(description="Runs started so far.")
    max_attempts: int
    progress: dict[str, Any] = Field(
        description="`done`, `total` and `message`, as far as they are known."
    )
    error: str | None
    request_id: str
    run_at: datetime
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return ``job`` as it is answered."""
        return cls.model_validate(job, from_attributes=True)


class JobPage(Answer):
    """Some jobs, newest first."""

    items: list[JobAnswer]
    next_cursor: int | None = Field(
        description="`cursor` for the next page; null on the last."
    )


class ScheduleAnswer(Answer):
    """One entry of the clock."""

    name: str
    every_s: float
    last_started_at: datetime | None
    last_finished_at: datetime | None
    last_error: str | None
    next_run_at: datetime | None
    runs: int
    missed: int

    @classmethod
    def of(cls, schedule: Schedule) -> Self:
        """Return ``schedule`` as it is answered."""
        return cls.model_validate(schedule, from_attributes=True)


class ScheduleList(Answer):
    """The clock's entries, by name."""

    items: list[ScheduleAnswer]


@routes.get("/api/jobs", summary="List jobs", access=Access.ADMIN)
async def index(request: web.Request, *, query: JobQuery) -> JobPage:
    """Jobs, newest first; for administrators."""
    found = await request.app[JOBS].list(
        state=query.state, kind=query.kind, before=query.cursor, limit=query.limit + 1
    )
    shown, last = one_page(found, query.limit)
    return JobPage(
        items=[JobAnswer.of(job) for job in shown],
        next_cursor=last.id if last else None,
    )


@routes.get("/api/jobs/{job_id:[0-9]{1,18}}", summary="Show a job", access=Access.ADMIN)
async def show(request: web.Request) -> JobAnswer:
    """One job; for administrators."""
    return JobAnswer.of(await request.app[JOBS].get(_job_id(request)))


@routes.post(
    "/api/jobs/{job_id:[0-9]{1,18}}/cancel",
    summary="Cancel a job",
    access=Access.ADMIN,
    status=HTTPStatus.ACCEPTED,
    errors=CONFLICT,
)
async def cancel(request: web.Request) -> JobAnswer:
    """Stop a job that waits, or tell one that runs to stop; for administrators."""
    job = await request.app[JOBS].cancel(_job_id(request))
    return await _audited(request, "job.cancel", job)


@routes.post(
    "/api/jobs/{job_id:[0-9]{1,18}}/retry",
    summary="Run a job again",
    access=Access.ADMIN,
    status=HTTPStatus.ACCEPTED,
    errors=CONFLICT,
)
async def retry(request: web.Request) -> JobAnswer:
    """Queue a job again that failed or was cancelled; for administrators."""
    job = await request.app[JOBS].retry(_job_id(request))
    return await _audited(request, "job.retry", job)


async def _audited(request: web.Request, action: str, job: Job) -> JobAnswer:
    await request.app[AUDIT].record(
        principal_of(request),
        action,
        object_type="job",
        object_id=job.id,
        object_name=job.kind,
    )
    return JobAnswer.of(job)


@routes.get("/api/schedules", summary="List the clock's entries", access=Access.ADMIN)
async def schedules(request: web.Request) -> ScheduleList:
    """What happens by itself, when it last did and when it will; for administrators."""
    return ScheduleList(
        items=[ScheduleAnswer.of(item) for item in await request.app[JOBS].schedules()]
    )


def _job_id(request: web.Request) -> int:
    return int(request.match_info["job_id"])
