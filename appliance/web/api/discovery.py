"""/v0.1 and /.well-known: what this box hosts, for those who look for servers.

The registry's read endpoints are those of the MCP Registry API v0.1 (server.json of 2025-12-11), as editors call them.
"""

import json
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from aiohttp import hdrs, web
from pydantic import ConfigDict, Field

from appliance.core import cards
from appliance.servers.catalog import Catalog, Published
from appliance.servers.errors import ServerNotFoundError
from appliance.web.api.answer import Answer
from appliance.web.keys import CATALOG, PRINCIPAL
from appliance.web.paging import one_page
from appliance.web.parsing import Input, Moment
from appliance.web.requests import Access, access
from appliance.web.routes import JSON, Routes

routes = Routes("discovery")
OPEN_TO_EVERY_PAGE = ("/v0.1/", "/.well-known/")
MAX_LISTED = 1000
LATEST = "latest"
_OFFICIAL = "io.modelcontextprotocol.registry/official"


class _Tolerant(Input):
    """A query of other people's programs: what is not known here may mean something to another registry."""

    model_config = ConfigDict(extra="ignore")


class RegistryQuery(_Tolerant):
    """Which servers."""

    limit: int = Field(30, ge=1, le=100, description="Servers a page.")
    cursor: str = Field(
        "", max_length=200, description="`metadata.nextCursor` of the page before."
    )
    search: str = Field("", max_length=200, description="Part of the name.")
    updated_since: Moment | None = Field(
        None, description="Only what changed then or later."
    )
    version: str = Field(
        "", max_length=255, description="`latest`, or exactly this version."
    )
    include_deleted: bool = Field(
        default=False, description="Changes nothing: what is deleted is not kept."
    )


class VersionQuery(_Tolerant):
    """How to look at one server."""

    include_deleted: bool = Field(
        default=False, description="Changes nothing: what is deleted is not kept."
    )


class RegistryEntry(Answer):
    """One server."""

    server: dict[str, Any] = Field(description="A server.json of 2025-12-11.")
    meta: dict[str, Any] = Field(
        serialization_alias="_meta",
        description="`status`, `publishedAt`, `updatedAt` and `isLatest`, under the registry's key.",
    )


class RegistryMetadata(Answer):
    """Where the list goes on."""

    count: int
    next_cursor: Annotated[str | None, Field(serialization_alias="nextCursor")] = None


class RegistryPage(Answer):
    """Some servers, by name."""

    servers: list[RegistryEntry]
    metadata: RegistryMetadata


class Document(Answer):
    """A document in a format of its own; docs/discovery.md names the drafts."""


@routes.get(
    "/v0.1/servers",
    summary="List servers as a registry",
    access=Access.PUBLIC,
    answer=RegistryPage,
)
async def index(request: web.Request, *, query: RegistryQuery) -> web.Response:
    """Servers that are live: the listed ones, and with an API key those that it opens.

    A box hosts one version of a server at a time, so every entry is the latest.
    """
    catalog = request.app[CATALOG]
    found = await catalog.page(
        request.get(PRINCIPAL),
        query=query.search,
        after=query.cursor,
        limit=query.limit + 1,
        since=query.updated_since,
    )
    shown, last = one_page(found, query.limit)
    wanted = [item for item in shown if _is_version(item, query.version or LATEST)]
    return _page(request, catalog, wanted, last.listing.name if last else None)


@routes.get(
    "/v0.1/servers/{name}/versions",
    summary="List a server's versions as a registry",
    access=Access.PUBLIC,
    answer=RegistryPage,
)
async def versions(request: web.Request, *, query: VersionQuery) -> web.Response:  # noqa: ARG001 - checked, and has no effect
    """The version that is live; `name` is the full one, URL-encoded."""
    catalog = request.app[CATALOG]
    found = await _one(request, catalog)
    return _page(request, catalog, [found], None)


@routes.get(
    "/v0.1/servers/{name}/versions/{version}",
    summary="Show one version of a server as a registry",
    access=Access.PUBLIC,
    answer=RegistryEntry,
)
async def version(request: web.Request, *, query: VersionQuery) -> web.Response:  # noqa: ARG001 - checked, and has no effect
    """The version that is live, by its number or as `latest`."""
    catalog = request.app[CATALOG]
    found = await _one(request, catalog)
    wanted = request.match_info["version"]
    if not _is_version(found, wanted):
        raise ServerNotFoundError(
            f"There is no version {wanted} of {request.match_info['name']}."
        )
    return _answer(request, _entry(catalog, found).model_dump_json(by_alias=True), JSON)


@routes.get(
    "/.well-known/ai-catalog.json",
    summary="List servers as an AI catalog",
    access=Access.PUBLIC,
    answer=Document,
    content=cards.CATALOG_TYPE,
)
async def ai_catalog(request: web.Request) -> web.Response:
    """AI Catalog 1.0, as SEP-2127 refers to it: each entry names a server's card on the gateway."""
    catalog = request.app[CATALOG]
    found = cards.catalog(catalog.site, await _listings(request))
    return _document(request, found, cards.CATALOG_TYPE)


@routes.get(
    "/.well-known/mcp.json",
    summary="Show the card of the one server, or all cards",
    access=Access.PUBLIC,
    answer=Document,
    errors=(HTTPStatus.NOT_FOUND,),
)
async def mcp_json(request: web.Request) -> web.Response:
    """The address of SEP-1649's first draft; the same as `/.well-known/mcp/server-card.json`."""
    return await _well_known(request)


@routes.get(
    "/.well-known/mcp/server-card.json",
    summary="Show the card of the one server, or all cards, under its later address",
    access=Access.PUBLIC,
    answer=Document,
    errors=(HTTPStatus.NOT_FOUND,),
)
async def server_card_json(request: web.Request) -> web.Response:
    """The card of SEP-2127 with SEP-1649's members beside it; several are in a list `servers`."""
    return await _well_known(request)


async def open_to_every_page(
    request: web.Request, response: web.StreamResponse
) -> None:
    """Let pages of any origin read discovery, refusals too; a signal. Cookies are not among what they may send."""
    if request.path.startswith(OPEN_TO_EVERY_PAGE):
        response.headers.update(cards.CORS)
        response.headers.add(hdrs.VARY, "Authorization, Cookie")


@access(Access.PUBLIC)
async def _preflight(_request: web.Request) -> web.Response:
    return web.Response(status=HTTPStatus.NO_CONTENT)


routes.definitions += [
    web.options(item.path, _preflight) for item in routes.definitions
]


async def _one(request: web.Request, catalog: Catalog) -> Published:
    return await catalog.get(request.get(PRINCIPAL), request.match_info["name"])


def _is_version(item: Published, wanted: str) -> bool:
    return wanted in {LATEST, cards.version_of(item.listing)}


def _entry(catalog: Catalog, item: Published) -> RegistryEntry:
    official = {
        "status": "active",
        "publishedAt": _moment(item.published_at),
        "updatedAt": _moment(item.updated_at),
        "statusChangedAt": _moment(item.updated_at),
        "isLatest": True,
    }
    return RegistryEntry(
        server=cards.server_json(catalog.site, item.listing),
        meta={_OFFICIAL: official},
    )


def _moment(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _page(
    request: web.Request,
    catalog: Catalog,
    items: list[Published],
    cursor: str | None,
) -> web.Response:
    page = RegistryPage(
        servers=[_entry(catalog, item) for item in items],
        metadata=RegistryMetadata(count=len(items), next_cursor=cursor),
    )
    return _answer(
        request, page.model_dump_json(by_alias=True, exclude_none=True), JSON
    )


async def _listings(request: web.Request) -> list[cards.Listing]:
    catalog = request.app[CATALOG]
    found = await catalog.page(request.get(PRINCIPAL), limit=MAX_LISTED)
    return [item.listing for item in found]


async def _well_known(request: web.Request) -> web.Response:
    found = cards.well_known(request.app[CATALOG].site, await _listings(request))
    if found is None:
        raise ServerNotFoundError("There is no server here to show.")
    return _document(request, found, JSON)


def _document(
    request: web.Request, content: dict[str, Any], content_type: str
) -> web.Response:
    return _answer(request, json.dumps(content, ensure_ascii=False), content_type)


def _answer(request: web.Request, text: str, content_type: str) -> web.Response:
    # What a key or a session shows is for its holder; what everybody sees may be kept a while.
    is_known = request.get(PRINCIPAL) is not None
    cache = "private, no-store" if is_known else "public, max-age=300"
    return web.Response(
        text=text, content_type=content_type, headers={"Cache-Control": cache}
    )
