"""servers lock, servers set: what a package took, and what a server still needs."""

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.commands.servers import tell
from mcpctl.output import emit_json
from mcpctl.watch import wait_until_settled


@click.command()
@click.argument("server")
@json_option
def lock(server: str, *, as_json: bool) -> None:
    """Print what a package took, by version and hash: a requirements.txt or a package-lock.json."""
    found = client().get(path_of("servers", server, "lock"))
    if as_json:
        emit_json(found)
    else:
        click.echo(found["content"], nl=False)


@click.command("set")
@click.argument("server")
@click.argument("settings", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option(
    "--wait", is_flag=True, help="Show the build and wait until the server runs."
)
@json_option
def set_(server: str, settings: tuple[str, ...], *, wait: bool, as_json: bool) -> None:
    """Add settings to a server's environment and redeploy it; 'servers show' names those that it lacks."""
    given = {}
    for item in settings:
        name, equals, value = item.partition("=")
        if not equals:
            raise click.UsageError(f"{item!r} is not NAME=VALUE.")
        given[name] = value
    hub = client()
    found = hub.post(path_of("servers", server, "settings"), {"settings": given})
    if wait:
        found = wait_until_settled(hub, found, quiet=as_json)
    tell(found, as_json=as_json)
