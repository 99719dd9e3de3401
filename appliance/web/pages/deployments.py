"""The Deployments tab: the history, what each attempt changed, going back, cancelling, the lock and the policy."""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from appliance.core.errors import ConflictError, InvalidError
from appliance.servers.deploys.model import Trigger
from appliance.servers.deploys.policy import DeployPolicy
from appliance.servers.model import DeploymentState
from appliance.web import deploys_form, words
from appliance.web.keys import DEPLOYMENTS
from appliance.web.pages.forms import member, read_form, refused, see_other
from appliance.web.pages.servers import frame_of
from appliance.web.paging import one_page
from appliance.web.render import narrowed, page
from appliance.web.requests import principal_of, server_of

routes = web.RouteTableDef()

TEMPLATE = "pages/servers/deployments.html"
ONE = "pages/servers/deployment.html"
PAGE_SIZE = 20
LOG_LINES = 200
_MOST_DIGITS = 9


@routes.get("/servers/{server}/deployments")
async def index(request: web.Request) -> web.Response:
    """Show what was tried to make live, newest first; htmx asks for the list alone when the filter changes."""
    context = await deployments_context(request)
    return narrowed(request, TEMPLATE, "deployments", context)


async def deployments_context(request: web.Request) -> dict[str, Any]:
    """Return what the tab shows; its filter and place are in the address, and in that of its stream."""
    principal, server = principal_of(request), server_of(request)
    frame = await frame_of(request, "deployments")
    state = member(DeploymentState, request.query.get("state", ""))
    trigger = member(Trigger, request.query.get("trigger", ""))
    before = _cursor(request)
    found = await request.app[DEPLOYMENTS].page(
        principal,
        server,
        states=[state] if state else (),
        triggers=[trigger] if trigger else (),
        before=before,
        limit=PAGE_SIZE + 1,
    )
    rows, last = one_page(found, PAGE_SIZE)
    here = f"{words.server_path(frame['view'].server)}/deployments"
    filters = {
        name: value.value
        for name, value in (("state", state), ("trigger", trigger))
        if value
    }
    place = filters | ({"before": str(before)} if before else {})
    return {
        **frame,
        "path": here,
        "rows": rows,
        "states": list(DeploymentState),
        "triggers": list(Trigger),
        "state": state,
        "trigger": trigger,
        "own_url": _with_query(here, place),
        "live_url": _with_query(frame["live_url"], place),
        "first_url": _with_query(here, filters) if before else "",
        "next_url": _with_query(here, filters | {"before": str(last.deployment.number)})
        if last
        else "",
        "lock": await request.app[DEPLOYMENTS].lock_of(principal, server),
        "values": deploys_form.policy_values(frame["view"].server.config.deploys),
        "errors": {},
        "problem": None,
    }


@routes.get("/servers/{server}/deployments/{number:[0-9]{1,9}}")
async def show(request: web.Request) -> web.Response:
    """Show one attempt: what it was made of, what it changed, how its build went."""
    return page(request, ONE, await deployment_context(request))


async def deployment_context(request: web.Request) -> dict[str, Any]:
    """Return what the page of one deployment shows; its stream has the number in the query."""
    principal, server = principal_of(request), server_of(request)
    number = _number(request)
    service = request.app[DEPLOYMENTS]
    frame = await frame_of(request, "deployments")
    against = request.query.get("against", "")
    comparison = await service.compare(
        principal,
        server,
        number,
        against=int(against) if _is_number(against) else None,
    )
    here = words.server_path(frame["view"].server)
    return {
        **frame,
        "live_url": _with_query(f"/live{here}/deployment", {"number": str(number)}),
        "path": f"{here}/deployments",
        "row": await service.get(principal, server, number),
        "comparison": comparison,
        "others": [
            view.deployment.number
            for view in await service.page(principal, server, limit=PAGE_SIZE)
            if view.deployment.number != number
        ],
        "log": (await service.log(principal, server, number))[-LOG_LINES:],
        "problem": None,
    }


@routes.post("/servers/{server}/deployments/{number:[0-9]{1,9}}/rollback")
async def rollback(request: web.Request) -> web.Response:
    """Go back to a deployment, and show the history."""
    return await _act(request, request.app[DEPLOYMENTS].rollback)


@routes.post("/servers/{server}/deployments/{number:[0-9]{1,9}}/cancel")
async def cancel(request: web.Request) -> web.Response:
    """End a deployment that is on its way, and show the history."""
    return await _act(request, request.app[DEPLOYMENTS].cancel)


async def _act(request: web.Request, action: Any) -> web.Response:
    number = int(request.match_info["number"])
    try:
        await action(principal_of(request), server_of(request), number)
    except ConflictError as error:
        context = await deployments_context(request)
        return refused(
            request, TEMPLATE, error, form=context["values"], context=context
        )
    return await _history(request)


@routes.post("/servers/{server}/deploy-lock")
async def lock(request: web.Request) -> web.Response:
    """Lock the server against deployments, and show the history."""
    form = await read_form(request)
    try:
        await request.app[DEPLOYMENTS].lock(
            principal_of(request), server_of(request), form.get("reason", "")
        )
    except InvalidError as error:
        context = await deployments_context(request)
        return refused(
            request,
            TEMPLATE,
            error,
            form={**context["values"], **form},
            context=context,
        )
    return await _history(request)


@routes.post("/servers/{server}/deploy-lock/remove")
async def unlock(request: web.Request) -> web.Response:
    """Let the server be deployed again, and show the history."""
    await request.app[DEPLOYMENTS].unlock(principal_of(request), server_of(request))
    return await _history(request)


@routes.post("/servers/{server}/deploy-policy")
async def policy(request: web.Request) -> web.Response:
    """Change how versions take each other's place, and show the history."""
    form = await read_form(request)
    try:
        wanted: DeployPolicy = deploys_form.read_policy(form)
        await request.app[DEPLOYMENTS].set_policy(
            principal_of(request), server_of(request), wanted
        )
    except InvalidError as error:
        context = await deployments_context(request)
        values = {**context["values"], **form}
        return refused(request, TEMPLATE, error, form=values, context=context)
    return await _history(request)


async def _history(request: web.Request) -> web.Response:
    frame = await frame_of(request, "deployments")
    return see_other(f"{words.server_path(frame['view'].server)}/deployments")


def _with_query(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _cursor(request: web.Request) -> int | None:
    text = request.query.get("before", "")
    return int(text) if _is_number(text) else None


def _number(request: web.Request) -> int:
    text = request.match_info.get("number") or request.query.get("number", "")
    return int(text) if _is_number(text) else 0


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
