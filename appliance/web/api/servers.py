"""/api/servers: host, change, call and connect to servers."""

from http import HTTPStatus
from typing import Any

from aiohttp import web

from appliance.servers.service import ServerView
from appliance.web.api.endpoints import call_tool, connect_answer
from appliance.web.api.server_answers import (
    CapabilitiesAnswer,
    ConnectAnswer,
    CreatedServer,
    InvokeAnswer,
    KeyAnswer,
    ManifestAnswer,
    ServerAnswer,
    ServerPage,
    SessionAnswer,
    SessionList,
    ToolAnswer,
    ToolList,
)
from appliance.web.api.server_bodies import (
    ConfigBody,
    ConnectQuery,
    InvokeBody,
    NewServerBody,
    RedeployQuery,
    ServerQuery,
)
from appliance.web.api.sources import entry_of
from appliance.web.keys import SERVERS
from appliance.web.paging import one_page
from appliance.web.parsing import json_answer, top_level_fields
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("servers")
CONFLICT = (HTTPStatus.CONFLICT,)


@routes.get("/api/servers", summary="List servers")
async def index(request: web.Request, *, query: ServerQuery) -> ServerPage:
    """Servers that the caller may see, by name."""
    views = await request.app[SERVERS].page(
        principal_of(request),
        query=query.q,
        status=query.status,
        after=query.cursor,
        limit=query.limit + 1,
    )
    shown, last = one_page(views, query.limit)
    return ServerPage(
        items=[ServerAnswer.of(view) for view in shown],
        next_cursor=last.server.name if last else None,
    )


@routes.post(
    "/api/servers",
    summary="Host a server",
    status=HTTPStatus.CREATED,
    answer=CreatedServer,
    errors=CONFLICT,
)
async def create(request: web.Request, *, body: NewServerBody) -> web.Response:
    """Take a server from wherever it lives; it is built and started in the background.

    The answer carries the endpoint key, this once. Follow `/api/servers/{server}/events` or the build's log stream.
    """
    with top_level_fields():
        document, url = body.server_json, body.server_json_url
        entry = await entry_of(request, document, url) if body.is_entry else None
        new = body.new_server(entry)
        view, key = await request.app[SERVERS].create(principal_of(request), new)
    answer = CreatedServer(server=ServerAnswer.of(view), endpoint_key=key)
    location = {"Location": f"/api/servers/{view.server.id}"}
    return json_answer(answer, status=HTTPStatus.CREATED, headers=location)


@routes.get("/api/servers/{server}", summary="Show a server")
async def show(request: web.Request) -> ServerAnswer:
    """One server, by id or name."""
    return ServerAnswer.of(await _view(request))


@routes.put(
    "/api/servers/{server}/config",
    summary="Change how a server is run",
    status=HTTPStatus.ACCEPTED,
    errors=CONFLICT,
)
async def configure(request: web.Request, *, body: ConfigBody) -> ServerAnswer:
    """Replace the whole configuration; fields that are absent take their defaults.

    `tools`, `pinning`, `listed`, `trace_bodies` and `limits` change at once; a change of anything else redeploys the server.
    """
    view = await request.app[SERVERS].configure(
        principal_of(request), server_of(request), body.config()
    )
    return ServerAnswer.of(view)


@routes.delete(
    "/api/servers/{server}",
    summary="Delete a server",
    status=HTTPStatus.ACCEPTED,
    errors=CONFLICT,
)
async def delete(request: web.Request) -> ServerAnswer:
    """Remove the server with its container, network, data and images, in the background. There is no way back."""
    return ServerAnswer.of(
        await request.app[SERVERS].delete(principal_of(request), server_of(request))
    )


@routes.post(
    "/api/servers/{server}/start",
    summary="Start a server",
    status=HTTPStatus.ACCEPTED,
    errors=CONFLICT,
)
async def start(request: web.Request) -> ServerAnswer:
    """Want the server running; crashes so far are forgiven."""
    return ServerAnswer.of(
        await request.app[SERVERS].start(principal_of(request), server_of(request))
    )


@routes.post(
    "/api/servers/{server}/stop",
    summary="Stop a server",
    status=HTTPStatus.ACCEPTED,
    errors=CONFLICT,
)
async def stop(request: web.Request) -> ServerAnswer:
    """Want the server stopped; a build that runs is cancelled."""
    return ServerAnswer.of(
        await request.app[SERVERS].stop(principal_of(request), server_of(request))
    )


@routes.post(
    "/api/servers/{server}/redeploy",
    summary="Redeploy a server",
    status=HTTPStatus.ACCEPTED,
    errors=CONFLICT,
)
async def redeploy(request: web.Request, *, query: RedeployQuery) -> ServerAnswer:
    """Build and start the server anew from its source; what runs now serves until then.

    While a package's version is the same, so is all that it needs; `as_of` resolves it anew.
    """
    view = await request.app[SERVERS].redeploy(
        principal_of(request), server_of(request), as_of=query.as_of
    )
    return ServerAnswer.of(view)


@routes.post(
    "/api/servers/{server}/key", summary="Replace the endpoint key", errors=CONFLICT
)
async def rotate_key(request: web.Request) -> KeyAnswer:
    """Make a new endpoint key, shown this once; the old one stops working at once."""
    key = await request.app[SERVERS].rotate_key(
        principal_of(request), server_of(request)
    )
    return KeyAnswer(endpoint_key=key)


@routes.post(
    "/api/servers/{server}/invoke",
    summary="Call a tool",
    errors=(HTTPStatus.CONFLICT, HTTPStatus.BAD_GATEWAY),
)
async def invoke(request: web.Request, *, body: InvokeBody) -> InvokeAnswer:
    """Call one tool through the gateway, in plain JSON.

    An answer with `isError` is the tool's own failure; a refusal of the call itself is a problem.
    """
    return await call_tool(
        request, body, request.app[SERVERS].invoke, server_of(request)
    )


@routes.get("/api/servers/{server}/tools", summary="List a server's tools")
async def tools(request: web.Request) -> ToolList:
    """The tools of the live deployment, as the server described them when it was asked last."""
    found = _manifest(await _view(request)) or {}
    return ToolList(items=[ToolAnswer.of(tool) for tool in found.get("tools", [])])


@routes.get("/api/servers/{server}/manifest", summary="Show a server's manifest")
async def manifest(request: web.Request) -> ManifestAnswer:
    """What the live deployment says of itself: at its start, read again every few minutes and when its lists change."""
    view = await _view(request)
    return ManifestAnswer(
        manifest=_manifest(view), read_at=view.live.manifest_at if view.live else None
    )


@routes.get(
    "/api/servers/{server}/capabilities", summary="Show a server's capabilities"
)
async def capabilities(request: web.Request) -> CapabilitiesAnswer:
    """What the live deployment says it can do; empty until one is live."""
    found = _manifest(await _view(request)) or {}
    return CapabilitiesAnswer(
        capabilities=found.get("capabilities") or {},
        protocol_version=found.get("protocolVersion"),
        server_info=found.get("serverInfo") or {},
    )


@routes.get("/api/servers/{server}/client-config", summary="Show how clients connect")
async def client_config(request: web.Request, *, query: ConnectQuery) -> ConnectAnswer:
    """Snippets for MCP clients. The endpoint key is stored hashed, so a placeholder stands in its place."""
    view = await _view(request)
    return connect_answer(
        view.server.name, view.endpoint, query.client, manifest=_manifest(view)
    )


@routes.get("/api/servers/{server}/sessions", summary="List sessions' containers")
async def sessions(request: web.Request) -> SessionList:
    """Containers that sessions of a stdio server have for themselves; `session_mode` says which get one."""
    found = await request.app[SERVERS].sessions(
        principal_of(request), server_of(request)
    )
    return SessionList(items=[SessionAnswer.of(item) for item in found])


async def _view(request: web.Request) -> ServerView:
    return await request.app[SERVERS].get(principal_of(request), server_of(request))


def _manifest(view: ServerView) -> dict[str, Any] | None:
    return view.live.manifest if view.live else None
