"""The API's routes, and their description, from one declaration: what is not described cannot be added.

    routes = Routes("servers")

    @routes.post("/api/servers", summary="Host a server", status=HTTPStatus.CREATED)
    async def create(request: web.Request, *, body: NewServerBody) -> ServerAnswer: ...

The parameters ``body`` and ``query`` are read, checked and documented by their annotations; so is the answer. A handler
that must set cookies or stream returns a response itself and names its model with ``answer=``.
"""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypedDict, Unpack

from aiohttp import hdrs, web
from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from appliance.web.keys import CSRF_HEADER, SESSION_COOKIE
from appliance.web.problems import MEDIA_TYPE
from appliance.web.requests import Access, json_answer, parse_body, parse_query

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
TEXT = "text/plain"

#: aiohttp's ``{name}`` or ``{name:pattern}``; the only patterns in use are of digits.
_PARAMETER = re.compile(r"{(\w+)(:(?:[^{}]|{[^{}]*})*)?}")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Declared = Callable[..., Awaitable[BaseModel | web.StreamResponse | None]]


class FieldProblem(BaseModel):
    """One field that is wrong."""

    field: str = Field(description="Path of the field, such as `environment.KEY`.")
    message: str


class ProblemAnswer(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(description="`urn:mcp-host:problem:` and the code.")
    title: str = Field(description="The status in words.")
    status: int
    code: str = Field(description="Stable; match this, texts may change.")
    detail: str = Field(description="What is wrong.")
    request_id: str = Field(description="Finds the request in the hub's log.")
    hint: str = Field(
        "", description="What to do next; absent when the detail says it."
    )
    errors: list[FieldProblem] = Field(
        [], description="The fields that are wrong; absent when none is."
    )
    output: list[str] = Field(
        [], description="The last lines of what failed; absent when there are none."
    )


@dataclass(frozen=True, eq=False)
class Operation:
    """One described route."""

    method: str
    path: str
    tag: str
    name: str
    summary: str
    description: str
    access: Access
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    answer: type[BaseModel] | None
    status: HTTPStatus
    content: str
    errors: tuple[HTTPStatus, ...]
    #: Answers that are neither the good one nor a problem.
    others: Mapping[HTTPStatus, type[BaseModel]]
    #: Names between braces in the path, and their JSON types.
    path_parameters: Mapping[str, str]


class Spec(TypedDict, total=False):
    """What a declaration may say besides its path."""

    summary: str
    access: Access
    status: HTTPStatus
    answer: type[BaseModel]
    content: str
    errors: tuple[HTTPStatus, ...]
    others: Mapping[HTTPStatus, type[BaseModel]]


class Routes:
    """The routes of one noun.

    Args:
        tag: The noun; the document groups by it.
    """

    def __init__(self, tag: str) -> None:
        """Start without routes."""
        self.tag = tag
        self.definitions: list[web.RouteDef] = []

    def get(self, path: str, **spec: Unpack[Spec]) -> Callable[[Declared], Handler]:
        """Declare a reading route."""
        return self._declare(hdrs.METH_GET, path, spec)

    def post(self, path: str, **spec: Unpack[Spec]) -> Callable[[Declared], Handler]:
        """Declare a writing route."""
        return self._declare(hdrs.METH_POST, path, spec)

    def put(self, path: str, **spec: Unpack[Spec]) -> Callable[[Declared], Handler]:
        """Declare a replacing route."""
        return self._declare(hdrs.METH_PUT, path, spec)

    def delete(self, path: str, **spec: Unpack[Spec]) -> Callable[[Declared], Handler]:
        """Declare a removing route."""
        return self._declare(hdrs.METH_DELETE, path, spec)

    def _declare(
        self, method: str, path: str, spec: Spec
    ) -> Callable[[Declared], Handler]:
        def declare(function: Declared) -> Handler:
            operation = _operation(method, path, self.tag, spec, function)
            handler = _handler(operation, function)
            self.definitions.append(web.RouteDef(method, path, handler, {}))
            return handler

        return declare


def _operation(  # noqa: PLR0917 - one declaration, taken apart
    method: str, path: str, tag: str, spec: Spec, function: Declared
) -> Operation:
    signature = inspect.signature(function, eval_str=True)
    annotations = {name: item.annotation for name, item in signature.parameters.items()}
    returned = signature.return_annotation
    answer = (
        returned
        if inspect.isclass(returned) and issubclass(returned, BaseModel)
        else None
    )
    return Operation(
        method=method,
        path=_PARAMETER.sub(r"{\1}", path),
        tag=tag,
        name=f"{tag}_{function.__name__}".replace("-", "_"),
        summary=spec["summary"],
        description=inspect.getdoc(function) or "",
        access=spec.get("access", Access.USER),
        body=annotations.get("body"),
        query=annotations.get("query"),
        answer=spec.get("answer", answer),
        status=spec.get(
            "status", HTTPStatus.OK if returned is not None else HTTPStatus.NO_CONTENT
        ),
        content=spec.get("content", JSON),
        errors=spec.get("errors", ()),
        others=spec.get("others", {}),
        path_parameters={
            name: "integer" if pattern else "string"
            for name, pattern in _PARAMETER.findall(path)
        },
    )


def _handler(operation: Operation, function: Declared) -> Handler:
    @functools.wraps(function)
    async def handle(request: web.Request) -> web.StreamResponse:
        arguments: dict[str, BaseModel] = {}
        if operation.query is not None:
            arguments["query"] = parse_query(request, operation.query)
        if operation.body is not None:
            arguments["body"] = await parse_body(request, operation.body)
        answer = await function(request, **arguments)
        if isinstance(answer, web.StreamResponse):
            return answer
        if answer is None:
            return web.Response(status=operation.status)
        return json_answer(answer, status=operation.status)

    handle.__operation__ = operation  # type: ignore[attr-defined]  # read by ``operations``
    handle.__access__ = operation.access  # type: ignore[attr-defined]  # read by the authentication middleware
    return handle


def operations(app: web.Application) -> list[Operation]:
    """Return every described route of ``app``, in the order of their addition."""
    found = (
        getattr(route.handler, "__operation__", None) for route in app.router.routes()
    )
    # GET routes answer HEAD too, which aiohttp lists as a route of its own.
    return list(dict.fromkeys(item for item in found if item is not None))


def document(described: Iterable[Operation], *, version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    described = list(described)
    schemas, definitions = models_json_schema(
        sorted(_models(described), key=lambda item: (item[0].__name__, item[1])),
        ref_template="#/components/schemas/{model}",
    )
    components = definitions.get("$defs", {})
    # Of a query only the properties are shown, one parameter each.
    queries = {
        model: components.pop(model.__name__)
        for model in {item.query for item in described}
        if model is not None
    }
    paths: dict[str, dict[str, Any]] = {}
    for item in described:
        query = queries[item.query] if item.query else {}
        shown = _describe(item, schemas, query)
        paths.setdefault(item.path, {})[item.method.lower()] = shown
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MCP Host",
            "version": version,
            "description": "Turns an MCP server, wherever it lives, into an endpoint that any MCP client can use.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, `mcph_…`.",
                },
                "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
            },
        },
    }


_Models = set[tuple[type[BaseModel], JsonSchemaMode]]
_Schemas = Mapping[Any, dict[str, Any]]


def _models(described: list[Operation]) -> _Models:
    found: _Models = {(ProblemAnswer, "serialization")}
    for item in described:
        if item.body is not None:
            found.add((item.body, "validation"))
        if item.query is not None:
            found.add((item.query, "validation"))
        if item.answer is not None:
            found.add((item.answer, "serialization"))
        found |= {(model, "serialization") for model in item.others.values()}
    return found


def _describe(
    item: Operation, schemas: _Schemas, query: Mapping[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": item.name,
        "tags": [item.tag],
        "summary": item.summary,
        "description": item.description,
        "security": []
        if item.access is Access.PUBLIC
        else [{"apiKey": []}, {"session": []}],
        "parameters": _parameters(item, query),
        "responses": _responses(item, schemas),
    }
    if item.access is Access.ADMIN:
        found["x-role"] = "admin"
    if item.body is not None:
        schema = schemas[item.body, "validation"]
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    return found


def _parameters(item: Operation, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": kind}}
        for name, kind in item.path_parameters.items()
    ]
    for name, details in query.get("properties", {}).items():
        required = name in query.get("required", [])
        found.append(
            {"name": name, "in": "query", "required": required, "schema": details}
        )
    if item.content == EVENT_STREAM:
        found.append({"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"},
                      "description": "Go on after this event."})  # fmt: skip
    if item.method != hdrs.METH_GET and item.access is not Access.PUBLIC:
        found.append({"name": CSRF_HEADER, "in": "header", "schema": {"type": "string"},
                      "description": "Required with a session cookie, not with an API key."})  # fmt: skip
    return found


def _responses(item: Operation, schemas: _Schemas) -> dict[str, Any]:
    good: dict[str, Any] = {"description": item.status.phrase}
    if item.answer is not None:
        good["content"] = {
            item.content: {"schema": schemas[item.answer, "serialization"]}
        }
    elif item.status is not HTTPStatus.NO_CONTENT:
        good["content"] = {item.content: {"schema": {"type": "string"}}}
    found = {str(item.status.value): good}
    problem = {MEDIA_TYPE: {"schema": schemas[ProblemAnswer, "serialization"]}}
    for status in sorted(_refusals(item)):
        found[str(status.value)] = {"description": status.phrase, "content": problem}
    for status, model in item.others.items():
        content = {JSON: {"schema": schemas[model, "serialization"]}}
        found[str(status.value)] = {"description": status.phrase, "content": content}
    return found


def _refusals(item: Operation) -> set[HTTPStatus]:
    found = {HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE, *item.errors}
    if item.access is not Access.PUBLIC:
        found.add(HTTPStatus.UNAUTHORIZED)
    if item.method != hdrs.METH_GET or item.access is Access.ADMIN:
        found.add(HTTPStatus.FORBIDDEN)
    if item.path_parameters:
        found.add(HTTPStatus.NOT_FOUND)
    if item.query is not None or item.body is not None:
        found.add(HTTPStatus.UNPROCESSABLE_ENTITY)
    if item.body is not None:
        found |= {
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        }
    return found
