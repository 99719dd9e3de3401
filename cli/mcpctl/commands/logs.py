"""servers logs, servers build and servers build-log."""

from datetime import datetime
from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import emit_json, pairs, printable_lines, state, table


@click.command()
@click.argument("server")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines.")
@click.option(
    "-n", "--lines", type=click.IntRange(1, 2000), default=200, show_default=True
)
@json_option
def logs(server: str, lines: int, *, follow: bool, as_json: bool) -> None:
    """Show what a server printed."""
    hub = client()
    path = path_of("servers", server, "logs")
    if not follow:
        found = hub.get(path, lines=lines)
        if as_json:
            emit_json(found)
        else:
            for line in found["items"]:
                _print(line["text"])
        return
    for event in hub.events(f"{path}/stream?lines={lines}"):
        if as_json:
            click.echo(event.data)
        elif event.kind == "log":
            _print(event.json()["text"])


@click.command()
@click.argument("server")
@json_option
def build(server: str, *, as_json: bool) -> None:
    """Show how the newest build of a server is, platform by platform."""
    found = client().get(path_of("servers", server, "builds", "latest"))
    if as_json:
        emit_json(found)
        return
    pairs(
        [
            ("build", f"{found['id']}, attempt {found['attempt']}"),
            ("state", state(found["state"])),
            ("image", found["image"] or "-"),
            ("error", found["error"] or "-"),
        ]
    )
    if found["platforms"]:
        click.echo()
        table(
            ("platform", "state", "step", "seconds", "digest"),
            [_platform(row) for row in found["platforms"]],
            empty="none",
        )


def _platform(row: dict[str, Any]) -> tuple[str, ...]:
    seconds = ""
    if row["started_at"] and row["finished_at"]:
        begun, ended = (
            datetime.fromisoformat(row[name]) for name in ("started_at", "finished_at")
        )
        seconds = f"{(ended - begun).total_seconds():.1f}"
    step = f"{row['step']} of {row['steps']}" if row["steps"] else ""
    now = f"{step} {row['current']}".strip()
    return row["platform"], state(row["state"]), now, seconds, row["digest"]


@click.command("build-log")
@click.argument("server")
@click.option(
    "-f", "--follow", is_flag=True, help="Go on with new lines until the build ends."
)
@json_option
def build_log(server: str, *, follow: bool, as_json: bool) -> None:
    """Show the newest build of a server."""
    hub = client()
    path = path_of("servers", server, "builds", "latest", "log")
    if follow:
        for event in hub.events(f"{path}/stream"):
            if as_json:
                click.echo(event.data)
            elif event.kind == "line":
                _print(event.json()["text"])
        return
    found = hub.get(path)
    if as_json:
        emit_json(found)
        return
    for line in found["items"]:
        _print(line["text"])
    build = hub.get(path_of("servers", server, "builds", "latest"))
    click.echo(
        f"build {build['id']}: {state(build['state'])} {build['error']}".rstrip(),
        err=True,
    )


def _print(text: str) -> None:
    for line in printable_lines(text) or [""]:
        click.echo(line)
