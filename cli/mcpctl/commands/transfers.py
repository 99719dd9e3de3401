"""servers transfer and bundles transfer: giving something to somebody else."""

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import emit_json


def _body(org: str | None, user: str) -> dict[str, str]:
    if org and user:
        raise click.UsageError("Give either --org or --user.")
    return {"org": org} if org else {"user": user}


def _give(kind: str, name: str, org: str | None, user: str, *, as_json: bool) -> None:
    done = client().post(path_of(kind, name, "transfer"), _body(org, user))
    if as_json:
        emit_json(done)
        return
    before, after = done["before"], done["after"]
    option = "--org" if before["org_id"] else "--user"
    click.echo(f"{name} belongs to {after['name']}.")
    click.echo(
        f"To undo: mcpctl {kind} transfer {name} {option} {before['name']}", err=True
    )


@click.command("transfer")
@click.argument("server")
@click.option("--org", help="To this organisation.")
@click.option("--user", default="", help="To this person; absent: to you.")
@json_option
def server(server: str, org: str | None, user: str, *, as_json: bool) -> None:
    """Give a server to an organisation, to yourself, or (administrators) to anybody."""
    _give("servers", server, org, user, as_json=as_json)


@click.command("transfer")
@click.argument("bundle")
@click.option("--org", help="To this organisation.")
@click.option("--user", default="", help="To this person; absent: to you.")
@json_option
def bundle(bundle: str, org: str | None, user: str, *, as_json: bool) -> None:
    """Give a bundle to an organisation, to yourself, or (administrators) to anybody."""
    _give("bundles", bundle, org, user, as_json=as_json)
