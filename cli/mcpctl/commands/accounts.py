"""accounts: people's accounts at remote servers that want to know who calls."""

import sys
from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, table

_MODES = ("each", "shared")


@click.group()
def accounts() -> None:
    """Your accounts at remote servers that want to know who calls."""


@accounts.command("list")
@json_option
def list_accounts(*, as_json: bool) -> None:
    """Show the accounts that you connected."""
    found = client().get("/api/connections")
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "server", "state", "signed in at", "scopes", "connected"),
        [
            (item["id"], item["server"], _state(item), item["issuer"], " ".join(item["scopes"]), age(item["connected_at"]))
            for item in found["items"]
        ],
        empty="No accounts. 'mcpctl accounts connect SERVER' connects one.",
    )  # fmt: skip


@accounts.command()
@click.argument("server")
@json_option
def show(server: str, *, as_json: bool) -> None:
    """Show whose account your calls of a server use, and how it is."""
    found = client().get(path_of("servers", server, "account"))
    if as_json:
        emit_json(found)
        return
    whose = "your own" if found["mode"] == "each" else "the one that everybody uses"
    click.echo(f"account    {whose}")
    click.echo(f"sign-in    {found['issuer']}")
    connection = found["connection"]
    if connection is None:
        click.echo("state      not connected")
        return
    click.echo(f"state      {_state(connection)}")
    click.echo(f"scopes     {' '.join(connection['scopes'])}")
    if connection["reason"]:
        click.echo(f"reason     {connection['reason']}")


@accounts.command()
@click.argument("server")
@json_option
def connect(server: str, *, as_json: bool) -> None:
    """Begin to connect the account that your calls of a server use: shows where to sign in, in a browser."""
    begun = client().post(path_of("servers", server, "account", "connect"))
    if as_json:
        emit_json(begun)
        return
    click.echo(begun["authorization_url"])
    click.echo(
        "Open it within 15 minutes in a browser where you are signed in to this hub. If the browser cannot reach the hub,"
        " give the address that it was sent to last to 'mcpctl accounts finish'.",
        err=True,
    )


@accounts.command()
@click.argument("callback_url")
@json_option
def finish(callback_url: str, *, as_json: bool) -> None:
    """Finish a sign-in with the address that the browser was sent to."""
    made = client().post("/api/connections/finish", {"callback_url": callback_url})
    if as_json:
        emit_json(made)
    else:
        click.echo(f"Connected with {made['server']}.")


@accounts.command()
@click.argument("connection_id", type=int)
@json_option
def disconnect(connection_id: int, *, as_json: bool) -> None:
    """Disconnect an account; its tokens are forgotten here and revoked there."""
    client().delete(path_of("connections", connection_id))
    if as_json:
        emit_json({"disconnected": connection_id})
    else:
        click.echo(f"Connection {connection_id} is ended.")


@accounts.command()
@click.argument("server")
@click.argument("mode", type=click.Choice(_MODES))
@json_option
def mode(server: str, mode: str, *, as_json: bool) -> None:
    """Say whose account calls of a server use: each caller's own, or one that all share. For its owner."""
    client().put_json(path_of("servers", server, "account", "mode"), {"mode": mode})
    if as_json:
        emit_json({"mode": mode})
    else:
        whose = "one account for everybody" if mode == "shared" else "each caller's own account"  # fmt: skip
        click.echo(f"Calls of {server} use {whose}.")


@accounts.command("client")
@click.argument("server")
@click.argument("client_id")
@click.option("--secret-stdin", is_flag=True, help="Read the client's secret from standard input.")  # fmt: skip
@json_option
def set_client(
    server: str, client_id: str, *, secret_stdin: bool, as_json: bool
) -> None:
    """Give the client that you registered at a server's authorization server; an empty id takes it back."""
    secret = sys.stdin.readline().strip() if secret_stdin else None
    body = {"client_id": client_id, "client_secret": secret}
    client().put_json(path_of("servers", server, "account", "client"), body)
    if as_json:
        emit_json({"client_id": client_id})
    else:
        click.echo(f"Sign-ins at {server} use {client_id or 'what this box becomes by itself'}.")  # fmt: skip


def _state(connection: dict[str, Any]) -> str:
    if connection["state"] == "ended":
        return "ended"
    wanted = " ".join(connection["wanted_scopes"])
    return f"wants {wanted}" if wanted else "connected"
