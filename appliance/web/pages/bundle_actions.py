"""What people do with bundles from the pages: make, change, fill, order, call, delete."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from appliance.accounts.access import require_may_create
from appliance.bundles.model import BundleChange, NewMember
from appliance.bundles.service import BundleView
from appliance.core.errors import DomainError, InvalidError
from appliance.web import bundle_form, words
from appliance.web.connect import client_configs
from appliance.web.keys import BUNDLES
from appliance.web.pages.bundles import (
    connect_page,
    members_context,
    own_servers,
    tool_form,
)
from appliance.web.pages.forms import read_form, refused, see_other
from appliance.web.pages.tool_calls import CALL_TIMEOUT_S, show_call
from appliance.web.pages.tool_forms import arguments_of
from appliance.web.pages.transfers import owners
from appliance.web.render import page
from appliance.web.requests import (
    bundle_of,
    move_time_limit,
    principal_of,
    server_of,
)

routes = web.RouteTableDef()
NEW = "pages/bundles/new.html"
MEMBERS = "pages/bundles/members.html"


@routes.get("/bundles/new")
async def new(request: web.Request) -> web.Response:
    """Show the form of a new bundle."""
    require_may_create(principal_of(request))
    context = {
        "servers": await own_servers(request),
        "owners": await owners(request),
        "values": bundle_form.empty_form(),
        "errors": {},
        "problem": None,
    }
    return page(request, NEW, context)


@routes.post("/bundles/new")
async def create(request: web.Request) -> web.Response:
    """Make a bundle, and show its key this once."""
    form = await read_form(request)
    try:
        view, key = await request.app[BUNDLES].create(
            principal_of(request), bundle_form.new_bundle(form)
        )
    except DomainError as error:
        context = {
            "servers": await own_servers(request),
            "owners": await owners(request),
        }
        return refused(
            request,
            NEW,
            error,
            form={**bundle_form.empty_form(), **form},
            context=context,
        )
    configs = client_configs(view.bundle.name, view.endpoint, key)
    told = {
        "view": view,
        "new_key": key,
        "configs": configs,
        "base": words.bundle_path(view.bundle),
    }
    return page(request, "pages/bundles/created.html", told)


@routes.post("/bundles/{bundle}/settings")
async def change(request: web.Request) -> web.Response:
    """Change what the bundle says and how it separates names."""
    form = await read_form(request)
    wanted = BundleChange(
        description=form.get("description", "").strip(),
        separator=form.get("separator", ""),
    )
    return await _or_members(
        request,
        form,
        lambda: request.app[BUNDLES].change(
            principal_of(request), bundle_of(request), wanted
        ),
    )


@routes.post("/bundles/{bundle}/members")
async def add(request: web.Request) -> web.Response:
    """Add a server."""
    form = await read_form(request)
    server = form.get("server", "")
    wanted = NewMember(
        int(server) if server.isdigit() else server,
        bundle_form.member_config({"prefix": form.get("prefix", "")}),
    )
    return await _or_members(
        request,
        form,
        lambda: request.app[BUNDLES].set_member(
            principal_of(request), bundle_of(request), wanted
        ),
        opened=server,
    )


@routes.post("/bundles/{bundle}/members/{server}")
async def set_member(request: web.Request) -> web.Response:
    """Change how a server takes part."""
    form = await read_form(request)
    server = server_of(request)
    wanted = NewMember(server, bundle_form.member_config(form))
    return await _or_members(
        request,
        form,
        lambda: request.app[BUNDLES].set_member(
            principal_of(request), bundle_of(request), wanted
        ),
        opened=str(server),
    )


@routes.post("/bundles/{bundle}/members/{server}/remove")
async def remove(request: web.Request) -> web.Response:
    """Take a server out."""
    view = await request.app[BUNDLES].remove_member(
        principal_of(request), bundle_of(request), server_of(request)
    )
    return see_other(words.bundle_path(view.bundle))


@routes.post("/bundles/{bundle}/members/{server}/move")
async def move(request: web.Request) -> web.Response:
    """Move a member one place up or down."""
    form = await read_form(request)
    principal, bundles = principal_of(request), request.app[BUNDLES]
    view = await bundles.get(principal, bundle_of(request))
    server = server_of(request)
    order = bundle_form.moved(
        view.bundle,
        server if isinstance(server, int) else 0,
        -1 if form.get("to") == "up" else 1,
    )
    await bundles.change(principal, view.bundle.id, BundleChange(members=order))
    return see_other(words.bundle_path(view.bundle))


@routes.post("/bundles/{bundle}/delete")
async def delete(request: web.Request) -> web.Response:
    """Remove the bundle."""
    await request.app[BUNDLES].delete(principal_of(request), bundle_of(request))
    return see_other("/bundles")


@routes.post("/bundles/{bundle}/key")
async def rotate_key(request: web.Request) -> web.Response:
    """Make a new endpoint key, and show it this once."""
    key = await request.app[BUNDLES].rotate_key(
        principal_of(request), bundle_of(request)
    )
    return await connect_page(request, new_key=key)


@routes.post("/bundles/{bundle}/call")
async def call(request: web.Request) -> web.Response:
    """Call a tool with what its form holds, and show the answer or why there is none."""
    move_time_limit(request, CALL_TIMEOUT_S)
    form = await read_form(request)
    view = await request.app[BUNDLES].get(principal_of(request), bundle_of(request))
    frame = {
        "view": view,
        "base": words.bundle_path(view.bundle),
        "tool": form.get("tool", ""),
    }
    return await show_call(
        request, lambda: _call(request, form), "pages/bundles/answer.html", frame
    )


async def _call(request: web.Request, form: dict[str, str]) -> dict[str, Any]:
    principal, bundle = principal_of(request), bundle_of(request)
    tools = await request.app[BUNDLES].tools(principal, bundle)
    offered = (tool_form(item) for item in tools if item.is_offered)
    arguments = arguments_of(form, offered, "bundle")
    return await request.app[BUNDLES].invoke(
        principal, bundle, form["tool"], arguments, timeout_s=CALL_TIMEOUT_S
    )


async def _or_members(
    request: web.Request,
    form: dict[str, str],
    write: Callable[[], Awaitable[BundleView]],
    *,
    opened: str = "",
) -> web.Response:
    """Do what a form asks for and go back to the members; a refused form is shown again with what was typed."""
    try:
        view = await write()
    except InvalidError as error:
        context = await members_context(request)
        context |= {"opened": opened, "typed": form if opened else {}}
        return refused(
            request, MEMBERS, error, form={**context["values"], **form}, context=context
        )
    anchor = f"?member={opened}#member-{opened}" if opened else ""
    return see_other(words.bundle_path(view.bundle) + anchor)
