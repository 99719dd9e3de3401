"""What a server prints: live, and searched through."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from appliance.core.errors import InvalidError
from appliance.output.model import Position, Stream
from appliance.web import words
from appliance.web.api.logs import HistoryQuery, page_of
from appliance.web.keys import OUTPUT, SERVERS, SETTINGS
from appliance.web.output_texts import send_file
from appliance.web.pages.servers import frame_of
from appliance.web.parsing import validate
from appliance.web.render import narrowed, page
from appliance.web.requests import principal_of, server_of

routes = web.RouteTableDef()
PAGE_SIZE = 200
FILTERS = ("q", "stream", "deployment_id", "session", "since", "until")
TIMES = ("since", "until")
TEMPLATE = "pages/servers/log_history.html"


@routes.get("/servers/{server}/logs")
async def logs(request: web.Request) -> web.Response:
    """Show the log as it grows; it follows by the page's stream."""
    return page(request, "pages/servers/logs.html", await frame_of(request, "logs"))


@routes.get("/servers/{server}/logs.txt")
async def logs_text(request: web.Request) -> web.StreamResponse:
    """Send the lines that the filter matches as a file."""
    output = request.app[OUTPUT]
    server_id = await output.find(principal_of(request), server_of(request))
    wanted = _query(request).filter()
    name = f"{request.match_info['server']}-log.txt"
    return await send_file(request, name, output.all(server_id, wanted))


@routes.get("/servers/{server}/logs/history")
async def history(request: web.Request) -> web.Response:
    """Show what the filter matches, a page at a time; htmx asks for the lines alone."""
    return narrowed(request, TEMPLATE, "results", await _context(request))


async def _context(request: web.Request) -> dict[str, Any]:
    frame = await frame_of(request, "logs")
    query = _query(request)
    found = await page_of(request, query)
    values = {name: request.query.get(name, "").strip() for name in FILTERS}
    given = {name: value for name, value in values.items() if value}
    base = f"{words.server_path(frame['view'].server)}/logs/history"

    def address(**more: str) -> str:
        return f"{base}?{urlencode(given | more)}" if given or more else base

    here = {
        name: request.query[name]
        for name in ("cursor", "direction")
        if query.cursor and name in request.query
    }
    deployments = await request.app[SERVERS].deployments(
        principal_of(request), server_of(request)
    )
    return {
        **frame,
        "base": base,
        "lines": found.items,
        "is_partial": found.is_partial,
        "values": values,
        "streams": [item.value for item in Stream],
        "numbers": {item.id: item.number for item in deployments},
        "is_filtered": bool(given),
        "keep_days": request.app[SETTINGS].server_log_retention_days,
        "own_url": address(**here),
        "newest_url": address() if query.cursor else "",
        "file_url": f"{base.removesuffix('/history')}.txt?{urlencode(given)}",
        "older_url": _link(address, found.older, "older"),
        "newer_url": _link(address, found.newer, "newer") if query.cursor else "",
    }


def _link(address: Any, position: Position | None, direction: str) -> str:
    if position is None:
        return ""
    return str(address(cursor=str(position), direction=direction))


def _query(request: web.Request) -> HistoryQuery:
    """Return what the address asks for; what in it makes no sense is as if it were not there."""
    values: dict[str, str] = {}
    for name in (*FILTERS, "cursor", "direction"):
        value = request.query.get(name, "").strip()
        if value and name in TIMES:
            value = _with_zone(value)
        if not value:
            continue
        try:
            validate(HistoryQuery, {name: value}).position()
        except InvalidError:
            continue
        values[name] = value
    return validate(HistoryQuery, {**values, "limit": PAGE_SIZE})


def _with_zone(text: str) -> str:
    """Return a moment as a browser's control gives it, in UTC as all moments of these pages; empty if it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()
