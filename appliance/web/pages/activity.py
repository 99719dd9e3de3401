"""What the box does and did: jobs, the clock, the audit trail. For administrators."""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from appliance.jobs.model import JobState
from appliance.web.keys import AUDIT, JOBS
from appliance.web.pages.forms import member, see_other
from appliance.web.paging import one_page
from appliance.web.render import narrowed, page
from appliance.web.requests import Access, access

routes = web.RouteTableDef()
PAGE_SIZE = 50


@routes.get("/activity/jobs")
@access(Access.ADMIN)
async def jobs(request: web.Request) -> web.Response:
    """Show the queue and the clock; htmx asks for the queue alone when the filter changes."""
    context = await jobs_context(request)
    return narrowed(request, "pages/activity/jobs.html", "job_list", context)


async def jobs_context(request: web.Request) -> dict[str, Any]:
    """Return what the page shows; its filter and place are in the address, and in that of its stream."""
    queue = request.app[JOBS]
    state = request.query.get("state", "")
    before = _id(request.query.get("before", ""))
    found = await queue.list(
        state=member(JobState, state),
        before=before,
        limit=PAGE_SIZE + 1,
    )
    filters = {"state": state} if state else {}
    here = filters | ({"before": str(before)} if before else {})
    rows, last = one_page(found, PAGE_SIZE)
    more = filters | {"before": str(last.id)} if last else {}
    return {
        "jobs": rows,
        "state": state,
        "states": [item.value for item in JobState],
        "schedules": await queue.schedules(),
        "own_url": _address("/activity/jobs", here),
        "live_url": _address("/live/activity/jobs", here),
        "first_url": _address("/activity/jobs", filters) if before else "",
        "next_url": _address("/activity/jobs", more) if more else "",
    }


def _address(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None  # noqa: PLR2004 - bigint's digits


@routes.post("/activity/jobs/{id:[0-9]{1,18}}/cancel")
@access(Access.ADMIN)
async def cancel_job(request: web.Request) -> web.Response:
    """End a job."""
    await request.app[JOBS].cancel(int(request.match_info["id"]))
    return see_other("/activity/jobs")


@routes.post("/activity/jobs/{id:[0-9]{1,18}}/retry")
@access(Access.ADMIN)
async def retry_job(request: web.Request) -> web.Response:
    """Queue a finished job anew."""
    await request.app[JOBS].retry(int(request.match_info["id"]))
    return see_other("/activity/jobs")


@routes.get("/activity/audit")
@access(Access.ADMIN)
async def audit(request: web.Request) -> web.Response:
    """Show who wrote what, newest first."""
    before = _id(request.query.get("before", ""))
    found = await request.app[AUDIT].list(before=before, limit=PAGE_SIZE + 1)
    entries, last = one_page(found, PAGE_SIZE)
    context = {
        "entries": entries,
        "first_url": "/activity/audit" if before else "",
        "next_url": f"/activity/audit?before={last.id}" if last else "",
    }
    return page(request, "pages/activity/audit.html", context)
