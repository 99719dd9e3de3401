"""What people do on the pages of evaluations: write tests and suites, run, accept, certify."""

from typing import Any

from aiohttp import web

from appliance.core.clock import now
from appliance.core.errors import DomainError, InvalidError
from appliance.evaluations.acceptance import Pair
from appliance.evaluations.model import Status
from appliance.web import words
from appliance.web.api.artifacts import artifact_of
from appliance.web.api.certifications import evaluation_of
from appliance.web.api.evaluations import run_of, suite_of, test_of
from appliance.web.evaluation_form import (
    finding_of_form,
    replay_of_form,
    suite_of_form,
    test_of_form,
)
from appliance.web.keys import CERTIFICATIONS, EVALUATIONS, REQUEST_ID, SERVERS
from appliance.web.pages.evaluations import (
    SUITE,
    TAB,
    TEST,
    suite_context,
    tab_context,
    test_context,
)
from appliance.web.pages.forms import member, read_form, refused, see_other
from appliance.web.pages.marketplace import ARTIFACT, artifact_context
from appliance.web.problems import problem_of
from appliance.web.render import blocks
from appliance.web.requests import principal_of, row_id, server_of

routes = web.RouteTableDef()


@routes.post("/servers/{server}/evaluations/test")
async def save_test(request: web.Request) -> web.Response:
    """Add the test that the form describes, or change it."""
    form = await read_form(request)
    try:
        await request.app[EVALUATIONS].book.put_test(
            principal_of(request),
            server_of(request),
            test_of_form(form),
            row_id(request.query.get("id", "")),
        )
    except DomainError as error:
        return _refused(
            request, TEST, error, form=form, context=await test_context(request)
        )
    return await _back(request)


@routes.post("/servers/{server}/evaluations/tests/{test:[0-9]{1,18}}/remove")
async def remove_test(request: web.Request) -> web.Response:
    """Remove a test, and show those that are left."""
    try:
        await request.app[EVALUATIONS].book.remove_test(
            principal_of(request), server_of(request), test_of(request)
        )
    except DomainError as error:
        return _refused(
            request, TAB, error, form={}, context=await tab_context(request)
        )
    return await _back(request)


@routes.post("/servers/{server}/evaluations/try")
async def try_test(request: web.Request) -> web.Response:
    """Run the test that the form describes once, and show what came of it beside the form."""
    form = await read_form(request)
    await request.app[SERVERS].get(principal_of(request), server_of(request))
    found: dict[str, Any] = {"result": None, "try_problem": None}
    try:
        found["result"] = await request.app[EVALUATIONS].book.try_test(
            principal_of(request),
            server_of(request),
            test_of_form({"name": "try", **form} | {"name": "try"}),
        )
    except DomainError as error:
        found["try_problem"] = problem_of(error, request[REQUEST_ID])
    return blocks(request, TEST, ("tried",), found)


@routes.post("/servers/{server}/evaluations/suite")
async def save_suite(request: web.Request) -> web.Response:
    """Add the suite that the form describes, or change it."""
    form = await read_form(request)
    context = await suite_context(request)
    try:
        await request.app[EVALUATIONS].book.put_suite(
            principal_of(request),
            server_of(request),
            suite_of_form(form, context["tests"]),
            row_id(request.query.get("id", "")),
        )
    except DomainError as error:
        return _refused(request, SUITE, error, form=form, context=context)
    return await _back(request)


@routes.post("/servers/{server}/evaluations/suites/{suite:[0-9]{1,18}}/remove")
async def remove_suite(request: web.Request) -> web.Response:
    """Remove a suite, and show those that are left."""
    await request.app[EVALUATIONS].book.remove_suite(
        principal_of(request), server_of(request), suite_of(request)
    )
    return await _back(request)


@routes.post("/servers/{server}/evaluations/suites/{suite:[0-9]{1,18}}/run")
async def run_suite(request: web.Request) -> web.Response:
    """Queue a run, of the held deployment where its button was pressed, and follow it."""
    number = row_id((await read_form(request)).get("deployment", ""))
    try:
        run = await request.app[EVALUATIONS].service.run_suite(
            principal_of(request), server_of(request), suite_of(request), number
        )
    except DomainError as error:
        return _refused(
            request, TAB, error, form={}, context=await tab_context(request)
        )
    return await _back(request, f"/runs/{run.id}")


@routes.post("/servers/{server}/evaluations/replay")
async def replay(request: web.Request) -> web.Response:
    """Queue a replay, and follow it."""
    form = await read_form(request)
    try:
        wanted, number = replay_of_form(form)
        run = await request.app[EVALUATIONS].service.replay(
            principal_of(request), server_of(request), wanted, number
        )
    except DomainError as error:
        return _refused(
            request, TAB, error, form=form, context=await tab_context(request)
        )
    return await _back(request, f"/runs/{run.id}")


@routes.post("/servers/{server}/evaluations/runs/{run:[0-9]{1,18}}/cancel")
async def cancel(request: web.Request) -> web.Response:
    """End a run, and show it."""
    run = await request.app[EVALUATIONS].service.cancel(
        principal_of(request), server_of(request), run_of(request)
    )
    return await _back(request, f"/runs/{run.id}")


@routes.post("/servers/{server}/evaluations/runs/{run:[0-9]{1,18}}/accept")
async def accept(request: web.Request) -> web.Response:
    """Accept one difference, or all, and show the run."""
    form = await read_form(request)
    pair = Pair(form.get("tool", ""), form.get("path", ""), form.get("kind", ""))
    run = await request.app[EVALUATIONS].acceptance.accept(
        principal_of(request),
        server_of(request),
        run_of(request),
        pair=pair if pair.path else None,
        reason=form.get("reason", "")[:300],
    )
    return await _back(request, f"/runs/{run.id}")


@routes.post("/servers/{server}/evaluations/accepted/{accepted:[0-9]{1,18}}/remove")
async def take_back(request: web.Request) -> web.Response:
    """Have a difference told of again."""
    await request.app[EVALUATIONS].acceptance.take_back(
        principal_of(request), server_of(request), int(request.match_info["accepted"])
    )
    return await _back(request)


# -- certifications


@routes.post("/servers/{server}/evaluations/certify")
async def certify_server(request: web.Request) -> web.Response:
    """Certify the newest version, and show all that is certified."""
    form = await read_form(request)
    service = request.app[CERTIFICATIONS]
    try:
        await service.certify_server(
            principal_of(request),
            server_of(request),
            finding_of_form(form, _status(form), at=now(), warn_days=service.warn_days),
            tier=form.get("tier", "").strip(),
            requirement=form.get("policy_requirement", "").strip(),
        )
    except DomainError as error:
        return _refused(
            request, TAB, error, form=form, context=await tab_context(request)
        )
    return await _back(request, "#certifications")


@routes.post("/marketplace/{artifact}/certify")
async def certify_artifact(request: web.Request) -> web.Response:
    """Certify a run of the ledger, and show it."""
    form = await read_form(request)
    artifact, service = await artifact_of(request), request.app[CERTIFICATIONS]
    try:
        await service.certify_artifact(
            principal_of(request),
            artifact.id,
            finding_of_form(form, _status(form), at=now(), warn_days=service.warn_days),
            tier=form.get("tier", "").strip(),
            requirement=form.get("policy_requirement", "").strip(),
        )
    except DomainError as error:
        context = await artifact_context(request)
        return _refused(request, ARTIFACT, error, form=form, context=context)
    return see_other(f"/marketplace/{artifact.id}#certifications")


@routes.post("/evaluations/{evaluation}/retry")
async def retry(request: web.Request) -> web.Response:
    """Make a certification pending again, and show what it is about."""
    found = await request.app[CERTIFICATIONS].retry(
        principal_of(request), evaluation_of(request)
    )
    run_id = found.about.artifact_run_id
    server = f"/servers/{found.about.server_id}/evaluations"
    place = f"/marketplace/{run_id}" if run_id else server
    return see_other(f"{place}#certifications")


def _status(form: dict[str, str]) -> Status:
    found = member(Status, form.get("status", ""))
    if found is None:
        raise InvalidError.field("status", "choose one of the list")
    return found


def _refused(
    request: web.Request,
    template: str,
    error: DomainError,
    *,
    form: dict[str, str],
    context: dict[str, Any],
) -> web.Response:
    """Return the page again; problems are named by their controls."""
    if isinstance(error, InvalidError):
        error.fields = {_control(name): text for name, text in error.fields.items()}
    shown = {**context["values"], **form}
    return refused(request, template, error, form=shown, context=context)


def _control(field: str) -> str:
    if field.startswith("expectation."):
        return "expectation"
    return {"schedule.cron": "cron", "schedule.every_s": "every_minutes", "schedule": "cron"}.get(field, field)  # fmt: skip


async def _back(request: web.Request, tail: str = "") -> web.Response:
    view = await request.app[SERVERS].get(principal_of(request), server_of(request))
    return see_other(f"{words.server_path(view.server)}/evaluations{tail}")
