"""/api/bundles: virtual servers that offer the tools of several servers at one endpoint."""

from http import HTTPStatus

from aiohttp import web

from appliance.bundles.model import NewMember
from appliance.web.api.bundle_bodies import (
    BundleAnswer,
    BundleChangeBody,
    BundlePage,
    BundleQuery,
    BundleToolAnswer,
    BundleToolList,
    CreatedBundle,
    MemberBody,
    NewBundleBody,
)
from appliance.web.api.endpoints import call_tool, connect_answer
from appliance.web.api.server_answers import (
    ConnectAnswer,
    InvokeAnswer,
    KeyAnswer,
)
from appliance.web.api.server_bodies import ConnectQuery, InvokeBody
from appliance.web.keys import BUNDLES
from appliance.web.paging import one_page
from appliance.web.parsing import json_answer
from appliance.web.requests import (
    bundle_of,
    principal_of,
    server_of,
)
from appliance.web.routes import Routes

routes = Routes("bundles")


@routes.get("/api/bundles", summary="List bundles")
async def index(request: web.Request, *, query: BundleQuery) -> BundlePage:
    """Bundles that the caller may see, by name."""
    views = await request.app[BUNDLES].page(
        principal_of(request),
        query=query.q,
        after=query.cursor,
        limit=query.limit + 1,
    )
    shown, last = one_page(views, query.limit)
    return BundlePage(
        items=[BundleAnswer.of(view) for view in shown],
        next_cursor=last.bundle.name if last else None,
    )


@routes.post(
    "/api/bundles",
    summary="Make a bundle",
    status=HTTPStatus.CREATED,
    answer=CreatedBundle,
    errors=(HTTPStatus.CONFLICT,),
)
async def create(request: web.Request, *, body: NewBundleBody) -> web.Response:
    """Offer tools of several servers at one endpoint. The answer carries the endpoint key, this once."""
    view, key = await request.app[BUNDLES].create(
        principal_of(request), body.new_bundle()
    )
    answer = CreatedBundle(bundle=BundleAnswer.of(view), endpoint_key=key)
    location = {"Location": f"/api/bundles/{view.bundle.id}"}
    return json_answer(answer, status=HTTPStatus.CREATED, headers=location)


@routes.get("/api/bundles/{bundle}", summary="Show a bundle")
async def show(request: web.Request) -> BundleAnswer:
    """One bundle with its members, by id or name."""
    return BundleAnswer.of(
        await request.app[BUNDLES].get(principal_of(request), bundle_of(request))
    )


@routes.patch("/api/bundles/{bundle}", summary="Change a bundle")
async def change(request: web.Request, *, body: BundleChangeBody) -> BundleAnswer:
    """Change what is given and leave the rest; clients hear of changed lists, where they listen."""
    view = await request.app[BUNDLES].change(
        principal_of(request), bundle_of(request), body.change()
    )
    return BundleAnswer.of(view)


@routes.delete(
    "/api/bundles/{bundle}", summary="Delete a bundle", status=HTTPStatus.NO_CONTENT
)
async def delete(request: web.Request) -> None:
    """Remove the bundle and its endpoint; its members stay what they are."""
    await request.app[BUNDLES].delete(principal_of(request), bundle_of(request))


@routes.put("/api/bundles/{bundle}/members/{server}", summary="Add or change a member")
async def set_member(request: web.Request, *, body: MemberBody) -> BundleAnswer:
    """Add a server as the last member, or replace how it takes part; fields that are absent take their defaults."""
    new = NewMember(server_of(request), body.config())
    view = await request.app[BUNDLES].set_member(
        principal_of(request), bundle_of(request), new
    )
    return BundleAnswer.of(view)


@routes.delete("/api/bundles/{bundle}/members/{server}", summary="Remove a member")
async def remove_member(request: web.Request) -> BundleAnswer:
    """Take a server out of the bundle; the server itself stays."""
    view = await request.app[BUNDLES].remove_member(
        principal_of(request), bundle_of(request), server_of(request)
    )
    return BundleAnswer.of(view)


@routes.get("/api/bundles/{bundle}/tools", summary="List a bundle's tools")
async def tools(request: web.Request) -> BundleToolList:
    """Every member's tools in the clients' order, also those that are left out, with what is wrong with their names."""
    found = await request.app[BUNDLES].tools(principal_of(request), bundle_of(request))
    return BundleToolList(items=[BundleToolAnswer.of(tool) for tool in found])


@routes.post("/api/bundles/{bundle}/key", summary="Replace the endpoint key")
async def rotate_key(request: web.Request) -> KeyAnswer:
    """Make a new endpoint key, shown this once; the old one stops working at once."""
    key = await request.app[BUNDLES].rotate_key(
        principal_of(request), bundle_of(request)
    )
    return KeyAnswer(endpoint_key=key)


@routes.post(
    "/api/bundles/{bundle}/invoke",
    summary="Call a bundle's tool",
    errors=(HTTPStatus.BAD_GATEWAY,),
)
async def invoke(request: web.Request, *, body: InvokeBody) -> InvokeAnswer:
    """Call one tool by the name that clients see, through the gateway, in plain JSON."""
    return await call_tool(
        request, body, request.app[BUNDLES].invoke, bundle_of(request)
    )


@routes.get("/api/bundles/{bundle}/client-config", summary="Show how clients connect")
async def client_config(request: web.Request, *, query: ConnectQuery) -> ConnectAnswer:
    """Snippets for MCP clients. The endpoint key is stored hashed, so a placeholder stands in its place."""
    view = await request.app[BUNDLES].get(principal_of(request), bundle_of(request))
    return connect_answer(view.bundle.name, view.endpoint, query.client)
