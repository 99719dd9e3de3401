"""/api/governance: workflows, runs of them, and what waits for somebody's decision."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from http import HTTPStatus

from aiohttp import web

from appliance.accounts.model import Principal
from appliance.governance.deciding import Decision
from appliance.governance.errors import CallbackRefusedError, RunNotFoundError
from appliance.governance.model import CHANGED, Status, Verdict
from appliance.governance.steps import KINDS
from appliance.observability.events import RESET, Event
from appliance.web.api.governance_bodies import (
    CallbackBody,
    CreatedWorkflow,
    DecisionBody,
    InboxAnswer,
    NewRunBody,
    NewWorkflowBody,
    RunAnswer,
    RunPage,
    RunQuery,
    RunSummary,
    StatusBody,
    StepKindAnswer,
    StepKindList,
    WebhookSecretAnswer,
    WorkflowAnswer,
    WorkflowChangeBody,
    WorkflowPage,
    WorkflowQuery,
)
from appliance.web.keys import EVENTS, GOVERNANCE, WEBHOOK_SECRET_HEADER
from appliance.web.paging import one_page
from appliance.web.parsing import json_answer
from appliance.web.requests import Access, named, path_id, principal_of, row_id
from appliance.web.routes import EVENT_STREAM, Routes
from appliance.web.sse import Message, last_event_id, stream

routes = Routes("governance")
CONFLICT = (HTTPStatus.CONFLICT,)


@routes.get("/api/governance/step-kinds", summary="List kinds of steps")
async def step_kinds(_request: web.Request) -> StepKindList:
    """What a workflow can be made of, with the settings of each."""
    return StepKindList(items=[StepKindAnswer.of(kind) for kind in KINDS.values()])


# -- workflows


@routes.get("/api/governance/workflows", summary="List workflows")
async def workflows(request: web.Request, *, query: WorkflowQuery) -> WorkflowPage:
    """Workflows that the caller may see, by name."""
    views = await request.app[GOVERNANCE].workflows.page(
        principal_of(request), after=query.cursor, limit=query.limit + 1
    )
    shown, last = one_page(views, query.limit)
    return WorkflowPage(
        items=[WorkflowAnswer.of(view) for view in shown],
        next_cursor=last.workflow.name if last else None,
    )


@routes.post(
    "/api/governance/workflows",
    summary="Make a workflow",
    status=HTTPStatus.CREATED,
    answer=CreatedWorkflow,
    errors=CONFLICT,
)
async def create(request: web.Request, *, body: NewWorkflowBody) -> web.Response:
    """Ordered steps that decide about versions of a tier. The answer carries the secret of its webhooks, this once."""
    view, secret = await request.app[GOVERNANCE].workflows.create(
        principal_of(request), body.new_workflow(body.org)
    )
    answer = CreatedWorkflow(workflow=WorkflowAnswer.of(view), webhook_secret=secret)
    location = {"Location": f"/api/governance/workflows/{view.workflow.id}"}
    return json_answer(answer, status=HTTPStatus.CREATED, headers=location)


@routes.get("/api/governance/workflows/{workflow}", summary="Show a workflow")
async def show(request: web.Request) -> WorkflowAnswer:
    """One workflow, by id or name."""
    return WorkflowAnswer.of(
        await request.app[GOVERNANCE].workflows.get(
            principal_of(request), workflow_of(request)
        )
    )


@routes.put(
    "/api/governance/workflows/{workflow}",
    summary="Change a workflow",
    errors=CONFLICT,
)
async def change(request: web.Request, *, body: WorkflowChangeBody) -> WorkflowAnswer:
    """Replace all that it says; runs that go on keep the steps that they began with."""
    view = await request.app[GOVERNANCE].workflows.change(
        principal_of(request),
        workflow_of(request),
        body.new_workflow(),
        version=body.version,
    )
    return WorkflowAnswer.of(view)


@routes.delete(
    "/api/governance/workflows/{workflow}",
    summary="Delete a workflow",
    status=HTTPStatus.NO_CONTENT,
    errors=CONFLICT,
)
async def delete(request: web.Request) -> None:
    """Remove it, unless a run of it goes on or a track goes by it; what ran of it stays."""
    await request.app[GOVERNANCE].workflows.delete(
        principal_of(request), workflow_of(request)
    )


@routes.post(
    "/api/governance/workflows/{workflow}/secret", summary="Replace a webhook secret"
)
async def rotate_secret(request: web.Request) -> WebhookSecretAnswer:
    """Make a new secret for the webhooks of later runs, shown this once; runs that go on keep theirs."""
    secret = await request.app[GOVERNANCE].workflows.rotate_secret(
        principal_of(request), workflow_of(request)
    )
    return WebhookSecretAnswer(webhook_secret=secret)


@routes.post(
    "/api/governance/workflows/{workflow}/runs",
    summary="Start a run",
    status=HTTPStatus.CREATED,
    answer=RunAnswer,
)
async def start(request: web.Request, *, body: NewRunBody) -> web.Response:
    """Run the workflow for a digest, or for an artifact of the ledger; it keeps a copy of the steps."""
    view = await request.app[GOVERNANCE].runs.start(
        principal_of(request),
        workflow_of(request),
        digest=body.manifest_digest,
        tier=body.tier,
        artifact_run_id=body.artifact_run_id,
        title=body.title,
        begins=body.begins,
    )
    location = {"Location": f"/api/governance/runs/{view.run.id}"}
    answer = RunAnswer.of_view(view)
    return json_answer(answer, status=HTTPStatus.CREATED, headers=location)


# -- runs


@routes.get("/api/governance/runs", summary="List runs", errors=(HTTPStatus.NOT_FOUND,))
async def runs(request: web.Request, *, query: RunQuery) -> RunPage:
    """Runs that the caller may know of, newest first."""
    found = await request.app[GOVERNANCE].runs.page(
        principal_of(request),
        status=query.status,
        workflow=named(query.workflow) if query.workflow else None,
        digest=query.digest,
        before=query.cursor,
        limit=query.limit + 1,
    )
    shown, last = one_page(found, query.limit)
    return RunPage(
        items=[RunSummary.of(run) for run in shown],
        next_cursor=last.id if last else None,
    )


@routes.get("/api/governance/inbox", summary="List what waits for me")
async def inbox(request: web.Request) -> InboxAnswer:
    """Runs whose step in progress the caller may approve or reject now, oldest first."""
    views = await request.app[GOVERNANCE].runs.inbox(principal_of(request))
    return InboxAnswer(
        items=[RunAnswer.of_view(view) for view in views], count=len(views)
    )


@routes.get(r"/api/governance/runs/{run:\d+}", summary="Show a run")
async def show_run(request: web.Request) -> RunAnswer:
    """One run with its steps and its log."""
    return RunAnswer.of_view(
        await request.app[GOVERNANCE].runs.get(principal_of(request), run_of(request))
    )


@routes.post(
    r"/api/governance/runs/{run:\d+}/status",
    summary="Set a run's status",
    errors=CONFLICT,
)
async def set_status(request: web.Request, *, body: StatusBody) -> RunAnswer:
    """Begin, complete, fail, reject or cancel a run by hand. A run with open steps is not completed: none is skipped."""
    view = await request.app[GOVERNANCE].runs.set_status(
        principal_of(request),
        run_of(request),
        Status(body.status),
        note=body.note,
        version=body.version,
    )
    return RunAnswer.of_view(view)


@routes.post(
    r"/api/governance/runs/{run:\d+}/steps/{position:\d+}/approve",
    summary="Approve a step",
    errors=CONFLICT,
)
async def approve(request: web.Request, *, body: DecisionBody) -> RunAnswer:
    """Approve the step whose turn it is; a person counts once."""
    return await _decide(request, Verdict.APPROVE, body)


@routes.post(
    r"/api/governance/runs/{run:\d+}/steps/{position:\d+}/reject",
    summary="Reject a step",
    errors=CONFLICT,
)
async def reject(request: web.Request, *, body: DecisionBody) -> RunAnswer:
    """Reject the step whose turn it is, and with it the run."""
    return await _decide(request, Verdict.REJECT, body)


async def _decide(
    request: web.Request, verdict: Verdict, body: DecisionBody
) -> RunAnswer:
    view = await request.app[GOVERNANCE].runs.decide(
        principal_of(request),
        run_of(request),
        int(request.match_info["position"][:9]),
        Decision(verdict, body.comment),
        version=body.version,
    )
    return RunAnswer.of_view(view)


@routes.get(
    r"/api/governance/runs/{run:\d+}/stream",
    summary="Follow a run",
    content=EVENT_STREAM,
)
async def follow(request: web.Request) -> web.StreamResponse:
    """The run as it is (`run`), at once and after every change, with ids; the stream ends when the run has ended."""
    run_id = run_of(request)
    await request.app[GOVERNANCE].runs.get(principal_of(request), run_id)
    return await stream(request, _snapshots(request, run_id))


async def _snapshots(request: web.Request, run_id: int) -> AsyncIterator[Message]:
    events, principal = request.app[EVENTS], principal_of(request)
    after = last_event_id(request)
    if after is None:
        # The id is taken before the look, so a change in between is told twice rather than never.
        after = await events.newest_id()
        message, has_ended = await _snapshot(request, principal, run_id, after)
        yield message
        if has_ended:
            return
    subscription = events.subscribe(after, kinds=(CHANGED, RESET))
    async with aclosing(subscription):
        async for event in subscription:
            if not _concerns(event, run_id):
                continue
            message, has_ended = await _snapshot(request, principal, run_id, event.id)
            yield message
            if has_ended:
                return


def _concerns(event: Event, run_id: int) -> bool:
    return event.kind == RESET or event.data.get("run_id") == run_id


async def _snapshot(
    request: web.Request, principal: Principal, run_id: int, event_id: int
) -> tuple[Message, bool]:
    view = await request.app[GOVERNANCE].runs.get(principal, run_id)
    data = RunAnswer.of_view(view).model_dump(mode="json")
    return Message(data, event="run", id=event_id), view.run.status.is_ended


@routes.post(
    r"/api/governance/callbacks/{step:\d+}",
    summary="Answer a webhook's step",
    status=HTTPStatus.NO_CONTENT,
    access=Access.SIGNED,
)
async def answer(request: web.Request, *, body: CallbackBody) -> None:
    """What a program says about the step that a webhook told it of.

    The token that came along is the header `X-Webhook-Secret`. Said twice, it counts once.
    """
    token = request.headers.get(WEBHOOK_SECRET_HEADER, "")
    if not token:
        raise CallbackRefusedError(
            "No step waits for this answer.",
            hint=f"Send the token as {WEBHOOK_SECRET_HEADER}.",
        )
    step = row_id(request.match_info["step"])
    await request.app[GOVERNANCE].runs.answer(
        step or 0, token, body.outcome, body.summary
    )


def workflow_of(request: web.Request) -> int | str:
    """Return the workflow that the path names: digits are an id, anything else is a name."""
    return named(request.match_info["workflow"])


def run_of(request: web.Request) -> int:
    """Return the run that the path names.

    Raises:
        RunNotFoundError: There can be none of such a number.
    """
    return path_id(request, "run", "There is no run {}.", RunNotFoundError)
