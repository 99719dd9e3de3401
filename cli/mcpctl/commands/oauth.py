"""oauth: what clients were allowed, and clients that people made."""

from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, table

_SCOPES = ("mcp:read", "mcp:call")
_whose = click.option("--all", "all_", is_flag=True, help="Everybody's; for administrators.")  # fmt: skip


def _query(*, all_: bool) -> dict[str, Any]:
    return {"all": "true"} if all_ else {}


@click.group()
def oauth() -> None:
    """Apps that people connected, and clients that they made."""


@oauth.command()
@_whose
@json_option
def grants(*, all_: bool, as_json: bool) -> None:
    """Show which clients may use what in your name."""
    found = client().get("/api/oauth/grants", **_query(all_=all_))
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "client", "endpoint", "scopes", "who", "allowed", "used"),
        [
            (item["id"], item["client_name"], item["resource"], " ".join(item["scopes"]),
             item["email"], age(item["created_at"]), age(item["last_used_at"]))
            for item in found["items"]
        ],
        empty="No client was allowed anything.",
    )  # fmt: skip


@oauth.command()
@click.argument("grant_id", type=int)
@json_option
def revoke(grant_id: int, *, as_json: bool) -> None:
    """Take back what a client was allowed; its tokens are refused within two seconds."""
    client().delete(path_of("oauth", "grants", grant_id))
    if as_json:
        emit_json({"revoked": grant_id})
    else:
        click.echo(f"Grant {grant_id} is taken back.")


@oauth.command()
@_whose
@json_option
def clients(*, all_: bool, as_json: bool) -> None:
    """Show the clients that you made."""
    found = client().get("/api/oauth/clients", **_query(all_=all_))
    if as_json:
        emit_json(found)
        return
    table(
        ("client id", "name", "for", "scopes", "made", "used"),
        [
            (item["client_id"], item["name"], "people" if item["redirect_uris"] else "itself",
             " ".join(item["scopes"]) or "all",
             age(item["created_at"]), age(item["last_used_at"]))
            for item in found["items"]
        ],
        empty="No clients. 'mcpctl oauth create-client NAME' makes one.",
    )  # fmt: skip


@oauth.command("create-client")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(_SCOPES),
    multiple=True,
    help="The most it may have; may be given twice. Without it, everything.",
)
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    help="Where it may send people back to; may be given often. Without it, it runs without people and acts as you.",
)
@click.option(
    "--public",
    is_flag=True,
    help="Make no secret: for an app on people's own computers, or a page.",
)
@json_option
def create_client(
    name: str,
    scopes: tuple[str, ...],
    redirect_uris: tuple[str, ...],
    *,
    public: bool,
    as_json: bool,
) -> None:
    """Make a client for a program without people, or for an app that people sign in with; its secret is shown this once."""
    wanted = {
        "name": name,
        "scopes": list(scopes),
        "redirect_uris": list(redirect_uris),
        "public": public,
    }
    made = client().post("/api/oauth/clients", wanted)
    if as_json:
        emit_json(made)
        return
    click.echo(f"client_id      {made['client_id']}")
    if made["client_secret"]:
        click.echo(f"client_secret  {made['client_secret']}")
        click.echo("Keep the secret: it is not shown again.", err=True)


@oauth.command("rotate-secret")
@click.argument("client_id")
@click.option(
    "--at-once", is_flag=True, help="Refuse the secret before from now on, not in a day."
)  # fmt: skip
@json_option
def rotate_secret(client_id: str, *, at_once: bool, as_json: bool) -> None:
    """Exchange a client's secret; the one before goes on for a day."""
    path = path_of("oauth", "clients", client_id, "rotate")
    made = client().post(path, {"at_once": at_once})
    if as_json:
        emit_json(made)
        return
    click.echo(made["client_secret"])
    click.echo("Keep it: it is not shown again.", err=True)


@oauth.command("delete-client")
@click.argument("client_id")
@json_option
def delete_client(client_id: str, *, as_json: bool) -> None:
    """Delete a client that you made; its tokens are refused within two seconds."""
    client().delete(path_of("oauth", "clients", client_id))
    if as_json:
        emit_json({"deleted": client_id})
    else:
        click.echo(f"{client_id} is deleted.")


@oauth.command("rotate-key")
@json_option
def rotate_key(*, as_json: bool) -> None:
    """Exchange the key that signs access tokens; those that are out stay good until they end. For administrators."""
    made = client().post("/api/oauth/keys/rotate")
    if as_json:
        emit_json(made)
    else:
        click.echo(f"Key {made['kid']} signs from now on.")
