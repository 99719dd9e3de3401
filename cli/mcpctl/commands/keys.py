"""keys: API keys of one's own."""

from collections.abc import Callable
from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, table


def limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that limit a key."""
    rate = click.option(
        "--calls-per-second",
        type=click.FloatRange(min=0, min_open=True),
        help="Calls a second through the gateway.",
    )
    concurrency = click.option(
        "--concurrency", type=click.IntRange(1), help="Calls at once."
    )
    return rate(concurrency(command))


def _limits(limits: dict[str, Any]) -> str:
    parts = []
    if limits["calls_per_second"]:
        parts.append(f"{limits['calls_per_second']:g} calls/s")
    if limits["concurrency"]:
        parts.append(f"{limits['concurrency']} at once")
    return ", ".join(parts) or "as the box's settings say"


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
        ("id", "name", "key", "created", "used", "expires", "limits"),
        [
            (item["id"], item["name"], f"{item['prefix']}…", age(item["created_at"]),
             age(item["last_used_at"]), item["expires_at"] or "never",
             _limits(item["limits"]))
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
@limit_options
@json_option
def create(
    name: str,
    expires_in_days: int | None,
    calls_per_second: float | None,
    concurrency: int | None,
    *,
    as_json: bool,
) -> None:
    """Make a key; it is shown this once."""
    body: dict[str, Any] = {
        "name": name,
        "limits": {"calls_per_second": calls_per_second, "concurrency": concurrency},
    }
    if expires_in_days:
        body["expires_in_days"] = expires_in_days
    made = client().post("/api/keys", body)
    if as_json:
        emit_json(made)
    else:
        click.echo(made["key"])
        click.echo("Keep it: it is not shown again.", err=True)


@keys.command()
@click.argument("key_id", type=int)
@limit_options
@json_option
def limit(
    key_id: int,
    calls_per_second: float | None,
    concurrency: int | None,
    *,
    as_json: bool,
) -> None:
    """Set how much a key may ask of the gateway; without an option that limit is as the box's settings say."""
    limits = {"calls_per_second": calls_per_second, "concurrency": concurrency}
    path = path_of("keys", key_id, "limits")
    changed = client().send("PUT", path, limits).json()
    if as_json:
        emit_json(changed)
    else:
        click.echo(f"Key {key_id}: {_limits(changed['limits'])}.")


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
