"""backups: what there is, make one, follow it, read one back, remove one."""

import time
from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.errors import CommandError
from mcpctl.output import age, emit_json, pairs, state, table

_LOOK_EVERY_S = 0.5
_MIB = 1024**2


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def backups(context: click.Context, *, as_json: bool) -> None:
    """List, make, verify and remove backups. Bringing one back is done on the box: mcp-host restore."""
    if context.invoked_subcommand is None:
        _list(as_json=as_json)


@backups.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """Show the backups, newest first, and when the next one comes."""
    _list(as_json=as_json)


def _list(*, as_json: bool) -> None:
    found = client().get("/api/backups")
    if as_json:
        emit_json(found)
        return
    overview = found["overview"]
    pairs(
        [
            ("target", overview["target"]),
            ("next", overview["next_at"] or "never by the clock"),
            ("last good", overview["last_good_at"] or "none yet"),
            ("problem", overview["problem"] or None),
        ]
    )
    click.echo()
    table(
        ("id", "state", "began", "size", "read back", "name"),
        [_row(item) for item in found["items"]],
        empty="No backup yet. Make one: mcpctl backups start",
    )


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    size = f"{item['size_bytes'] / _MIB:.1f} MiB" if item["size_bytes"] else ""
    checked = f"{age(item['verified_at'])} ago" if item["verified_at"] else ""
    return (
        item["id"],
        state(item["state"]),
        f"{age(item['started_at'])} ago",
        size,
        checked,
        item["name"],
    )


@backups.command()
@click.argument("backup_id", type=int)
@json_option
def show(*, backup_id: int, as_json: bool) -> None:
    """Show one backup: its parts, and how each server comes back from it."""
    item = client().get(path_of("backups", backup_id))
    if as_json:
        emit_json(item)
        return
    pairs(
        [
            ("backup", item["name"]),
            ("at", item["target"]),
            ("state", state(item["state"])),
            ("error", item["error"] or None),
            ("version", item["summary"].get("version")),
        ]
    )
    click.echo()
    parts = item["summary"].get("parts", [])
    table(
        ("part", "size"),
        [(part["what"], f"{part['size_bytes'] / _MIB:.1f} MiB") for part in parts],
        empty="No parts.",
    )
    click.echo()
    servers = item["summary"].get("servers", [])
    table(
        ("server", "image", "/data"),
        [(one["name"], one["image"], one["data"] or "") for one in servers],
        empty="No servers.",
    )


@backups.command()
@click.option("--to", "target", help="Another target than BACKUP_TARGET.")
@click.option("--no-wait", is_flag=True, help="Return at once; 'backups' tells.")
@json_option
def start(*, target: str | None, no_wait: bool, as_json: bool) -> None:
    """Make a backup of everything, and follow it to its end."""
    item = client().post("/api/backups", {"target": target} if target else {})
    said = ""
    while not no_wait and item["state"] == "running":
        progress = item["progress"]
        line = f"[{progress.get('number', 0)}/{progress.get('of', 0)}] {progress.get('step', 'waits')}"
        if line != said and not as_json:
            click.echo(line, err=True)
        said = line
        time.sleep(_LOOK_EVERY_S)
        item = client().get(path_of("backups", item["id"]))
    if as_json:
        emit_json(item)
    if item["state"] in {"failed", "cancelled"}:
        raise CommandError(item["error"] or f"The backup was {item['state']}.")
    if not as_json:
        click.echo(
            f"{item['target'].rstrip('/')}/{item['name']}"
            if item["state"] == "succeeded"
            else f"started as backup {item['id']}"
        )


@backups.command()
@click.argument("backup_id", type=int)
def cancel(*, backup_id: int) -> None:
    """Stop a backup that runs; nothing stays of it."""
    client().post(path_of("backups", backup_id, "cancel"))
    click.echo(f"backup {backup_id} ends")


@backups.command()
@click.argument("backup_id", type=int)
def verify(*, backup_id: int) -> None:
    """Have a backup fetched from its target, opened and compared with its checksums."""
    job = client().post(path_of("backups", backup_id, "verify"))
    while job["state"] in {"queued", "running"}:
        time.sleep(_LOOK_EVERY_S)
        job = client().get(path_of("jobs", job["id"]))
    if job["state"] != "succeeded":
        raise CommandError(job["error"] or f"The look was {job['state']}.")
    click.echo(f"backup {backup_id} is whole")


@backups.command()
@click.argument("backup_id", type=int)
def delete(*, backup_id: int) -> None:
    """Remove a backup from its target."""
    client().delete(path_of("backups", backup_id))
    click.echo(f"backup {backup_id} is removed")


@backups.command("check-target")
@click.argument("target", required=False)
def check_target(*, target: str | None) -> None:
    """Look whether a TARGET, or BACKUP_TARGET, can be written to."""
    body = {"target": target} if target else {}
    click.echo(client().post("/api/backups/check-target", body)["text"])
