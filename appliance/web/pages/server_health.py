"""The Health tab of a server: the verdict step by step, the last day, every change, and how it is asked."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from appliance.core.errors import ConflictError, InvalidError
from appliance.servers.health.uptime import strip
from appliance.servers.model import Status
from appliance.web import health_form, words
from appliance.web.keys import CHECKS
from appliance.web.pages.forms import read_form, refused, see_other
from appliance.web.pages.servers import frame_of
from appliance.web.paging import one_page
from appliance.web.render import narrowed
from appliance.web.requests import move_time_limit, principal_of, server_of

routes = web.RouteTableDef()

TEMPLATE = "pages/servers/health.html"
#: Quarters of an hour of the last day.
PARTS = 96
PAGE_SIZE = 20
#: Beyond a check's own time.
SLACK_S = 15.0
_MOST_DIGITS = 18


@dataclass(frozen=True)
class Cell:
    """One part of the strip."""

    tone: str
    #: What is read when it is pointed at.
    words: str


@routes.get("/servers/{server}/health")
async def health(request: web.Request) -> web.Response:
    """Show how the server is; htmx asks for what changes alone."""
    return narrowed(request, TEMPLATE, "health_now", await health_context(request))


async def health_context(request: web.Request) -> dict[str, Any]:
    """Return what the tab shows."""
    principal, checks = principal_of(request), request.app[CHECKS]
    frame = await frame_of(request, "health")
    found = await checks.view(principal, server_of(request))
    before = _cursor(request)
    changes, last = one_page(
        await checks.history(
            principal, server_of(request), before=before, limit=PAGE_SIZE + 1
        ),
        PAGE_SIZE,
    )
    here = f"{words.server_path(found.server)}/health"
    place = f"?{urlencode({'before': before})}" if before else ""
    return {
        **frame,
        "path": here,
        "own_url": here + place,
        "live_url": frame["live_url"] + place,
        "found": found,
        "cells": [_cell(status, span) for status, span in strip(found.uptime, PARTS)],
        "changes": [
            (item, Status(item.before) if item.before else None, Status(item.after))
            for item in changes
        ],
        "first_url": here if before else "",
        "next_url": f"{here}?{urlencode({'before': last.id})}" if last else "",
        "values": health_form.policy_values(found.server.config.health),
        "errors": {},
        "problem": None,
    }


def _cursor(request: web.Request) -> int | None:
    text = request.query.get("before", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None


def _cell(status: str, span: Any) -> Cell:
    if span is None:
        return Cell("none", "Not there yet")
    look = words.SERVER_LOOKS[Status(status)]
    return Cell(look.tone, f"{look.word} from {span.since:%H:%M} UTC")


@routes.post("/servers/{server}/check")
async def check(request: web.Request) -> web.Response:
    """Ask the server now, and show what was found."""
    context = await health_context(request)
    found = context["found"]
    move_time_limit(request, found.server.config.health.timeout_s + SLACK_S)
    try:
        await request.app[CHECKS].check(principal_of(request), server_of(request))
    except ConflictError as error:
        return refused(
            request, TEMPLATE, error, form=context["values"], context=context
        )
    return see_other(context["path"])


@routes.post("/servers/{server}/health")
async def configure(request: web.Request) -> web.Response:
    """Change how the server is asked, and show the tab."""
    form = await read_form(request)
    context = await health_context(request)
    try:
        policy = health_form.read_policy(form)
        await request.app[CHECKS].configure(
            principal_of(request), server_of(request), policy
        )
    except InvalidError as error:
        return refused(
            request,
            TEMPLATE,
            error,
            form={**context["values"], **form},
            context=context,
        )
    return see_other(context["path"])
