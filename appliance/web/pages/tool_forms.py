"""The tools of a live deployment as forms. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.servers.model import Deployment
from appliance.web.schema_form import Field, fields_of


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


def _form(tool: Mapping[str, Any]) -> ToolForm:
    schema = tool.get("inputSchema")
    checked = schema if isinstance(schema, Mapping) else {}
    return ToolForm(
        str(tool["name"]),
        str(tool.get("description") or ""),
        checked,
        fields_of(checked),
    )
