"""What members list, made fit to stand beside what others list. Pure.

A client reads a list as a whole: one tool with a schema that is none, and it takes nobody's. So what is wrong with an entry is
taken out of it, and an entry that is wrong itself is left out; what is kept is kept as it was written.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from appliance.gateway.protocol import wire

#: An entry, its values as they were written.
Item = dict[str, Raw]
Check = Callable[[Any], bool]

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_ICON = {"src": str, "mimeType": str, "theme": str}


@dataclass(frozen=True)
class Kind:
    """One kind of list."""

    method: str
    #: In a result, and of a capability.
    key: str
    capability: str
    #: What tells entries apart.
    id_field: str
    needed: Mapping[str, Check]
    optional: Mapping[str, Check]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_schema(value: Any) -> bool:
    """Whether every client reads it as the schema of an object."""
    if not isinstance(value, dict) or value.get("type", "object") != "object":
        return False
    properties, required = value.get("properties", {}), value.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return False
    return all(isinstance(item, dict | bool) for item in properties.values()) and all(
        map(_is_text, required)
    )


def _are_icons(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(icon, dict)
        and "src" in icon
        and all(isinstance(icon.get(key, ""), kind) for key, kind in _ICON.items())
        for icon in value
    )


def _are_hints(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(item, str if key == "title" else bool) for key, item in value.items()
    )


def _is_annotation(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("audience", []) in ([], ["user"], ["assistant"], ["user", "assistant"], ["assistant", "user"])
        and isinstance(value.get("priority", 0), int | float)
        and isinstance(value.get("lastModified", ""), str)
    )  # fmt: skip


def _are_arguments(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict)
        and isinstance(item.get("name"), str)
        and isinstance(item.get("description", ""), str)
        and isinstance(item.get("required", False), bool)
        for item in value
    )


def _is_uri(value: Any) -> bool:
    return isinstance(value, str) and _URI.fullmatch(value) is not None


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_COMMON: dict[str, Check] = {
    "title": _is_text,
    "description": _is_text,
    "icons": _are_icons,
    "_meta": _is_object,
}
_OF_RESOURCES: dict[str, Check] = _COMMON | {
    "mimeType": _is_text,
    "annotations": _is_annotation,
    "size": _is_size,
}
TOOLS = Kind(
    "tools/list", "tools", "tools", "name",
    {"name": _is_text, "inputSchema": _is_schema},
    _COMMON | {"outputSchema": _is_schema, "annotations": _are_hints},
)  # fmt: skip
PROMPTS = Kind(
    "prompts/list", "prompts", "prompts", "name",
    {"name": _is_text},
    _COMMON | {"arguments": _are_arguments},
)  # fmt: skip
RESOURCES = Kind(
    "resources/list", "resources", "resources", "uri",
    {"uri": _is_uri, "name": _is_text},
    _OF_RESOURCES,
)  # fmt: skip
TEMPLATES = Kind(
    "resources/templates/list", "resourceTemplates", "resources", "uriTemplate",
    {"uriTemplate": _is_text, "name": _is_text},
    _OF_RESOURCES,
)  # fmt: skip
KINDS = {kind.method: kind for kind in (TOOLS, PROMPTS, RESOURCES, TEMPLATES)}
#: Means that the gateway does not carry tasks of members.
_NOT_CARRIED = {"execution"}


def clean(kind: Kind, entries: Iterable[Raw]) -> Iterator[tuple[str, Item]]:
    """Yield the usable entries with what tells them apart; of two with the same, the first."""
    seen = set()
    for entry in entries:
        found = _clean(kind, entry)
        if found is not None and found[0] not in seen:
            seen.add(found[0])
            yield found


def _clean(kind: Kind, entry: Raw) -> tuple[str, Item] | None:
    try:
        item = msgspec.json.decode(entry, type=dict[str, Raw])
        values = {key: msgspec.json.decode(value) for key, value in item.items()}
    except (msgspec.DecodeError, RecursionError):
        return None
    if not all(
        key in values and check(values[key]) for key, check in kind.needed.items()
    ):
        return None
    for key, check in kind.optional.items():
        if key in values and not check(values[key]):
            del item[key]
    for key in _NOT_CARRIED & item.keys():
        del item[key]
    for key in {"inputSchema", "outputSchema"} & item.keys():
        item[key] = _plain_schema(item[key], values[key])
    return str(values[kind.id_field]), item


def _plain_schema(raw: Raw, schema: dict[str, Any]) -> Raw:
    """Return a schema in the words that every client knows: a type, and properties that are objects."""
    properties = schema.get("properties", {})
    if "type" in schema and not any(
        isinstance(item, bool) for item in properties.values()
    ):
        return raw
    plain = {
        key: item if isinstance(item, dict) else {} if item else {"not": {}}
        for key, item in properties.items()
    }
    told = {"type": "object"} | schema
    return Raw(
        wire.encode(told | ({"properties": plain} if "properties" in schema else {}))
    )


def described(item: Item, **changes: Any) -> Item:
    """Return ``item`` with some values replaced; ``None`` leaves one as it is."""
    told = {
        key: Raw(wire.encode(value))
        for key, value in changes.items()
        if value is not None
    }
    return item | told


def marked(item: Item, prefix: str) -> Item:
    """Return ``item`` with the member that it comes from in its ``_meta``."""
    meta: dict[str, Any] = msgspec.json.decode(item.get("_meta", Raw(b"{}")))
    return described(item, _meta=meta | {"mcp-host/member": prefix})
