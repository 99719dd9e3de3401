"""servers dockerfile: show it, take it over, give it back."""

import sys
from pathlib import Path

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import emit_json, printable_lines


@click.group()
def dockerfile() -> None:
    """Show the Dockerfile that a server is built by, and write one of your own."""


@dockerfile.command()
@click.argument("server")
@json_option
def show(server: str, *, as_json: bool) -> None:
    """Print the Dockerfile; where it comes from and what to know of it goes to stderr."""
    found = client().get(path_of("servers", server, "dockerfile"))
    if as_json:
        emit_json(found)
        return
    click.echo(f"# {found['origin']}", err=True)
    for item in found["warnings"]:
        place = f"line {item['line']}: " if item["line"] else ""
        click.echo(f"# warning: {place}{item['text']}", err=True)
    for line in printable_lines(found["dockerfile"]):
        click.echo(line)


@dockerfile.command("set")
@click.argument("server")
@click.argument("file", type=click.Path(allow_dash=True, path_type=Path))
@json_option
def set_(server: str, file: Path, *, as_json: bool) -> None:
    """Build SERVER by FILE ('-': standard input) from now on, and redeploy it."""
    try:
        raw = (
            sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        ).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} cannot be read: {error}") from error
    place = path_of("servers", server, "dockerfile")
    found = client().send("PUT", place, {"dockerfile": raw}).json()
    if as_json:
        emit_json(found)
    else:
        click.echo(f"{found['name']} is built by it from now on.")


@dockerfile.command()
@click.argument("server")
@json_option
def reset(server: str, *, as_json: bool) -> None:
    """Build SERVER by the generated Dockerfile, or the repository's own, again."""
    found = client().delete(path_of("servers", server, "dockerfile"))
    if as_json:
        emit_json(found)
    else:
        click.echo(f"{found['name']} is built as it was before.")
