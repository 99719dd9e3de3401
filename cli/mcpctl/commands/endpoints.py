"""What servers and bundles share, for each is an endpoint: call a tool, show how clients connect, replace the key."""

import json
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from mcpctl.client import Client, path_of
from mcpctl.commands.common import client, json_option
from mcpctl.errors import CommandError
from mcpctl.output import emit_json, printable_lines, table

F = TypeVar("F", bound=Callable[..., Any])
#: ``servers`` or ``bundles``, and its name.
Place = tuple[str, str]


def _together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Return one decorator for all of ``options``, which help shows in their order."""

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


#: What is called, and how.
call_options: Callable[[F], F] = _together(
    click.argument("tool"),
    click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]…"),
    click.option(
        "--input",
        "raw",
        metavar="JSON",
        help="All arguments as one JSON object; '-': from standard input.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(1, 600),
        default=60.0,
        show_default=True,
        help="Seconds.",
    ),
    json_option,
)
#: Which client connects, and with which key.
connect_options: Callable[[F], F] = _together(
    click.option(
        "--client",
        "wanted",
        default="generic",
        show_default=True,
        help="generic, claude-code, vscode, cursor, …; 'list' shows all.",
    ),
    click.option(
        "--key", help="Endpoint key to fill in; without it a placeholder stands there."
    ),
    json_option,
)


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


def show_configs(place: Place, wanted: str, key: str | None, *, as_json: bool) -> None:
    """Print what to paste into a client."""
    found = client().get(path_of(*place, "client-config"))
    if as_json:
        emit_json(found)
        return
    if wanted == "list":
        rows = [
            (item["client"], item["title"], item["file"]) for item in found["clients"]
        ]
        table(("client", "name", "goes into"), rows, empty="None.")
        return
    chosen = next((item for item in found["clients"] if item["client"] == wanted), None)
    if chosen is None:
        known = ", ".join(item["client"] for item in found["clients"])
        raise CommandError(
            f"There is no snippet for {wanted}.", hint=f"There are: {known}."
        )
    click.echo(f"{chosen['title']}, {chosen['file']}:", err=True)
    if chosen["note"]:
        click.echo(chosen["note"], err=True)
    if key and found["key_placeholder"] not in chosen["text"]:
        click.echo("It asks for the key itself; --key changes nothing.", err=True)
    click.echo(
        chosen["text"].replace(found["key_placeholder"], key) if key else chosen["text"]
    )


def replace_key(place: Place, *, yes: bool, as_json: bool) -> None:
    """Make a new endpoint key and print it."""
    if not yes:
        click.confirm(
            f"Replace the key of {place[1]}? Its clients need the new one.",
            abort=True,
            err=True,
        )
    made = client().post(path_of(*place, "key"))
    if as_json:
        emit_json(made)
    else:
        click.echo(made["endpoint_key"])


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
