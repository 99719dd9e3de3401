"""servers manifest: what a server says of itself, and what changed in it."""

from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, pairs, table

#: Member of a manifest to what it is called, and the member that names an entry.
LISTS = {
    "tools": ("tools", "name"),
    "prompts": ("prompts", "name"),
    "resources": ("resources", "uri"),
    "resourceTemplates": ("resource templates", "uriTemplate"),
}


@click.command()
@click.argument("server")
@click.option("--changes", is_flag=True, help="Show what changed, newest first.")
@json_option
def manifest(server: str, *, changes: bool, as_json: bool) -> None:
    """Show what a server says of itself."""
    path = path_of("servers", server, "manifest")
    found = client().get(f"{path}/changes" if changes else path)
    if as_json:
        emit_json(found)
    elif changes:
        _tell_changes(found["items"])
    elif found["manifest"] is None:
        click.echo("None: the server is not live yet.")
    else:
        _tell(found["manifest"], found["read_at"])


def _tell(told: dict[str, Any], read_at: str | None) -> None:
    info = told.get("serverInfo") or {}
    pairs(
        [
            ("name", info.get("name")),
            ("version", info.get("version")),
            ("protocol", told.get("protocolVersion")),
            ("capabilities", ", ".join(told.get("capabilities") or {})),
            *(
                (title, ", ".join(str(item.get(key, "")) for item in told.get(name) or []))
                for name, (title, key) in LISTS.items()
            ),
            ("not listed", ", ".join(told.get("unread") or [])),
            ("asked", f"{age(read_at)} ago" if read_at else ""),
        ]
    )  # fmt: skip


def _tell_changes(items: list[dict[str, Any]]) -> None:
    table(
        ("when", "deployment", "what", "kind", "name"),
        [
            (f"{age(item['at'])} ago", f"#{item['deployment']}", change["what"], change["kind"], change["name"])
            for item in items
            for change in item["changes"]
        ],
        empty="No changes: it has always said the same.",
    )  # fmt: skip
