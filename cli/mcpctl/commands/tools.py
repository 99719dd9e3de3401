"""servers tools and servers call."""

from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.commands.endpoints import call_options, given_arguments, show_call
from mcpctl.output import emit_json, table


@click.command()
@click.argument("server")
@json_option
def tools(server: str, *, as_json: bool) -> None:
    """Show what a server can do."""
    found = client().get(path_of("servers", server, "tools"))
    if as_json:
        emit_json(found)
        return
    table(
        ("tool", "arguments", "what it does"),
        [
            (
                item["name"],
                _arguments(item["input_schema"]),
                _first_line(item["description"]),
            )
            for item in found["items"]
        ],
        empty="No tools: the server has none, or is not live yet.",
    )


def _arguments(schema: dict[str, Any]) -> str:
    required = schema.get("required") or []
    names = schema.get("properties") or {}
    return " ".join(name if name in required else f"[{name}]" for name in names)


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0][:80]


@click.command()
@click.argument("server")
@call_options
def call(  # noqa: PLR0917 - click passes what the command line holds
    server: str,
    tool: str,
    arguments: tuple[str, ...],
    raw: str | None,
    timeout: float,
    *,
    as_json: bool,
) -> None:
    """Call a tool through the gateway and print its answer; exit code 1 when the tool failed."""
    place = ("servers", server)
    given = given_arguments(place, tool, arguments, raw)
    show_call(place, tool, given, timeout, as_json=as_json)
