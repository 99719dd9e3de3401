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


def scope_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that narrow a key or a token."""
    role = click.option(
        "--role",
        type=click.Choice(["admin", "reader"]),
        default="admin",
        show_default=True,
        help="reader: it sees, and does nothing else.",
    )
    action = click.option(
        "--action",
        "actions",
        multiple=True,
        help="Only this (see, call, deploy, change, ...). Repeatable.",
    )
    server = click.option(
        "--server",
        "servers",
        multiple=True,
        help="Only this server, and nothing besides. Repeatable.",
    )
    return role(action(server(command)))


def narrowing(
    role: str, actions: tuple[str, ...], servers: tuple[str, ...]
) -> dict[str, Any]:
    """Return what ``scope_options`` said, as the API wants it."""
    body: dict[str, Any] = {"role": role}
    if actions:
        body["actions"] = list(actions)
    if servers:
        body["servers"] = list(servers)
    return body


def _scope(item: dict[str, Any]) -> str:
    scope = item["scope"] or {"actions": None, "servers": None}
    parts = []
    if scope["actions"] is not None:
        parts.append("/".join(scope["actions"]) or "nothing")
    if scope["servers"] is not None:
        parts.append(f"servers {', '.join(map(str, scope['servers']))}")
    return "; ".join(parts) or "all"


def _until(item: dict[str, Any]) -> str:
    replaced = f" (replaced by {item['replaced_by']})" if item["replaced_by"] else ""
    return (item["expires_at"] or "never") + replaced


def _show_new(made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(made)
        return
    click.echo(made["key"])
    click.echo("Keep it: it is not shown again.", err=True)


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
@click.option("--org", default="", help="Keys that act for this organisation.")
@json_option
def list_keys(org: str, *, as_json: bool) -> None:
    """Show your keys; a key itself is shown only when it is made."""
    found = client().get("/api/keys", **({"org": org} if org else {}))
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "name", "key", "may", "created", "used", "expires", "limits"),
        [
            (item["id"], item["name"], f"{item['prefix']}…", _scope(item),
             age(item["created_at"]), age(item["last_used_at"]), _until(item),
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
@click.option(
    "--org",
    default="",
    help="The organisation that it acts for; it then belongs to nobody.",
)
@click.option(
    "--org-role",
    type=click.Choice(["reader", "deployer", "maintainer", "owner"]),
    help="What it is there; deployer unless given.",
)
@scope_options
@limit_options
@json_option
def create(  # noqa: PLR0913 - its options
    *,
    name: str,
    expires_in_days: int | None,
    org: str,
    org_role: str | None,
    role: str,
    actions: tuple[str, ...],
    servers: tuple[str, ...],
    calls_per_second: float | None,
    concurrency: int | None,
    as_json: bool,
) -> None:
    """Make a key; it is shown this once."""
    body: dict[str, Any] = {
        "name": name,
        **narrowing(role, actions, servers),
        "limits": {"calls_per_second": calls_per_second, "concurrency": concurrency},
    }
    if expires_in_days:
        body["expires_in_days"] = expires_in_days
    if org:
        body["org"] = org
    if org_role:
        body["org_role"] = org_role
    _show_new(client().post("/api/keys", body), as_json=as_json)


@keys.command()
@click.argument("key_id", type=int)
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0, 720),
    default=24,
    show_default=True,
    help="How long the old key works on.",
)
@json_option
def rotate(key_id: int, overlap_hours: float, *, as_json: bool) -> None:
    """Make a key in the place of one; it is shown this once, and the old one works on for a while."""
    made = client().post(
        path_of("keys", key_id, "rotate"), {"overlap_hours": overlap_hours}
    )
    _show_new(made, as_json=as_json)


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


@keys.command()
@click.option("--minutes", type=click.IntRange(1, 60), default=15, show_default=True)
@scope_options
@json_option
def token(
    *,
    minutes: int,
    role: str,
    actions: tuple[str, ...],
    servers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a token that ends by itself, for a script; it is kept nowhere and cannot be revoked."""
    body = {"lifetime_seconds": minutes * 60, **narrowing(role, actions, servers)}
    made = client().post("/api/tokens", body)
    if as_json:
        emit_json(made)
    else:
        click.echo(made["token"])
