"""What waits for one's decision, runs, and workflows."""

from typing import Any

from aiohttp import web

from appliance.accounts.access import actions, may_create
from appliance.accounts.model import Action
from appliance.core.errors import DomainError
from appliance.governance.deciding import Decision
from appliance.governance.model import Status, Verdict
from appliance.governance.steps import KINDS
from appliance.web import workflow_form
from appliance.web.api.governance import run_of, workflow_of
from appliance.web.keys import GOVERNANCE
from appliance.web.pages.forms import member, read_form, refused, see_other
from appliance.web.pages.transfers import owners
from appliance.web.paging import one_page
from appliance.web.problems import problem_of
from appliance.web.render import page
from appliance.web.requests import principal_of, row_id

routes = web.RouteTableDef()
PAGE_SIZE = 50
RUN = "pages/governance/run.html"
EDITOR = "pages/governance/editor.html"


@routes.get("/governance")
async def inbox(request: web.Request) -> web.Response:
    """Show what waits for one's decision."""
    views = await request.app[GOVERNANCE].runs.inbox(principal_of(request))
    return page(request, "pages/governance/inbox.html", {"views": views})


@routes.get("/governance/count")
async def waiting(request: web.Request) -> web.Response:
    """Show how many runs wait for one's decision, for the navigation."""
    count = await request.app[GOVERNANCE].runs.inbox_count(principal_of(request))
    return page(request, "pages/governance/count.html", {"count": count})


# -- runs


@routes.get("/governance/runs")
async def runs(request: web.Request) -> web.Response:
    """Show runs, newest first."""
    status = member(Status, request.query.get("status", ""))
    before = row_id(request.query.get("before", ""))
    found = await request.app[GOVERNANCE].runs.page(
        principal_of(request), status=status, before=before, limit=PAGE_SIZE + 1
    )
    rows, last = one_page(found, PAGE_SIZE)
    here = f"/governance/runs?status={status.value}&" if status else "/governance/runs?"
    context = {
        "rows": rows,
        "status": status.value if status else "",
        "statuses": list(Status),
        "first_url": here.rstrip("?&") if before else "",
        "next_url": f"{here}before={last.id}" if last else "",
    }
    return page(request, "pages/governance/runs.html", context)


@routes.get(r"/governance/runs/{run:\d+}")
async def show(request: web.Request) -> web.Response:
    """Show one run with its steps and its log."""
    return page(request, RUN, await run_context(request))


async def run_context(request: web.Request) -> dict[str, Any]:
    """Return what the page of a run shows."""
    view = await request.app[GOVERNANCE].runs.get(
        principal_of(request), run_of(request)
    )
    run = view.run
    return {
        "view": view,
        "run": run,
        "kinds": KINDS,
        "problem": None,
        "live_url": "" if run.status.is_ended else f"/live/governance/runs/{run.id}",
    }


@routes.post(r"/governance/runs/{run:\d+}/decide")
async def decide(request: web.Request) -> web.Response:
    """Approve or reject the step whose turn it is."""
    form = await read_form(request)
    verdict = member(Verdict, form.get("verdict", "")) or Verdict.REJECT
    position = row_id(form.get("position", "")) or 0
    try:
        await request.app[GOVERNANCE].runs.decide(
            principal_of(request),
            run_of(request),
            position,
            Decision(verdict, form.get("comment", "")),
        )
    except DomainError as error:
        return await _run_again(request, error)
    return see_other(f"/governance/runs/{run_of(request)}")


@routes.post(r"/governance/runs/{run:\d+}/status")
async def set_status(request: web.Request) -> web.Response:
    """Begin, complete, fail or cancel a run by hand."""
    form = await read_form(request)
    wanted = member(Status, form.get("status", "")) or Status.CANCELLED
    try:
        await request.app[GOVERNANCE].runs.set_status(
            principal_of(request), run_of(request), wanted, note=form.get("note", "")
        )
    except DomainError as error:
        return await _run_again(request, error)
    return see_other(f"/governance/runs/{run_of(request)}")


async def _run_again(request: web.Request, error: DomainError) -> web.Response:
    """Show the run as it is now, with why nothing was done."""
    problem = problem_of(error, str(request.get("request_id", "")))
    context = {**await run_context(request), "problem": problem}
    return page(request, RUN, context, status=problem.status)


# -- workflows


@routes.get("/governance/workflows")
async def workflows(request: web.Request) -> web.Response:
    """Show the workflows."""
    after = request.query.get("after", "")[:100]
    views = await request.app[GOVERNANCE].workflows.page(
        principal_of(request), after=after, limit=PAGE_SIZE + 1
    )
    rows, last = one_page(views, PAGE_SIZE)
    base = "/governance/workflows"
    context = {
        "rows": rows,
        "first_url": base if after else "",
        "next_url": f"{base}?after={last.workflow.name}" if last else "",
    }
    return page(request, "pages/governance/workflows.html", context)


@routes.get("/governance/workflows/new")
async def new(request: web.Request) -> web.Response:
    """Show the form of a new workflow."""
    values = workflow_form.empty()
    return page(request, EDITOR, await _editor(request, values))


@routes.post("/governance/workflows/new")
async def create(request: web.Request) -> web.Response:
    """Make a workflow, or change the steps of its form."""
    form = await read_form(request)
    if (changed := workflow_form.rearranged(form)) is not None:
        return page(request, EDITOR, await _editor(request, changed))
    try:
        view, secret = await request.app[GOVERNANCE].workflows.create(
            principal_of(request), workflow_form.new_workflow(form)
        )
    except DomainError as error:
        return await _editor_again(request, error, form)
    context = {"view": view, "secret": secret}
    return page(request, "pages/governance/created.html", context)


@routes.get("/governance/workflows/{workflow}")
async def edit(request: web.Request) -> web.Response:
    """Show a workflow in its form."""
    view = await request.app[GOVERNANCE].workflows.get(
        principal_of(request), workflow_of(request)
    )
    values = workflow_form.of_workflow(view.workflow)
    return page(request, EDITOR, await _editor(request, values, view))


@routes.post("/governance/workflows/{workflow}")
async def change(request: web.Request) -> web.Response:
    """Change a workflow, or the steps of its form."""
    form, room = await read_form(request), request.app[GOVERNANCE].workflows
    view = await room.get(principal_of(request), workflow_of(request))
    if (changed := workflow_form.rearranged(form)) is not None:
        return page(request, EDITOR, await _editor(request, changed, view))
    try:
        changed_view = await room.change(
            principal_of(request),
            view.workflow.id,
            workflow_form.new_workflow(form),
            version=row_id(form.get("version", "")),
        )
    except DomainError as error:
        return await _editor_again(request, error, form, view)
    return see_other(f"/governance/workflows/{changed_view.workflow.name}")


@routes.post("/governance/workflows/{workflow}/delete")
async def delete(request: web.Request) -> web.Response:
    """Remove a workflow."""
    await request.app[GOVERNANCE].workflows.delete(
        principal_of(request), workflow_of(request)
    )
    return see_other("/governance/workflows")


async def _editor(
    request: web.Request, values: dict[str, str], view: Any = None
) -> dict[str, Any]:
    principal = principal_of(request)
    may_change = may_create(principal)
    if view is not None:
        may_change = Action.CHANGE in actions(principal, view.workflow.thing)
    return {
        "view": view,
        "values": values,
        "steps": range(workflow_form.count(values)),
        "kinds": KINDS,
        "owners": [] if view else await owners(request),
        "may_change": may_change,
        "errors": {},
        "problem": None,
    }


async def _editor_again(
    request: web.Request, error: DomainError, form: dict[str, str], view: Any = None
) -> web.Response:
    values = {**workflow_form.empty(), **form} if view is None else form
    context = await _editor(request, values, view)
    return refused(request, EDITOR, error, form=values, context=context)
