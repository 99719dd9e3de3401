"""What a tool answered, as parts that a page can show. Pure.

The answer comes from the hosted server and is data of a stranger: images are shown only in formats that carry no script, and
everything else is text.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

_IMAGES = {"image/png", "image/jpeg", "image/gif", "image/webp"}
_LINKS = ("https://", "http://")


@dataclass(frozen=True)
class Part:
    """One piece of an answer."""

    kind: Literal["text", "json", "image", "link", "other"]
    #: The text, the indented JSON, the image's ``data:`` address, the link's address, or what there is instead.
    body: str
    label: str = ""


@dataclass(frozen=True)
class Answer:
    """A whole answer; ``is_error`` says that the tool itself reports a failure."""

    parts: tuple[Part, ...]
    is_error: bool


def answer_of(result: Mapping[str, Any]) -> Answer:
    """Return how an MCP ``tools/call`` result is shown; structured content only where the text does not say it already."""
    content = result.get("content")
    parts = [_part(item) for item in content] if isinstance(content, list) else []
    structured = result.get("structuredContent")
    if structured is not None:
        shown = Part("json", _pretty(structured), "Structured content")
        if not any(part.body == shown.body for part in parts):
            parts.append(shown)
    return Answer(tuple(parts), bool(result.get("isError")))


def _part(item: Any) -> Part:
    if not isinstance(item, Mapping):
        return Part("json", _pretty(item))
    match item.get("type"):
        case "text":
            return text_part(str(item.get("text", "")))
        case "image":
            return _image(item)
        case "resource_link":
            return _link(item)
        case "resource":
            return _resource(item.get("resource"))
        case kind:
            return Part(
                "other",
                f"{kind or 'Something'} that this page cannot show: {item.get('mimeType', '')}".rstrip(
                    ": "
                ),
            )


def text_part(text: str, label: str = "") -> Part:
    """Return ``text``, indented when it is a JSON object or list."""
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return Part("json", _pretty(json.loads(text)), label)
        except (json.JSONDecodeError, RecursionError):
            return Part("text", text, label)
    return Part("text", text, label)


def _image(item: Mapping[str, Any]) -> Part:
    media_type = str(item.get("mimeType", ""))
    if media_type not in _IMAGES:
        return Part(
            "other",
            f"An image of type {media_type or 'unknown'}, which this page does not show.",
        )
    return Part("image", f"data:{media_type};base64,{item.get('data', '')}", media_type)


def _link(item: Mapping[str, Any]) -> Part:
    address = str(item.get("uri", ""))
    return Part(
        "link" if address.startswith(_LINKS) else "text",
        address,
        str(item.get("name", "")),
    )


def _resource(resource: Any) -> Part:
    if not isinstance(resource, Mapping):
        return Part("other", "A resource without content.")
    address = str(resource.get("uri", ""))
    if "text" in resource:
        return text_part(str(resource["text"]), address)
    return Part(
        "other",
        f"Binary content of type {resource.get('mimeType', 'unknown')}.",
        address,
    )


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
