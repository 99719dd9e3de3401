"""The tools of a live deployment as forms. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.core.errors import InvalidError
from appliance.servers.model import Deployment
from appliance.web.schema_form import Field, fields_of, read_arguments


@dataclass(frozen=True)
class ToolForm:
    """One tool and the controls of its form."""

    name: str
    description: str
    schema: Mapping[str, Any]
    fields: tuple[Field, ...]


def tools_of(live: Deployment | None) -> list[ToolForm]:
    """Return the tools that the live deployment's manifest lists; none before one is live."""
    manifest = live.manifest if live and live.manifest else {}
    return [
        _form(tool)
        for tool in manifest.get("tools") or []
        if isinstance(tool, dict) and tool.get("name")
    ]


def arguments_of(
    form: Mapping[str, str], tools: Iterable[ToolForm], owner: str
) -> dict[str, Any]:
    """Return the arguments that a filled form means for the one of ``tools`` that it names.

    Raises:
        InvalidError: ``owner`` (``server`` or ``bundle``) has no such tool, or a field holds what it cannot.
    """
    name = form.get("tool", "")
    tool = next((item for item in tools if item.name == name), None)
    if tool is None:
        raise InvalidError.field(
            "tool", f"this {owner} has no tool of that name; reload the page"
        )
    return read_arguments(tool.schema, form)


def _form(tool: Mapping[str, Any]) -> ToolForm:
    schema = tool.get("inputSchema")
    checked = schema if isinstance(schema, Mapping) else {}
    return ToolForm(
        str(tool["name"]),
        str(tool.get("description") or ""),
        checked,
        fields_of(checked),
    )
