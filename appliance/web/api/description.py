"""/openapi.json: the API's own description."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import orjson
from aiohttp import web
from pydantic import ConfigDict

from appliance.web.api.answer import Answer
from appliance.web.openapi import document
from appliance.web.requests import Access
from appliance.web.routes import Routes, operations


def _installed_version() -> str:
    try:
        return version("mcp-host")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0.0.0"


#: Looked up once, on disk, before the event loop runs.
VERSION = _installed_version()

routes = Routes("description")


class OpenApiDocument(Answer):
    """An OpenAPI 3.1 document."""

    model_config = ConfigDict(extra="allow")

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


@routes.get(
    "/openapi.json",
    summary="Describe the API",
    access=Access.PUBLIC,
    answer=OpenApiDocument,
)
async def openapi(request: web.Request) -> web.Response:
    """This document."""
    # Asked rarely, by people and generators: made anew each time rather than kept in memory.
    found = document(operations(request.app), version=VERSION)
    return web.Response(body=orjson.dumps(found), content_type="application/json")
