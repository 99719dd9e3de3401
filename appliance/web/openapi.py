"""The OpenAPI 3.1 document, from the routes' own declarations."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs
from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from appliance.web.doors import UNCOUNTED
from appliance.web.keys import (
    CSRF_HEADER,
    SESSION_COOKIE,
    WEBHOOK_SECRET_HEADER,
    WEBHOOK_SIGNATURE_HEADER,
)
from appliance.web.problems import MEDIA_TYPE
from appliance.web.requests import OWN_DOORS, Access
from appliance.web.routes import EVENT_STREAM, JSON, Operation
from appliance.web.schema_names import REF, renamed, short_names

BYTES = "application/octet-stream"


class FieldProblem(BaseModel):
    """One field that is wrong."""

    field: str = Field(description="Path of the field, such as `environment.KEY`.")
    message: str


class EventAnswer(BaseModel):
    """One event of a stream; a stream has any number of them."""

    event: str = Field(description="What happened: the kind of the event.")
    data: str = Field(description="More of it, mostly as JSON.")
    id: str = Field(
        "",
        description="Send it as `Last-Event-ID` to go on after it; absent where one cannot.",
    )


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


def document(described: Iterable[Operation], *, version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    described = list(described)
    schemas, definitions = models_json_schema(
        sorted(_models(described), key=lambda item: (item[0].__name__, item[1])),
        ref_template=REF + "{model}",
    )
    found = definitions.get("$defs", {})
    names = short_names(found)
    components = {names[name]: renamed(found[name], names) for name in found}
    schemas = {key: renamed(schema, names) for key, schema in schemas.items()}
    _let_repeat(components)
    # Of a query only the properties are shown, one parameter each.
    queries = {
        model: components.pop(schemas[model, "validation"]["$ref"].removeprefix(REF))
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
                "webhookSecret": {
                    "type": "apiKey",
                    "in": "header",
                    "name": WEBHOOK_SECRET_HEADER,
                },
                "oauthClient": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Id and secret of an OAuth client; or in the form, or signed.",
                },
                "webhookSignature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": WEBHOOK_SIGNATURE_HEADER,
                    "description": "`sha256=` and the HMAC of the body, in hex.",
                },
            },
        },
    }


def _let_repeat(schema: object) -> None:
    """Let what is kept as a set come with something twice, as it may: it counts once."""
    if isinstance(schema, dict):
        schema.pop("uniqueItems", None)
        schema = list(schema.values())
    if isinstance(schema, list):
        for item in schema:
            _let_repeat(item)


#: Of doors that take neither key nor session.
_SECURITY: Mapping[Access, list[dict[str, list[str]]]] = {
    Access.PUBLIC: [],
    Access.SIGNED: [{"webhookSecret": []}, {"webhookSignature": []}],
    # Public clients have no secret.
    Access.PROTOCOL: [{}, {"oauthClient": []}],
}
_Models = set[tuple[type[BaseModel], JsonSchemaMode]]
_Schemas = Mapping[Any, dict[str, Any]]


def _models(described: list[Operation]) -> _Models:
    found: _Models = {
        (ProblemAnswer, "serialization"),
        (EventAnswer, "serialization"),
    }
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
        "security": _SECURITY.get(item.access, [{"apiKey": []}, {"session": []}]),
        "parameters": _parameters(item, query),
        "responses": _responses(item, schemas),
    }
    if item.access is Access.ADMIN:
        found["x-role"] = "admin"
    if item.body is not None:
        schema = schemas[item.body, "validation"]
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    if item.upload:
        file = {"type": "string", "format": "binary"}
        schema = {
            "type": "object",
            "required": [item.upload],
            "properties": {item.upload: file},
        }
        content = {"multipart/form-data": {"schema": schema}}
        found["requestBody"] = {"required": True, "content": content}
    if item.raw:
        schema = {"type": "string", "format": "binary"}
        # A file may be empty, and then nothing comes.
        found["requestBody"] = {"content": {BYTES: {"schema": schema}}}
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
    if item.method != hdrs.METH_GET and item.access not in _SECURITY:
        found.append({"name": CSRF_HEADER, "in": "header", "schema": {"type": "string"},
                      "description": "Required with a session cookie, not with an API key."})  # fmt: skip
    return found


def _responses(item: Operation, schemas: _Schemas) -> dict[str, Any]:
    good: dict[str, Any] = {"description": item.status.phrase}
    if item.answer is not None:
        good["content"] = {
            item.content: {"schema": schemas[item.answer, "serialization"]}
        }
    elif item.content == EVENT_STREAM:
        good["content"] = {
            item.content: {"schema": schemas[EventAnswer, "serialization"]}
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


def _is_counted(item: Operation) -> bool:
    """Return whether it can be asked too often: writes by anybody, everything else by whoever is not signed in."""
    if item.access is Access.PUBLIC or item.access in OWN_DOORS:
        return not item.path.startswith(UNCOUNTED)
    return item.method != hdrs.METH_GET


def _refusals(item: Operation) -> set[HTTPStatus]:
    found = {HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE, *item.errors}
    if item.access is not Access.PUBLIC:
        found.add(HTTPStatus.UNAUTHORIZED)
    # Reading, too, may be more than a narrowed key is for.
    if item.method != hdrs.METH_GET or item.access in {Access.USER, Access.ADMIN}:
        found.add(HTTPStatus.FORBIDDEN)
    if _is_counted(item):
        found.add(HTTPStatus.TOO_MANY_REQUESTS)
    if item.path_parameters:
        found.add(HTTPStatus.NOT_FOUND)
    if item.query is not None or item.body is not None or item.upload:
        found.add(HTTPStatus.UNPROCESSABLE_ENTITY)
    if item.body is not None or item.upload:
        found |= {
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        }
    return found
