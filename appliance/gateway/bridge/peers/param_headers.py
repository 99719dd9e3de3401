"""Arguments of a tool that its server wants to see in headers too, marked ``x-mcp-header`` in its schema. Pure."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from appliance.gateway.protocol.header_values import header_text

_MARK = "x-mcp-header"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PRIMITIVE = {"string", "integer", "boolean"}
#: Keywords of JSON Schema below which there are schemas again; data (``default``, ``enum``, ``examples``) is none.
_ONE = (
    "items",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "not",
    "if",
    "then",
    "else",
    "contentSchema",
)
_MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("patternProperties", "dependentSchemas", "$defs", "definitions")

#: The path of an argument to the last part of its header's name.
Marks = Mapping[tuple[str, ...], str]


class BadMarkError(Exception):
    """A tool's schema marks what must not be marked; the tool cannot be offered over HTTP."""


def marks_of(schema: object) -> Marks:
    """Return which arguments ``schema`` wants in headers.

    Raises:
        BadMarkError: A mark breaks the rules.
    """
    found: dict[tuple[str, ...], str] = {}
    for path, part in _parts(schema):
        if _MARK not in part:
            continue
        name = part[_MARK]
        if not path:
            raise BadMarkError(f"{_MARK} where no argument is reached by its name")
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise BadMarkError(f"{_MARK} of {path[-1]} is not a header's name")
        if part.get("type") not in _PRIMITIVE:
            raise BadMarkError(f"{path[-1]} is not a string, an integer or a boolean")
        if name.lower() in {other.lower() for other in found.values()}:
            raise BadMarkError(f"{_MARK} {name} is given twice")
        found[path] = name
    return found


def headers_of(marks: Marks, arguments: object) -> list[tuple[str, str]]:
    """Return the headers of a call with ``arguments``."""
    found = []
    for path, name in marks.items():
        text = _text(_at(arguments, path))
        if text is not None:
            found.append((f"Mcp-Param-{name}", header_text(text)))
    return found


def _parts(root: object) -> Iterator[tuple[tuple[str, ...] | None, dict[str, Any]]]:
    """Yield every schema in ``root``, with its path where it is reached by ``properties`` alone."""
    waiting: list[tuple[tuple[str, ...] | None, object]] = [((), root)]
    while waiting:
        path, part = waiting.pop()
        if not isinstance(part, dict):
            continue
        yield path, part
        for keyword, value in part.items():
            waiting += _below(path, keyword, value)


def _below(
    path: tuple[str, ...] | None, keyword: str, value: object
) -> list[tuple[tuple[str, ...] | None, object]]:
    if keyword == "properties" and isinstance(value, dict):
        return [
            (None if path is None else (*path, name), part)
            for name, part in value.items()
        ]
    if keyword in _ONE:
        return [(None, value)]
    if keyword in _MANY and isinstance(value, list):
        return [(None, part) for part in value]
    if keyword in _NAMED and isinstance(value, dict):
        return [(None, part) for part in value.values()]
    return []


def _at(value: object, path: tuple[str, ...]) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        with contextlib.suppress(ValueError):  # a number of thousands of digits
            return str(value)
    return None
