"""The policy: what counts, what another one would change, its versions, and what was decided by it."""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from appliance.core.errors import DomainError, InvalidError
from appliance.policy.document import EMPTY
from appliance.policy.model import Verdict
from appliance.policy.rules import KINDS
from appliance.policy.service import ANY
from appliance.policy.texts import write_text
from appliance.web.api.policy import DRY_RUN_TIMEOUT_S
from appliance.web.keys import POLICIES, POLICY
from appliance.web.pages.forms import member, read_form, refused, see_other
from appliance.web.pages.servers import frame_of
from appliance.web.paging import one_page
from appliance.web.render import narrowed, page
from appliance.web.requests import (
    Access,
    access,
    move_time_limit,
    principal_of,
    row_id,
    server_of,
)

routes = web.RouteTableDef()

TEMPLATE = "pages/policy/policy.html"
PAGE_SIZE = 50
VERSIONS = 20
#: What an empty page begins with, so that nobody begins with nothing.
EXAMPLE = """\
version: 1
rules:
  - kind: require-certification
    tiers: ["gold:*"]
    requirements: [smoke]
"""


@routes.get("/policy")
async def policy(request: web.Request) -> web.Response:
    """Show what counts, a form that writes the next version, and all versions."""
    return page(request, TEMPLATE, await policy_context(request))


async def policy_context(request: web.Request) -> dict[str, Any]:
    """Return what the page shows."""
    service = request.app[POLICY]
    active = await service.active()
    versions = await service.page(limit=VERSIONS)
    text = write_text(active.body) if active else ""
    chosen = row_id(request.query.get("diff", ""))
    difference = await service.compare(None, chosen) if chosen else None
    return {
        "active": active,
        "text": text,
        "versions": versions,
        "kinds": KINDS.values(),
        "diff": difference,
        "changes": None,
        "values": {"text": text or (EXAMPLE if not versions else _newest(versions))},
        "errors": {},
        "problem": None,
    }


def _newest(versions: list[Any]) -> str:
    return write_text(versions[0].body if versions else EMPTY.as_dict())


@routes.post("/policy")
@access(Access.ADMIN)
async def write(request: web.Request) -> web.Response:
    """Try a document, or store it and let it count."""
    form = await read_form(request)
    principal, text = principal_of(request), form.get("text", "").strip()
    try:
        if not text:
            raise InvalidError.field("text", "write a document in YAML or JSON")
        if form.get("deed") == "try":
            return await _tried(request, form, text)
        service = request.app[POLICY]
        made = await service.add(principal, text, note=form.get("note", ""))
        if form.get("deed") != "store":
            await service.activate(principal, made.version, expected=ANY)
    except DomainError as error:
        context = await policy_context(request)
        return refused(request, TEMPLATE, error, form=form, context=context)
    return see_other("/policy")


async def _tried(request: web.Request, form: dict[str, str], text: str) -> web.Response:
    move_time_limit(request, DRY_RUN_TIMEOUT_S)
    changes = await request.app[POLICIES].dry_run(principal_of(request), text)
    context = await policy_context(request)
    return page(request, TEMPLATE, {**context, "values": form, "changes": changes})


@routes.post("/policy/activate")
@access(Access.ADMIN)
async def activate(request: web.Request) -> web.Response:
    """Let a version count that is stored; without a number, none."""
    form = await read_form(request)
    version = row_id(form.get("version", ""))
    try:
        await request.app[POLICY].activate(principal_of(request), version)
    except DomainError as error:
        context = await policy_context(request)
        return refused(request, TEMPLATE, error, form=form, context=context)
    return see_other("/policy")


@routes.get("/policy/decisions")
async def decisions(request: web.Request) -> web.Response:
    """Show what was decided; htmx asks for the list alone when the filter changes."""
    context = await _decisions(request, None, "/policy/decisions")
    return narrowed(request, "pages/policy/decisions.html", "decision_list", context)


@routes.get("/policy/decisions/{decision}")
async def decision(request: web.Request) -> web.Response:
    """Show one decision with all that it was made of."""
    number = row_id(request.match_info["decision"]) or 0
    found, again = await request.app[POLICIES].decision(principal_of(request), number)
    return page(
        request, "pages/policy/decision.html", {"found": found, "is_reproduced": again}
    )


@routes.get("/servers/{server}/decisions")
async def of_server(request: web.Request) -> web.Response:
    """Show what was decided about one server, why it is held, and what it runs in."""
    context = await server_context(request)
    return narrowed(request, "pages/servers/decisions.html", "decision_list", context)


async def server_context(request: web.Request) -> dict[str, Any]:
    """Return what the tab of a server shows."""
    frame = await frame_of(request, "decisions")
    place = f"/servers/{frame['view'].server.name}/decisions"
    return {
        **frame,
        **await _decisions(request, server_of(request), place),
        "instances": await request.app[POLICIES].instances(
            principal_of(request), server_of(request)
        ),
    }


async def _decisions(
    request: web.Request, server: int | str | None, place: str
) -> dict[str, Any]:
    verdict = member(Verdict, request.query.get("verdict", ""))
    before = row_id(request.query.get("before", ""))
    found = await request.app[POLICIES].decisions(
        principal_of(request),
        server=server,
        verdict=verdict,
        before=before,
        limit=PAGE_SIZE + 1,
    )
    rows, last = one_page(found, PAGE_SIZE)
    filters = {"verdict": verdict.value} if verdict else {}
    more = filters | {"before": str(last.id)} if last else {}
    return {
        "decisions": rows,
        "verdict": verdict,
        "verdicts": list(Verdict),
        "place": place,
        "first_url": _address(place, filters) if before else "",
        "next_url": _address(place, more) if more else "",
    }


def _address(place: str, query: dict[str, str]) -> str:
    return f"{place}?{urlencode(query)}" if query else place
