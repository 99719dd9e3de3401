"""servers connect and servers key."""

import click

from mcpctl.commands.common import json_option
from mcpctl.commands.endpoints import connect_options, replace_key, show_configs


@click.command()
@click.argument("server")
@connect_options
def connect(server: str, wanted: str, key: str | None, *, as_json: bool) -> None:
    """Show what to paste into an MCP client."""
    show_configs(("servers", server), wanted, key, as_json=as_json)


@click.command()
@click.argument("server")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def key(server: str, *, yes: bool, as_json: bool) -> None:
    """Make a new endpoint key; the old one stops working at once."""
    replace_key(("servers", server), yes=yes, as_json=as_json)
