"""Calls of a server: the list, one in full, and all of them as a file."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from appliance.core.errors import InvalidError
from appliance.invocations.model import Cursor, FullInvocation, Outcome, Page
from appliance.web import words
from appliance.web.api.invocations import (
    FullInvocationAnswer,
    InvocationQuery,
    full_of,
    page_of,
)
from appliance.web.keys import INVOCATIONS, SETTINGS
from appliance.web.pages.servers import frame_of
from appliance.web.parsing import validate
from appliance.web.render import narrowed, page
from appliance.web.requests import principal_of, server_of

routes = web.RouteTableDef()
PAGE_SIZE = 50
#: Calls in a file; one that wants more asks the API.
EXPORT_ROWS = 5000
WINDOWS = (("1", "Last hour"), ("24", "Last day"), ("168", "Last week"))
#: What the form asks for, and what links narrow the list to.
CONTROLS = ("q", "outcome", "method", "min_duration_ms")
LINKS = ("tool", "principal", "error_class")
FILTERS = (*CONTROLS, *LINKS)
TEMPLATE = "pages/servers/invocations.html"


@routes.get("/servers/{server}/invocations")
async def index(request: web.Request) -> web.Response:
    """Show figures and calls; htmx asks for either alone."""
    context = await _context(request)
    return narrowed(request, TEMPLATE, "results", context)


async def _context(request: web.Request) -> dict[str, Any]:
    frame = await frame_of(request, "invocations")
    query = _query(request)
    found = await page_of(request, query)
    window = _window(request)
    summary = await request.app[INVOCATIONS].summary(
        principal_of(request), server_of(request), window=timedelta(hours=int(window))
    )
    base = f"{words.server_path(frame['view'].server)}/invocations"
    values = {name: request.query.get(name, "") for name in FILTERS}
    given = {name: value for name, value in values.items() if value}
    wide = given | ({"hours": window} if window != WINDOWS[1][0] else {})
    here = wide | ({"cursor": query.cursor} if query.cursor else {})
    return {
        **frame,
        "list_url": base,
        "calls": found.items,
        "summary": summary,
        "values": values,
        "narrowed": {
            name: _address(base, {key: wide[key] for key in wide if key != name})
            for name in LINKS
            if name in given
        },
        "only": lambda **more: _address(base, wide | more),
        "is_recording": request.app[SETTINGS].gw_traces,
        "window": window,
        "windows": WINDOWS,
        "title": dict(WINDOWS)[window],
        "outcomes": [item.value for item in Outcome],
        "is_filtered": bool(given or query.cursor),
        "is_first": not query.cursor,
        "own_url": _address(base, here),
        "file_url": _address(f"{base}.jsonl", given),
        "first_url": _address(base, wide) if query.cursor else "",
        "next_url": _address(base, wide | {"cursor": str(found.next)})
        if found.next
        else "",
    }


def _window(request: web.Request) -> str:
    asked = request.query.get("hours", "")
    return asked if asked in dict(WINDOWS) else WINDOWS[1][0]


def _query(request: web.Request) -> InvocationQuery:
    """Return what the address asks for; what in it makes no sense is as if it were not there."""
    values = {
        name: value
        for name in (*FILTERS, "cursor")
        if (value := request.query.get(name, "").strip())
    }
    for name in list(values):
        try:
            validate(InvocationQuery, {name: values[name]}).after()
        except InvalidError:
            del values[name]
    return validate(InvocationQuery, {**values, "limit": PAGE_SIZE})


def _address(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


@routes.get("/servers/{server}/invocations.jsonl")
async def export(request: web.Request) -> web.StreamResponse:
    """Send the calls that the filter matches, newest first, one a line."""
    query = validate(InvocationQuery, {**request.query, "limit": 200})
    found = await page_of(request, query)
    name = "".join(
        letter
        for letter in request.match_info["server"]
        if letter.isalnum() or letter == "-"
    )
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/jsonl",
            "Content-Disposition": f'attachment; filename="{name}-invocations.jsonl"',
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(request)
    sent = 0
    while True:
        for call in found.items:
            full = await request.app[INVOCATIONS].get(
                principal_of(request), call.server_id, call.id
            )
            line = FullInvocationAnswer.of_full(full).model_dump_json()
            await response.write(line.encode() + b"\n")
        sent += len(found.items)
        if found.next is None or sent >= EXPORT_ROWS:
            break
        found = await _following(request, query, found.next)
    await response.write_eof()
    return response


async def _following(
    request: web.Request, query: InvocationQuery, after: Cursor
) -> Page:
    return await page_of(request, query.model_copy(update={"cursor": str(after)}))


@routes.get("/servers/{server}/invocations/{invocation}")
async def show(request: web.Request) -> web.Response:
    """Show one call with what is kept of its request and its answer."""
    found = await full_of(request)
    context = {
        **await frame_of(request, "invocations"),
        "call": found.call,
        "bodies": _bodies(found),
        "kept_bytes": request.app[SETTINGS].gw_trace_body_bytes,
    }
    return page(request, "pages/servers/invocation.html", context)


def _bodies(found: FullInvocation) -> list[tuple[str, int, str | None]]:
    return [
        ("Request", found.call.request_bytes, pretty(found.request)),
        ("Answer", found.call.response_bytes, pretty(found.response)),
    ]


def pretty(text: str | None) -> str | None:
    """Return JSON with a line for each value; what is no JSON, or was cut, as it is."""
    if text is None:
        return None
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
