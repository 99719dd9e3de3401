"""servers tools and servers call; what bundles share of them."""

import json
import sys
from typing import Any

import click

from mcpctl.client import Client, path_of
from mcpctl.commands.common import client, json_option
from mcpctl.errors import CommandError
from mcpctl.output import emit_json, printable_lines, table

#: ``servers`` or ``bundles``, and its name.
Place = tuple[str, str]


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
@click.argument("tool")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]…")
@click.option(
    "--input",
    "raw",
    metavar="JSON",
    help="All arguments as one JSON object; '-': from standard input.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1, 600),
    default=60.0,
    show_default=True,
    help="Seconds.",
)
@json_option
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
    given = given_arguments(("servers", server), tool, arguments, raw)
    show_call(("servers", server), tool, given, timeout, as_json=as_json)


def given_arguments(
    place: Place, tool: str, arguments: tuple[str, ...], raw: str | None
) -> dict[str, Any]:
    """Return a call's arguments: all of them as JSON, or each as the tool's schema asks."""
    if raw is not None:
        return _parse(sys.stdin.read() if raw == "-" else raw)
    return _given(client(), place, tool, arguments)


def show_call(
    place: Place, tool: str, given: dict[str, Any], timeout: float, *, as_json: bool
) -> None:
    """Call a tool and print its answer.

    Raises:
        CommandError: The tool failed.
    """
    hub = client()
    body = {"tool": tool, "arguments": given, "timeout_s": timeout}
    path = path_of(*place, "invoke")
    # The hub tells of its own time-out a little after the call's.
    answer = hub.send("POST", path, body, timeout_s=timeout + 15).json()
    if as_json:
        emit_json(answer)
    else:
        _print(answer["result"])
    if answer["result"].get("isError"):
        raise CommandError(f"{tool} failed.")


def _given(
    hub: Client, place: Place, tool: str, arguments: tuple[str, ...]
) -> dict[str, Any]:
    if not arguments:
        return {}
    listed = hub.get(path_of(*place, "tools"))["items"]
    schema: dict[str, Any] = next(
        (item["input_schema"] for item in listed if item["name"] == tool), {}
    )
    properties = schema.get("properties") or {}
    found: dict[str, Any] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            raise click.UsageError(f"{argument!r} is not NAME=VALUE.")
        found[name] = _typed(value, properties.get(name, {}))
    return found


def _typed(value: str, schema: dict[str, Any]) -> Any:
    """Return ``value`` as its schema wants it: text stays text, anything else is read as JSON."""
    if schema.get("type") in (None, "string"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value  # the server says best what it wants instead


def _parse(raw: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError as error:
        raise click.UsageError(f"--input is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise click.UsageError("--input must be a JSON object.")
    return found


def _print(result: dict[str, Any]) -> None:
    for item in result.get("content") or []:
        if item.get("type") == "text":
            for line in printable_lines(item.get("text", "")):
                click.echo(line)
        else:
            kind = item.get("mimeType") or item.get("uri") or ""
            click.echo(f"[{item.get('type', 'content')} {kind}]".replace(" ]", "]"))
    if not result.get("content") and result.get("structuredContent") is not None:
        emit_json(result["structuredContent"])
