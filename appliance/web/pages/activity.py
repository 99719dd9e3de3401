"""What the box does and did: jobs and the clock, for administrators; the audit trail, for readers too."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from appliance.accounts.access import BOX, require_known
from appliance.accounts.model import Action
from appliance.core.errors import InvalidError
from appliance.jobs.model import JobState
from appliance.observability.model import Outcome
from appliance.web.api.audit import AuditFilterQuery, send_lines
from appliance.web.keys import AUDIT, JOBS
from appliance.web.pages.forms import member, see_other
from appliance.web.paging import one_page
from appliance.web.parsing import validate
from appliance.web.render import narrowed
from appliance.web.requests import Access, access, principal_of

routes = web.RouteTableDef()
PAGE_SIZE = 50
AUDIT_FILTERS = ("q", "actor", "action", "outcome", "since", "until")


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
async def audit(request: web.Request) -> web.Response:
    """Show who wrote what, newest first; htmx asks for the lines alone when the filter changes."""
    require_known(principal_of(request), Action.SEE, BOX)
    before = _id(request.query.get("before", ""))
    values, query = _audit_query(request)
    found = await request.app[AUDIT].list(
        before=before, limit=PAGE_SIZE + 1, **vars(query.filter())
    )
    entries, last = one_page(found, PAGE_SIZE)
    given = {name: value for name, value in values.items() if value}
    here = given | ({"before": str(before)} if before else {})
    context = {
        "entries": entries,
        "values": values,
        "outcomes": [item.value for item in Outcome],
        "chain": await request.app[AUDIT].chain_state(),
        "is_filtered": bool(given),
        "own_url": _address("/activity/audit", here),
        "file_url": _address("/activity/audit.jsonl", given),
        "first_url": _address("/activity/audit", given) if before else "",
        "next_url": _address("/activity/audit", given | {"before": str(last.id)})
        if last
        else "",
    }
    return narrowed(request, "pages/activity/audit.html", "lines", context)


@routes.get("/activity/audit.jsonl")
async def export_audit(request: web.Request) -> web.StreamResponse:
    """Send the lines that the filter matches, oldest first, one a line."""
    require_known(principal_of(request), Action.SEE, BOX)
    return await send_lines(request, _audit_query(request)[1].filter())


def _audit_query(request: web.Request) -> tuple[dict[str, str], AuditFilterQuery]:
    """Return what the address asks for, as it stands there and as it is meant; what makes no sense is not there."""
    values = {name: request.query.get(name, "").strip() for name in AUDIT_FILTERS}
    given: dict[str, object] = {}
    for name, value in values.items():
        try:
            one = {name: _moment(value) if name in {"since", "until"} else value}
            validate(AuditFilterQuery, one if value else {})
        except (InvalidError, ValueError):
            values[name] = ""
        else:
            given |= one if value else {}
    return values, validate(AuditFilterQuery, given)


def _moment(text: str) -> str:
    """Return what a browser's control for date and time gives, as the API takes it: in UTC, as the page shows times."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).isoformat() if text else ""
