"""From a tool's input schema to a form, and from what was filled in to arguments. Pure.

The schema comes from the hosted server: it is data of a stranger. Whatever it says, a form comes out; what no control can
show (objects, lists of objects, unions) is asked for as JSON.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from appliance.core.errors import InvalidError

Kind = Literal[
    "text", "long", "integer", "number", "boolean", "choice", "lines", "json"
]

#: Prefix of the controls' names, so that a tool's argument cannot collide with the form's own fields.
PREFIX = "a."
_MAX_REFS = 8
_HINTS: dict[Kind, str] = {
    "text": "text",
    "long": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "choice": "one of a list",
    "lines": "a list, one item a line",
    "json": "JSON",
}
#: Characters beyond which a default does not fit a line, and a limit means more than one.
_LINE, _LINES = 60, 500
#: Arguments of these names are usually prose or code.
_PROSE = {
    "body",
    "code",
    "content",
    "contents",
    "markdown",
    "message",
    "prompt",
    "script",
    "sql",
    "text",
}
_SCALARS = {"string", "integer", "number"}


@dataclass(frozen=True)
class Field:
    """One control of a tool's form."""

    name: str
    kind: Kind
    required: bool
    label: str
    description: str
    #: What the control shows at first; empty: nothing.
    default: str
    choices: tuple[str, ...] = ()
    #: Attributes that let the browser check the value too.
    limits: tuple[tuple[str, str], ...] = ()

    @property
    def control(self) -> str:
        """The control's name in the form."""
        return PREFIX + self.name

    @property
    def options(self) -> tuple[str, ...]:
        """What a list of choices offers."""
        return ("true", "false") if self.kind == "boolean" else self.choices

    @property
    def hint(self) -> str:
        """What to type, in a few words."""
        kind = _HINTS[self.kind]
        return ", ".join(filter(None, [kind, "required" if self.required else ""]))


def fields_of(schema: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return the form's controls in the schema's order, required ones first."""
    found = [_field(name, spec, schema) for name, spec in _properties(schema).items()]
    return tuple(sorted(found, key=lambda field: not field.required))


def read_arguments(
    schema: Mapping[str, Any], form: Mapping[str, str]
) -> dict[str, Any]:
    """Return the arguments that a filled form means; a control left empty is left out.

    Raises:
        InvalidError: Names every control whose value cannot be read, by the argument's name.
    """
    arguments: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field in fields_of(schema):
        raw = form.get(field.control, "")
        if not raw.strip():
            if field.required:
                problems[field.name] = "give a value; the tool requires one"
            continue
        try:
            arguments[field.name] = _value(
                field, raw, _resolve(_properties(schema)[field.name], schema)
            )
        except ValueError as error:
            problems[field.name] = str(error)
    if problems:
        raise InvalidError("Some arguments cannot be read.", fields=problems)
    return arguments


def _properties(schema: Mapping[str, Any]) -> dict[str, Any]:
    found = schema.get("properties")
    return (
        {str(name): spec for name, spec in found.items()}
        if isinstance(found, Mapping)
        else {}
    )


def _field(name: str, spec: Any, schema: Mapping[str, Any]) -> Field:
    spec = _resolve(spec, schema)
    required = schema.get("required")
    kind = _kind(name, spec)
    default = spec.get("default")
    return Field(
        name=name,
        kind=kind,
        required=isinstance(required, list) and name in required,
        label=name,
        description=str(spec.get("description") or ""),
        default="" if default is None else _as_text(kind, default),
        choices=_choices(spec) if kind == "choice" else (),
        limits=_limits(kind, spec),
    )


def _resolve(spec: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Follow local references, and take ``X | null`` as an ``X`` that may be left out."""
    found: dict[str, Any] = dict(spec) if isinstance(spec, Mapping) else {}
    for _ in range(_MAX_REFS):
        if isinstance(reference := found.get("$ref"), str):
            found = _look_up(schema, reference) | {
                key: value for key, value in found.items() if key != "$ref"
            }
            continue
        options = found.get("anyOf") or found.get("oneOf")
        real = (
            [item for item in options if not _is_null(item)]
            if isinstance(options, list)
            else []
        )
        if len(real) != 1 or not isinstance(real[0], Mapping):
            break
        rest = {
            key: value for key, value in found.items() if key not in {"anyOf", "oneOf"}
        }
        found = dict(real[0]) | rest
    return found


def _look_up(schema: Mapping[str, Any], reference: str) -> dict[str, Any]:
    place: Any = schema
    for step in reference.removeprefix("#/").split("/"):
        place = place.get(step) if isinstance(place, Mapping) else None
    return dict(place) if isinstance(place, Mapping) else {}


def _is_null(spec: Any) -> bool:
    return isinstance(spec, Mapping) and spec.get("type") == "null"


def _type(spec: Mapping[str, Any]) -> str:
    found = spec.get("type")
    if isinstance(found, list):
        names = [name for name in found if name != "null"]
        found = names[0] if len(names) == 1 else None
    return found if isinstance(found, str) else ""


def _kind(name: str, spec: Mapping[str, Any]) -> Kind:
    if isinstance(spec.get("enum"), list) or "const" in spec:
        return "choice"
    match _type(spec):
        case "integer":
            return "integer"
        case "number":
            return "number"
        case "boolean":
            return "boolean"
        case "array":
            items = spec.get("items")
            plain = isinstance(items, Mapping) and _type(items) in _SCALARS
            return "lines" if plain else "json"
        case "string":
            return "long" if _wants_room(name, spec) else "text"
        case _:
            return "json"


def _wants_room(name: str, spec: Mapping[str, Any]) -> bool:
    """Return whether a text may well have several lines, by its default, its limit or its name."""
    default, longest = spec.get("default"), spec.get("maxLength")
    if isinstance(default, str) and ("\n" in default or len(default) > _LINE):
        return True
    return (isinstance(longest, int) and longest > _LINES) or name.lower() in _PROSE


def _choices(spec: Mapping[str, Any]) -> tuple[str, ...]:
    values = spec["enum"] if isinstance(spec.get("enum"), list) else [spec.get("const")]
    return tuple(_choice_text(value) for value in values)


def _choice_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _as_text(kind: Kind, value: Any) -> str:
    if kind == "lines" and isinstance(value, list):
        return "\n".join(_choice_text(item) for item in value)
    if kind == "json":
        return json.dumps(value, indent=2, ensure_ascii=False)
    return _choice_text(value)


def _limits(kind: Kind, spec: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    names = (
        {"minimum": "min", "maximum": "max"} if kind in {"integer", "number"} else {}
    )
    if kind in {"text", "long"}:
        names = {"minLength": "minlength", "maxLength": "maxlength"}
    found = [
        (html, str(spec[key]))
        for key, html in names.items()
        if _is_number(spec.get(key))
    ]
    if kind == "number":
        found.append(("step", "any"))
    return tuple(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _value(field: Field, raw: str, spec: Mapping[str, Any]) -> Any:
    match field.kind:
        case "integer" | "number":
            return _number(raw, whole=field.kind == "integer")
        case "boolean":
            return _boolean(raw)
        case "choice":
            return _choice(raw, spec)
        case "lines":
            lines = [line.strip() for line in raw.splitlines() if line.strip()]
            item = _type(spec["items"])
            return (
                lines
                if item == "string"
                else [_number(line, whole=item == "integer") for line in lines]
            )
        case "json":
            return _json(raw)
        case "text" | "long":
            return raw


def _number(raw: str, *, whole: bool) -> int | float:
    kind = "a whole number, such as 5" if whole else "a number, such as 0.5"
    try:
        found = int(raw) if whole else float(raw)
    except ValueError:
        raise ValueError(f"give {kind}") from None
    if isinstance(found, float) and not math.isfinite(found):
        raise ValueError(f"give {kind}")
    return found


def _boolean(raw: str) -> bool:
    if raw not in {"true", "false"}:
        raise ValueError("choose true or false")
    return raw == "true"


def _choice(raw: str, spec: Mapping[str, Any]) -> Any:
    values = spec["enum"] if isinstance(spec.get("enum"), list) else [spec.get("const")]
    for value in values:
        if _choice_text(value) == raw:
            return value
    raise ValueError("choose one of the values that the tool lists")


def _json(raw: str) -> Any:
    try:
        return json.loads(raw)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"this is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise ValueError("this JSON is nested too deeply") from None
