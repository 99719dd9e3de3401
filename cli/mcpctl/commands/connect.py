"""servers connect and servers key, and the same of bundles."""

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.errors import CommandError
from mcpctl.output import emit_json, table


@click.command()
@click.argument("server")
@click.option(
    "--client",
    "wanted",
    default="generic",
    show_default=True,
    help="generic, claude-code, vscode, cursor, …; 'list' shows all.",
)
@click.option(
    "--key", help="Endpoint key to fill in; without it a placeholder stands there."
)
@json_option
def connect(server: str, wanted: str, key: str | None, *, as_json: bool) -> None:
    """Show what to paste into an MCP client."""
    show_configs("servers", server, wanted, key, as_json=as_json)


def show_configs(
    place: str, name: str, wanted: str, key: str | None, *, as_json: bool
) -> None:
    """Print what to paste into a client for the server or bundle ``name``."""
    found = client().get(path_of(place, name, "client-config"))
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


@click.command()
@click.argument("server")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def key(server: str, *, yes: bool, as_json: bool) -> None:
    """Make a new endpoint key; the old one stops working at once."""
    replace_key("servers", server, yes=yes, as_json=as_json)


def replace_key(place: str, name: str, *, yes: bool, as_json: bool) -> None:
    """Make a new key for the server or bundle ``name`` and print it."""
    if not yes:
        click.confirm(
            f"Replace the key of {name}? Its clients need the new one.",
            abort=True,
            err=True,
        )
    made = client().post(path_of(place, name, "key"))
    if as_json:
        emit_json(made)
    else:
        click.echo(made["endpoint_key"])
