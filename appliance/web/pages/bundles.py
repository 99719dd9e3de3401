"""The list of bundles, and the tabs of one."""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from appliance.accounts.access import actions
from appliance.bundles.model import OfferedTool
from appliance.bundles.naming import default_prefix
from appliance.servers.service import ServerView
from appliance.web import bundle_form, words
from appliance.web.connect import KEY_PLACEHOLDER, client_configs
from appliance.web.deeds import may_words
from appliance.web.keys import BUNDLES, SERVERS
from appliance.web.pages.tool_forms import ToolForm
from appliance.web.pages.transfers import transfer_context
from appliance.web.paging import one_page
from appliance.web.render import page
from appliance.web.requests import bundle_of, principal_of
from appliance.web.schema_form import fields_of

routes = web.RouteTableDef()
PAGE_SIZE = 50
#: Servers that a form offers; more can be added by mcpctl and the API.
OFFERED_SERVERS = 200


@routes.get("/bundles")
async def index(request: web.Request) -> web.Response:
    """Show the bundles."""
    query = request.query.get("q", "")[:200]
    after = request.query.get("after", "")[:200]
    views = await request.app[BUNDLES].page(
        principal_of(request), query=query, after=after, limit=PAGE_SIZE + 1
    )
    rows, last = one_page(views, PAGE_SIZE)
    filters = {"q": query} if query else {}
    following = filters | {"after": last.bundle.name} if last else {}
    context = {
        "rows": rows,
        "query": query,
        "is_filtered": bool(query or after),
        "first_url": _with_query(filters) if after else "",
        "next_url": _with_query(following) if following else "",
    }
    return page(request, "pages/bundles/list.html", context)


def _with_query(query: dict[str, str]) -> str:
    return f"/bundles?{urlencode(query)}" if query else "/bundles"


async def frame_of(request: web.Request) -> dict[str, Any]:
    """Return what every tab of a bundle shows."""
    principal = principal_of(request)
    view = await request.app[BUNDLES].get(principal, bundle_of(request))
    return {
        "view": view,
        "base": words.bundle_path(view.bundle),
        **may_words(actions(principal, view.bundle.thing)),
        "problem": None,
        "errors": {},
    }


async def own_servers(request: web.Request) -> list[ServerView]:
    """Return the servers that the person may choose from."""
    return await request.app[SERVERS].page(principal_of(request), limit=OFFERED_SERVERS)


@routes.get("/bundles/{bundle}")
async def members(request: web.Request) -> web.Response:
    """Show the members, what each offers, and forms that change it."""
    return page(request, "pages/bundles/members.html", await members_context(request))


async def members_context(request: web.Request) -> dict[str, Any]:
    """Return what the members tab shows."""
    frame = await frame_of(request)
    bundle = frame["view"].bundle
    tools = await request.app[BUNDLES].tools(principal_of(request), bundle.id)
    inside = {member.server_id for member in bundle.members}
    free = [
        view.server
        for view in await own_servers(request)
        if view.server.id not in inside
    ]
    return {
        **frame,
        **await transfer_context(request, bundle.org_id, frame),
        "values": {"description": bundle.description, "separator": bundle.separator},
        "members": [
            (member, bundle_form.tool_rows(member, tools)) for member in bundle.members
        ],
        "free": [
            (str(server.id), f"{server.name} ({default_prefix(server.name)})")
            for server in free
        ],
        "which": bundle_form.WHICH,
        "opened": request.query.get("member", ""),
        # Of the member whose form was refused: what was typed, and what was wrong.
        "typed": {},
    }


@routes.get("/bundles/{bundle}/tools")
async def tools(request: web.Request) -> web.Response:
    """Show the tools as clients see them, each with a form made of its schema."""
    frame = await frame_of(request)
    found = await request.app[BUNDLES].tools(principal_of(request), bundle_of(request))
    offered = [(tool, tool_form(tool)) for tool in found if tool.is_offered]
    left_out = [tool for tool in found if tool.name is None]
    context = {
        "tools": offered,
        "left_out": left_out,
        "opened": request.query.get("tool", ""),
    }
    return page(request, "pages/bundles/tools.html", {**frame, **context})


def tool_form(tool: OfferedTool) -> ToolForm:
    """Return the controls of one tool under the name that clients see."""
    return ToolForm(
        tool.name or "", tool.description, tool.schema, fields_of(tool.schema)
    )


@routes.get("/bundles/{bundle}/connect")
async def connect(request: web.Request) -> web.Response:
    """Show how clients reach the bundle."""
    return await connect_page(request)


async def connect_page(request: web.Request, *, new_key: str = "") -> web.Response:
    """Return the connect tab, with a key that was just made in every snippet."""
    frame = await frame_of(request)
    view = frame["view"]
    configs = client_configs(
        view.bundle.name, view.endpoint, new_key or KEY_PLACEHOLDER
    )
    context = {
        **frame,
        "path": f"{frame['base']}/connect",
        "configs": configs,
        "new_key": new_key,
        "placeholder": KEY_PLACEHOLDER,
    }
    return page(request, "pages/bundles/connect.html", context)
