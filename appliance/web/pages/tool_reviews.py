"""The review of one server's tools: what is approved, what differs from it side by side, and what was decided."""

import asyncio
import json
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from appliance.core.errors import DomainError, InvalidError
from appliance.servers.pinning.diff import Part, parts
from appliance.servers.pinning.invisible import visible
from appliance.servers.pinning.model import Action, Change, Decision
from appliance.servers.pinning.policy import PinningMode
from appliance.servers.tool_reviews import Review, Reviewed
from appliance.web import server_form, words
from appliance.web.keys import SERVERS, TOOL_REVIEWS
from appliance.web.pages.forms import member, read_form, refused, see_other
from appliance.web.pages.servers import frame_of
from appliance.web.render import page
from appliance.web.requests import principal_of, server_of

routes = web.RouteTableDef()

TEMPLATE = "pages/servers/review.html"
#: Of a server, with whole definitions; the API shows all.
MAX_CHANGES = 50
MAX_PINS = 500


@dataclass(frozen=True)
class Shown:
    """One change as the page shows it."""

    entry: Reviewed[Change]
    parts: tuple[Part, ...]


@routes.get("/servers/{server}/review")
async def review(request: web.Request) -> web.Response:
    """Show what is approved and what differs from it."""
    return page(request, TEMPLATE, await review_context(request))


async def review_context(request: web.Request) -> dict[str, Any]:
    """Return what the review tab shows."""
    frame = await frame_of(request, "review")
    found = await request.app[TOOL_REVIEWS].get(
        principal_of(request), server_of(request)
    )
    return {
        **frame,
        "review": found,
        # Comparing long definitions takes its time.
        "shown": await asyncio.to_thread(_shown, found),
        "pins": found.pins[:MAX_PINS],
        "modes": server_form.PINNING,
        "values": {"pinning": found.mode.value},
        "errors": {},
        "problem": None,
        "may_undo": _may_undo,
        "definition": _definition,
    }


def _shown(review: Review) -> list[Shown]:
    return [
        Shown(
            entry,
            tuple(parts(entry.item.difference.before, entry.item.difference.after)),
        )
        for entry in review.changes[:MAX_CHANGES]
    ]


def _definition(value: Any) -> str:
    """Return a definition as text, with what nobody sees written out."""
    if isinstance(value, str):
        return visible(value)
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "\n".join(visible(line) for line in text.splitlines())


def _may_undo(decision: Decision) -> bool:
    return not decision.is_undone and decision.action in {Action.APPROVE, Action.REJECT}


@routes.post("/servers/{server}/review")
async def decide(request: web.Request) -> web.Response:
    """Approve or reject what was looked at."""
    form = await read_form(request)
    reviews = request.app[TOOL_REVIEWS]
    numbers = [
        int(item) for item in form.get("changes", "").split(",") if item.isdigit()
    ]
    work = reviews.approve if form.get("action") == "approve" else reviews.reject
    try:
        await work(
            principal_of(request),
            server_of(request),
            numbers,
            reason=form.get("reason", ""),
        )
    except DomainError as error:
        return await _refused(request, form, error)
    return await _back(request)


@routes.post("/servers/{server}/review/undo")
async def undo(request: web.Request) -> web.Response:
    """Take a decision back."""
    form = await read_form(request)
    number = form.get("decision", "")
    try:
        await request.app[TOOL_REVIEWS].undo(
            principal_of(request),
            server_of(request),
            int(number) if number.isdigit() else 0,
        )
    except DomainError as error:
        return await _refused(request, form, error)
    return await _back(request)


@routes.post("/servers/{server}/review/setting")
async def setting(request: web.Request) -> web.Response:
    """Choose what clients get of tools that nobody approved."""
    form = await read_form(request)
    mode = member(PinningMode, form.get("pinning", ""))
    servers, principal = request.app[SERVERS], principal_of(request)
    if mode is None:
        error = InvalidError.field("pinning", "choose one of the list")
        return await _refused(request, form, error)
    view = await servers.get(principal, server_of(request))
    config = replace(view.server.config, pinning=mode)
    await servers.configure(principal, server_of(request), config)
    return await _back(request)


async def _refused(
    request: web.Request, form: dict[str, str], error: DomainError
) -> web.Response:
    context = await review_context(request)
    return refused(
        request, TEMPLATE, error, form={**context["values"], **form}, context=context
    )


async def _back(request: web.Request) -> web.Response:
    view = await request.app[SERVERS].get(principal_of(request), server_of(request))
    return see_other(f"{words.server_path(view.server)}/review")
