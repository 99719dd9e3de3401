"""audit: who wrote what, and whether anybody changed the trail."""

import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from mcpctl.commands.chains import Chain, check, known_option
from mcpctl.commands.common import client, json_option, moment
from mcpctl.errors import CommandError
from mcpctl.output import age, emit_json, printable_lines, state, table

TRAIL = Chain(
    "/api/audit/chain", whole="audit trail", noun="line", count="lines", place="seq"
)


@click.group()
def audit() -> None:
    """Show, search, export and check the audit trail."""


def filters(command: Any) -> Any:
    """Add the options that say which lines."""
    for option in (
        click.option("--text", "q", help="Part of any of a line's texts."),
        click.option("--actor", help="The e-mail of who did it, or 'system'."),
        click.option("--action", help="The action, or its first part such as server."),
        click.option("--outcome", type=click.Choice(["allowed", "denied", "failed"])),
        click.option("--object-type", help="Such as server."),
        click.option("--object-id", type=int),
        click.option("--since", help="Such as 2h, or 2026-11-21T09:00:00Z."),
        click.option("--until", help="Before this moment."),
    ):
        command = option(command)
    return command


def _given(options: dict[str, Any]) -> dict[str, Any]:
    moments = {name: moment(options[name]) for name in ("since", "until")}
    return {
        name: value for name, value in (options | moments).items() if value is not None
    }


@audit.command("list")
@filters
@click.option("--limit", type=click.IntRange(1, 200), default=30, show_default=True)
@click.option("--cursor", help="next_cursor of the page before; --json shows it.")
@json_option
def list_lines(*, as_json: bool, **options: Any) -> None:
    """Show lines, newest first."""
    found = client().get("/api/audit", **_given(options))
    if as_json:
        emit_json(found)
        return
    table(
        ("when", "who", "via", "action", "on", "outcome", "from", "why"),
        [
            (age(item["at"]), item["actor"], item["via"], item["action"],
             f"{item['object_type']} {item['object_name'] or item['object_id'] or ''}".strip(),
             state(item["outcome"]), item["address"], " ".join(printable_lines(item["reason"])))
            for item in found["items"]
        ],
        empty="No line is like that.",
    )  # fmt: skip
    if found["next_cursor"]:
        click.echo(f"More: --cursor {found['next_cursor']}", err=True)


@audit.command()
@filters
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of standard output.",
)
def export(output: Path | None, **options: Any) -> None:
    """Write lines as JSON lines, oldest first, with their hashes."""
    path = f"/api/audit/export?{urlencode(_given(options))}"
    with client().fetch(path, {}) as answer:
        if output is None:
            shutil.copyfileobj(answer, sys.stdout.buffer)
            return
        try:
            with output.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except OSError as error:
            raise CommandError(
                f"{output} cannot be written: {error.strerror}."
            ) from error


@audit.command()
@known_option("SEQ")
@json_option
def verify(known: str | None, *, as_json: bool) -> None:
    """Compare every line of the trail with its hash; exits 1 if one was changed or removed."""
    check(TRAIL, known, as_json=as_json)
