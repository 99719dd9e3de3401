"""The API's routes: what is not described cannot be added.

    routes = Routes("servers")

    @routes.post("/api/servers", summary="Host a server", status=HTTPStatus.CREATED)
    async def create(request: web.Request, *, body: NewServerBody) -> ServerAnswer: ...

The parameters ``body`` and ``query`` are read, checked and documented by their annotations; so is the answer. A handler
that must set cookies or stream returns a response itself and names its model with ``answer=``. ``openapi.py`` makes the
document of it.
"""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypedDict, Unpack

from aiohttp import hdrs, web
from pydantic import BaseModel

from appliance.web.parsing import json_answer, parse_body, parse_query
from appliance.web.requests import Access

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
TEXT = "text/plain"

#: aiohttp's ``{name}`` or ``{name:pattern}``; the only other patterns in use are of digits.
ANYTHING = frozenset({"", ":.+"})
_PARAMETER = re.compile(r"{(\w+)(:(?:[^{}]|{[^{}]*})*)?}")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Declared = Callable[..., Awaitable[BaseModel | web.StreamResponse | None]]


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
    #: Name of the file that comes as multipart/form-data; empty: none does.
    upload: str
    #: Whether a file comes as the body itself.
    raw: bool
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
    upload: str
    raw: bool
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

    def patch(self, path: str, **spec: Unpack[Spec]) -> Callable[[Declared], Handler]:
        """Declare a route that changes what is given and leaves the rest."""
        return self._declare(hdrs.METH_PATCH, path, spec)

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
        upload=spec.get("upload", ""),
        raw=spec.get("raw", False),
        others=spec.get("others", {}),
        path_parameters={
            name: "string" if pattern in ANYTHING else "integer"
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
