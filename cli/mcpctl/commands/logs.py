"""servers logs, servers build and servers build-log."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from mcpctl.client import Client, path_of
from mcpctl.commands.common import client, json_option, moment
from mcpctl.output import emit_json, pairs, printable_lines, state, table


@click.command()
@click.argument("server")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines.")
@click.option(
    "-n", "--lines", type=click.IntRange(1, 2000), default=200, show_default=True
)
@click.option(
    "--since",
    metavar="WHEN",
    help="Only lines printed since: 90s, 15m, 2h, 3d, or a moment such as 2026-01-31T08:00:00Z.",
)
@click.option("--until", metavar="WHEN", help="Only lines printed before.")
@click.option(
    "--search", metavar="TEXT", help="Only lines with this text, in any case."
)
@click.option(
    "--stream",
    type=click.Choice(["stdout", "stderr", "note"]),
    help="Only this one; note: what is missing, said by the hub.",
)
@click.option("-t", "--times", is_flag=True, help="Show when each line was printed.")
@json_option
def logs(  # noqa: PLR0913 - one parameter an option
    server: str,
    lines: int,
    *,
    follow: bool,
    since: str | None,
    until: str | None,
    search: str | None,
    stream: str | None,
    times: bool,
    as_json: bool,
) -> None:
    """Show what a server printed: the last lines, or the last ones that match."""
    hub = client()
    path = path_of("servers", server, "logs")
    wanted = {
        "since": moment(since),
        "until": moment(until),
        "q": search,
        "stream": stream,
    }
    # Where the stream takes over; what is printed while the search runs may come by both ways, and is shown once.
    newest = hub.get(f"{path}/history", limit=1)["previous_cursor"] if follow else None
    found = _last(hub, f"{path}/history", wanted, lines)
    if as_json and not follow:
        emit_json({"items": found})
        return
    for line in found:
        _show(line, times=times, as_json=as_json)
    if follow:
        shown = {line["id"] for line in found}
        matches = _matcher(search, stream)
        for event in hub.events(f"{path}/stream", last_id=newest or "0.0"):
            if event.kind == "missed":
                click.echo(f"({event.json()['lines']:,} lines were missed)", err=True)
            elif event.kind == "log" and event.id not in shown:
                line = {"id": event.id, **event.json()}
                if matches(line):
                    _show(line, times=times, as_json=as_json)


def _last(
    hub: Client, path: str, wanted: dict[str, str | None], lines: int
) -> list[dict[str, Any]]:
    """Return the last lines that match, however many pages that takes."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = hub.get(
            path, **wanted, limit=min(1000, lines - len(found)), cursor=cursor
        )
        found = page["items"] + found
        cursor = page["next_cursor"]
        if not cursor or len(found) >= lines:
            return found


def _matcher(
    search: str | None, stream: str | None
) -> Callable[[dict[str, Any]], bool]:
    def matches(line: dict[str, Any]) -> bool:
        has_text = not search or search.casefold() in line["text"].casefold()
        return has_text and stream in {None, line["stream"]}

    return matches


def _show(line: dict[str, Any], *, times: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(line, ensure_ascii=False))
        return
    prefix = f"{line['at']} " if times else ""
    _print(prefix + line["text"])


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
