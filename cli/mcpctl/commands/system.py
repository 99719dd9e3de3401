"""health, version and system."""

import http.client
import sys

import click

from mcpctl import __version__
from mcpctl.commands.common import client, json_option, open_client
from mcpctl.errors import ApiError, CommandError
from mcpctl.output import emit_json, pairs, state, table


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


@click.command()
@json_option
def system(*, as_json: bool) -> None:
    """Show the release of the box, and what became of earlier changes."""
    found = client().get("/api/system")
    if as_json:
        emit_json(found)
        return
    pairs(
        [
            ("release", found["release"]),
            ("commit", found["commit"]),
            ("on this box", ", ".join(found["releases"]) or None),
        ]
    )
    click.echo()
    table(
        ("when", "outcome", "from", "to", ""),
        [
            (item["at"], item["outcome"], item["origin"], item["to"], item["text"])
            for item in found["changes"]
        ],
        empty="No change of release yet.",
    )
