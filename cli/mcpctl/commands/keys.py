"""keys: API keys of one's own."""

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, table


@click.group()
def keys() -> None:
    """List, make and revoke API keys."""


@keys.command("list")
@json_option
def list_keys(*, as_json: bool) -> None:
    """Show your keys; a key itself is shown only when it is made."""
    found = client().get("/api/keys")
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "name", "key", "created", "used", "expires"),
        [
            (item["id"], item["name"], f"{item['prefix']}…", age(item["created_at"]),
             age(item["last_used_at"]), item["expires_at"] or "never")
            for item in found["items"]
        ],
        empty="No keys. 'mcpctl keys create NAME' makes one.",
    )  # fmt: skip


@keys.command()
@click.argument("name")
@click.option(
    "--expires-in-days",
    type=click.IntRange(1, 3650),
    help="Days after which the key stops working.",
)
@json_option
def create(name: str, expires_in_days: int | None, *, as_json: bool) -> None:
    """Make a key; it is shown this once."""
    body = {"name": name} | (
        {"expires_in_days": expires_in_days} if expires_in_days else {}
    )
    made = client().post("/api/keys", body)
    if as_json:
        emit_json(made)
    else:
        click.echo(made["key"])
        click.echo("Keep it: it is not shown again.", err=True)


@keys.command()
@click.argument("key_id", type=int)
@json_option
def revoke(key_id: int, *, as_json: bool) -> None:
    """Stop a key from working, at once and for good."""
    client().delete(path_of("keys", key_id))
    if as_json:
        emit_json({"revoked": key_id})
    else:
        click.echo(f"Key {key_id} is revoked.")
