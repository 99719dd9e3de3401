"""What people do with servers from the pages: create, start, stop, redeploy, configure, delete, call."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from appliance.artifacts import wellknown
from appliance.core.errors import DomainError, InvalidError
from appliance.servers.entries import fetch_entry, parse_entry
from appliance.servers.service import ServerView
from appliance.sources.entry import Entry, Question
from appliance.web import egress_form, server_form, words
from appliance.web.connect import client_configs
from appliance.web.keys import SERVERS, SETTINGS, SOURCES
from appliance.web.pages.forms import (
    read_file_form,
    read_form,
    reads_own_form,
    refused,
    see_other,
)
from appliance.web.pages.servers import config_context, connect_page
from appliance.web.pages.tool_calls import CALL_TIMEOUT_S, show_call
from appliance.web.pages.tool_forms import arguments_of, tools_of
from appliance.web.pages.transfers import owners
from appliance.web.render import page
from appliance.web.requests import move_time_limit, principal_of, server_of

routes = web.RouteTableDef()

#: Real packages that need neither key nor configuration.
EXAMPLES = (
    "pypi:mcp-server-time",
    "pypi:mcp-server-fetch",
    "npm:@modelcontextprotocol/server-everything",
    "npm:@modelcontextprotocol/server-memory",
)
NEW = "pages/servers/new.html"


@routes.get("/servers/new")
async def new(request: web.Request) -> web.Response:
    """Show the form of a new server."""
    known = wellknown.find(request.query.get("catalog", ""))
    values = server_form.known_form(known) if known else server_form.empty_form()
    context = {
        **_new_context(values),
        "owners": await owners(request),
        "known": known,
        "values": values,
        "errors": {},
        "problem": None,
    }
    return page(request, NEW, context)


@routes.post("/servers/new")
@reads_own_form
async def create(request: web.Request) -> web.Response:
    """Create a server, and show its key this once."""
    entry: Entry | None = None

    async def receive(filename: str, chunks: AsyncIterator[bytes]) -> dict[str, str]:
        brought = await request.app[SOURCES].upload(
            principal_of(request), filename, chunks
        )
        source = brought.source
        return {"archive": source.digest, "archive_name": source.filename}

    form, problem = await read_file_form(request, receive)
    try:
        if problem:
            raise problem
        entry = await _entry(request, form)
        wanted = server_form.new_server(form, entry)
        view, key = await request.app[SERVERS].create(principal_of(request), wanted)
    except DomainError as error:
        return refused(
            request,
            NEW,
            error,
            form={**server_form.empty_form(), **form},
            context={
                **_new_context(form),
                "owners": await owners(request),
                "questions": _questions(entry),
            },
        )
    return created_page(request, view, key)


def created_page(request: web.Request, view: ServerView, key: str) -> web.Response:
    """Return the page that shows a new server's key, this once."""
    configs = client_configs(view.server.name, view.endpoint, key)
    live_url = f"/live{words.server_path(view.server)}/created"
    context = {"view": view, "new_key": key, "configs": configs, "live_url": live_url}
    return page(request, "pages/servers/created.html", context)


async def _entry(request: web.Request, form: Mapping[str, str]) -> Entry | None:
    """Return the registry's entry that the form gives, or the address of which it gives."""
    text = form.get("server_json", "").strip()
    if form.get("kind") != "entry" or not text:
        return None
    if text.startswith(("https://", "http://")):
        allow_private = request.app[SETTINGS].remote_allow_private
        return await fetch_entry(text, allow_private=allow_private)
    return parse_entry(text)


def _questions(entry: Entry | None) -> tuple[Question, ...]:
    try:
        return entry.option().questions() if entry else ()
    except InvalidError:
        return ()


def _new_context(form: Mapping[str, str]) -> dict[str, Any]:
    default = server_form.empty_form()
    detailed = any(
        form.get(name, value) != value
        for name, value in default.items()
        if name not in {"kind", "name"}
    )
    return {
        "known": None,
        "examples": EXAMPLES,
        "transports": server_form.TRANSPORTS,
        "networks": egress_form.NEW_MODES,
        "session_modes": server_form.SESSION_MODES,
        "pinnings": server_form.PINNING,
        "is_detailed": detailed,
        "fetched": server_form.FETCHED,
        "questions": (),
    }


@routes.post("/servers/{server}/start")
async def start(request: web.Request) -> web.Response:
    """Want the server running."""
    return _to(
        await request.app[SERVERS].start(principal_of(request), server_of(request))
    )


@routes.post("/servers/{server}/stop")
async def stop(request: web.Request) -> web.Response:
    """Want the server stopped; a build that runs is cancelled."""
    return _to(
        await request.app[SERVERS].stop(principal_of(request), server_of(request))
    )


@routes.post("/servers/{server}/redeploy")
async def redeploy(request: web.Request) -> web.Response:
    """Build and start anew, and show the build."""
    return _to(
        await request.app[SERVERS].redeploy(principal_of(request), server_of(request)),
        "/build",
    )


@routes.post("/servers/{server}/delete")
async def delete(request: web.Request) -> web.Response:
    """Want the server gone, and show the list."""
    await request.app[SERVERS].delete(principal_of(request), server_of(request))
    return see_other("/servers")


@routes.post("/servers/{server}/key")
async def rotate_key(request: web.Request) -> web.Response:
    """Make a new endpoint key, and show it this once."""
    key = await request.app[SERVERS].rotate_key(
        principal_of(request), server_of(request)
    )
    return await connect_page(request, new_key=key)


@routes.post("/servers/{server}/config")
async def configure(request: web.Request) -> web.Response:
    """Change how the server is run, and show the build if it must be redeployed for that."""
    form = await read_form(request)
    context = await config_context(request)
    try:
        now = context["view"].server.config
        config = replace(
            # What holds tools back stays on, where a form does not speak of it.
            server_form.read_config({"pinning": now.pinning.value, **form}),
            # They have pages of their own.
            dockerfile=now.dockerfile,
            health=now.health,
            deploys=now.deploys,
            isolation=now.isolation,
            egress=now.egress,
        )
        view = await request.app[SERVERS].configure(
            principal_of(request), server_of(request), config
        )
    except InvalidError as error:
        return refused(
            request,
            "pages/servers/config.html",
            error,
            form={**context["values"], **form},
            context=context,
        )
    is_redeployed = view.newest != context["view"].newest
    return _to(view, "/build" if is_redeployed else "/config")


@routes.post("/servers/{server}/call")
async def call(request: web.Request) -> web.Response:
    """Call a tool with what its form holds, and show the answer or why there is none."""
    move_time_limit(request, CALL_TIMEOUT_S)
    form = await read_form(request)
    view = await request.app[SERVERS].get(principal_of(request), server_of(request))
    frame = {"view": view, "tool": form.get("tool", "")}
    return await show_call(
        request, lambda: _call(request, view, form), "pages/servers/answer.html", frame
    )


async def _call(
    request: web.Request, view: ServerView, form: Mapping[str, str]
) -> dict[str, Any]:
    arguments = arguments_of(form, tools_of(view.live), "server")
    return await request.app[SERVERS].invoke(
        principal_of(request),
        view.server.id,
        form["tool"],
        arguments,
        timeout_s=CALL_TIMEOUT_S,
    )


def _to(view: ServerView, tab: str = "") -> web.Response:
    return see_other(words.server_path(view.server) + tab)
