"""The list of servers, and the tabs of one."""

import contextlib
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from appliance.accounts.access import actions
from appliance.builds.model import BuildLine
from appliance.builds.service import BuildView
from appliance.core.cards import CARD_SUFFIX, Listing, full_name
from appliance.core.errors import UnavailableError
from appliance.servers.errors import NoBuildError
from appliance.servers.manifests import lines
from appliance.servers.model import Status
from appliance.servers.service import ServerView
from appliance.servers.tool_reviews import Notice
from appliance.web import server_form, words
from appliance.web.connect import KEY_PLACEHOLDER, client_configs
from appliance.web.deeds import may_words
from appliance.web.keys import CATALOG, SERVERS, SOURCES, TOOL_REVIEWS
from appliance.web.pages.forms import member
from appliance.web.pages.tool_forms import tools_of
from appliance.web.pages.transfers import transfer_context
from appliance.web.paging import one_page
from appliance.web.render import narrowed, page
from appliance.web.requests import principal_of, server_of

routes = web.RouteTableDef()
PAGE_SIZE = 50
#: Of a manifest, each with whole definitions.
MAX_CHANGES = 10
#: Title, unit and columns of what the overview draws, and of how many seconds.
CHARTS = (
    ("Calls and errors", "", "calls errors"),
    ("Latency", "ms", "p50_ms p99_ms"),
    ("Memory", "bytes", "memory_bytes"),
)
CHARTED_S = 6 * 3600


@routes.get("/servers")
async def index(request: web.Request) -> web.Response:
    """Show the servers; htmx asks for the list alone when the filter changes."""
    context = await list_context(request)
    return narrowed(request, "pages/servers/list.html", "server_list", context)


async def list_context(request: web.Request) -> dict[str, Any]:
    """Return what the list shows; its filter and place are in the address, and in that of its stream."""
    query = request.query.get("q", "")[:200]
    status = request.query.get("status", "")
    after = request.query.get("after", "")[:200]
    views = await request.app[SERVERS].page(
        principal_of(request),
        query=query,
        status=member(Status, status),
        after=after,
        limit=PAGE_SIZE + 1,
    )
    rows, last = one_page(views, PAGE_SIZE)
    filters = {
        name: value for name, value in (("q", query), ("status", status)) if value
    }
    here = filters | ({"after": after} if after else {})
    return {
        "rows": rows,
        "query": query,
        "status": status,
        "is_filtered": bool(filters or after),
        "own_url": _with_query("/servers", here),
        "live_url": _with_query("/live/servers", here),
        "first_url": _with_query("/servers", filters) if after else "",
        "next_url": _with_query("/servers", filters | {"after": last.server.name})
        if last
        else "",
    }


def _with_query(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


async def frame_of(request: web.Request, tab: str) -> dict[str, Any]:
    """Return what every tab of a server shows."""
    principal = principal_of(request)
    view = await request.app[SERVERS].get(principal, server_of(request))
    return {
        "view": view,
        **may_words(actions(principal, view.server.thing)),
        "live_url": f"/live{words.server_path(view.server)}/{tab}",
    }


@routes.get("/servers/{server}")
async def overview(request: web.Request) -> web.Response:
    """Show how a server is, what runs, and what happened last."""
    return page(request, "pages/servers/overview.html", await overview_context(request))


def series_url(view: ServerView) -> str:
    """Return where the browser gets what the charts of a server draw."""
    return f"/api/servers/{view.server.id}/metrics/series"


async def overview_context(request: web.Request) -> dict[str, Any]:
    """Return what the overview shows."""
    principal, server, servers = (
        principal_of(request),
        server_of(request),
        request.app[SERVERS],
    )
    metrics = await servers.metrics(principal, server)
    changes = await servers.manifest_changes(principal, server, limit=1)
    frame = await frame_of(request, "overview")
    return {
        **frame,
        "charts": CHARTS,
        "range_s": CHARTED_S,
        "series_url": series_url(frame["view"]),
        "deployments": await servers.deployments(principal, server),
        "last_change": changes[0] if changes else None,
        "restarts": sum(metric.event_type == "restart" for metric in metrics),
        "sessions": await _sessions(request),
        "notice": await _notice(request),
    }


async def _notice(request: web.Request) -> Notice:
    return await request.app[TOOL_REVIEWS].notice(
        principal_of(request), server_of(request)
    )


async def _sessions(request: web.Request) -> int | None:
    """Return how many containers sessions have; ``None`` while the engine does not say."""
    servers = request.app[SERVERS]
    try:
        found = await servers.sessions(principal_of(request), server_of(request))
    except UnavailableError:
        return None
    return len(found)


@routes.get("/servers/{server}/tools")
async def tools(request: web.Request) -> web.Response:
    """Show the tools, each with a form made of its schema."""
    return page(request, "pages/servers/tools.html", await tools_context(request))


async def tools_context(request: web.Request) -> dict[str, Any]:
    """Return what the tools tab shows; the only tool of a server is open at once."""
    frame = await frame_of(request, "tools")
    found = tools_of(frame["view"].live)
    opened = found[0].name if len(found) == 1 else request.query.get("tool", "")
    return {
        **frame,
        "tools": found,
        "opened": opened,
        "notice": await _notice(request),
    }


@routes.get("/servers/{server}/manifest")
async def manifest(request: web.Request) -> web.Response:
    """Show what the server says of itself, and what it said before."""
    return page(request, "pages/servers/manifest.html", await manifest_context(request))


async def manifest_context(request: web.Request) -> dict[str, Any]:
    """Return what the manifest tab shows."""
    frame = await frame_of(request, "manifest")
    view: ServerView = frame["view"]
    changes = await request.app[SERVERS].manifest_changes(
        principal_of(request), server_of(request), limit=MAX_CHANGES
    )
    return {
        **frame,
        "manifest": (view.live.manifest if view.live else None) or {},
        "changes": changes,
        "lines": lines,
    }


@routes.get("/servers/{server}/build")
async def build(request: web.Request) -> web.Response:
    """Show the newest build; its log follows by the page's stream."""
    return page(request, "pages/servers/build.html", await build_context(request))


async def build_context(request: web.Request) -> dict[str, Any]:
    """Return what the build tab shows above its log."""
    frame = await frame_of(request, "build")
    view: ServerView = frame["view"]
    return {
        **frame,
        "build": await newest_build(request),
        "number": view.newest.number if view.newest else 0,
    }


async def newest_build(request: web.Request) -> BuildView | None:
    """Return the newest build, if anything was built yet."""
    try:
        return await request.app[SERVERS].build(
            principal_of(request), server_of(request)
        )
    except NoBuildError:
        return None


@routes.get("/servers/{server}/build.txt")
async def build_text(request: web.Request) -> web.Response:
    """Send the newest build's log as a file."""
    servers, principal, server = (
        request.app[SERVERS],
        principal_of(request),
        server_of(request),
    )
    lines: list[BuildLine] = []
    with contextlib.suppress(NoBuildError):
        after = 0
        while more := await servers.build_lines(principal, server, after=after):
            lines += more
            after = more[-1].number
    name = f"{request.match_info['server']}-build.txt"
    return _download(name, [line.text for line in lines])


def _download(name: str, lines: list[str]) -> web.Response:
    safe = "".join(letter for letter in name if letter.isalnum() or letter in "-.")
    headers = {
        "Content-Disposition": f'attachment; filename="{safe}"',
        "Cache-Control": "no-store",
    }
    return web.Response(
        text="\n".join([*lines, ""]), content_type="text/plain", headers=headers
    )


@routes.get("/servers/{server}/connect")
async def connect(request: web.Request) -> web.Response:
    """Show how clients reach the server."""
    return await connect_page(request)


async def connect_page(request: web.Request, *, new_key: str = "") -> web.Response:
    """Return the connect tab, with a key that was just made in every snippet."""
    frame = await frame_of(request, "connect")
    view: ServerView = frame["view"]
    configs = client_configs(
        view.server.name, view.endpoint, new_key or KEY_PLACEHOLDER
    )
    context = {
        **frame,
        "path": f"{words.server_path(view.server)}/connect",
        "configs": configs,
        "new_key": new_key,
        "placeholder": KEY_PLACEHOLDER,
        "card_url": view.endpoint + CARD_SUFFIX,
        "full_name": full_name(request.app[CATALOG].site, Listing(view.server.name)),
    }
    return page(request, "pages/servers/connect.html", context)


@routes.get("/servers/{server}/config")
async def config(request: web.Request) -> web.Response:
    """Show how the server is run, in a form that changes it."""
    return page(
        request,
        "pages/servers/config.html",
        await config_context(request),
        status=HTTPStatus.OK,
    )


async def config_context(request: web.Request) -> dict[str, Any]:
    """Return what the configuration tab shows."""
    frame = await frame_of(request, "config")
    view: ServerView = frame["view"]
    values = server_form.config_values(view.server.config)
    credential = await request.app[SOURCES].credential(
        principal_of(request), server_of(request)
    )
    return {
        **frame,
        **await transfer_context(request, view.server.org_id, frame),
        "credential": credential,
        "values": values,
        "errors": {},
        "problem": None,
        "transports": server_form.TRANSPORTS,
        "session_modes": server_form.SESSION_MODES,
        "listed": server_form.LISTED,
        "trace_bodies": server_form.TRACE_BODIES,
        "pinnings": server_form.PINNING,
    }
