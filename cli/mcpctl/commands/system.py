"""health and version."""

import http.client
import sys

import click

from mcpctl import __version__
from mcpctl.commands.common import json_option, open_client
from mcpctl.errors import ApiError, CommandError
from mcpctl.output import emit_json, state, table


@click.command()
@json_option
def health(*, as_json: bool) -> None:
    """Show how every part of the appliance is; exit code 1 when one is down."""
    try:
        report = open_client().get("/readyz")
    except ApiError as error:
        if (
            error.status != http.client.SERVICE_UNAVAILABLE
            or "parts" not in error.problem
        ):
            raise
        report = error.problem
    if as_json:
        emit_json(report)
    else:
        table(
            ("part", "state", ""),
            [
                (part["name"], state(part["state"]), part["text"])
                for part in report["parts"]
            ],
            empty="The hub names no parts.",
        )
    if report["status"] == "down":
        sys.exit(1)


@click.command()
@json_option
def version(*, as_json: bool) -> None:
    """Show the version of this program, and of the hub if it answers."""
    try:
        hub = open_client().get("/openapi.json")["info"]["version"]
    except CommandError:
        hub = None
    if as_json:
        emit_json({"mcpctl": __version__, "hub": hub})
    else:
        click.echo(f"mcpctl {__version__}")
        click.echo(f"hub {hub}" if hub else "hub does not answer")
