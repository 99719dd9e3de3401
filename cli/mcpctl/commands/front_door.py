"""front-door: Nginx before the hub and the gateway."""

import time
from typing import Any

import click

from mcpctl.commands.common import client, json_option
from mcpctl.errors import CommandError
from mcpctl.output import age, emit_json, pairs, state, table

_LOOK_EVERY_S = 1.0
#: A controller that is there looks at once, and then waits for clients a minute at most.
_PATIENCE_S = 180.0


@click.group("front-door")
def front_door() -> None:
    """Show the front door: Nginx, what it leaves out and why; have it reloaded."""


@front_door.command()
@json_option
def status(*, as_json: bool) -> None:
    """Show how Nginx is, and the names that it leaves out."""
    found = client().get("/api/front-door")
    if as_json:
        emit_json(found)
    else:
        _tell(found)


@front_door.command()
@click.option("--no-wait", is_flag=True, help="Return at once; 'status' tells.")
@json_option
def reload(*, no_wait: bool, as_json: bool) -> None:
    """Have Nginx read everything again; no request is lost."""
    found = client().post("/api/front-door/reload")
    deadline = time.monotonic() + _PATIENCE_S
    while not no_wait and found["reload_asked_at"] is not None:
        if time.monotonic() > deadline:
            raise CommandError("It is not done yet; 'front-door status' tells.")
        time.sleep(_LOOK_EVERY_S)
        found = client().get("/api/front-door")
    if as_json:
        emit_json(found)
    elif no_wait:
        click.echo("asked for")
    else:
        click.echo(found["text"])


def _tell(found: dict[str, Any]) -> None:
    click.echo(f"{state(found['status'])}: {found['text']}")
    if found["hint"]:
        click.echo(found["hint"])
    if not found["enabled"]:
        return
    limits = found["limits"]
    reloaded = found["reloaded_at"]
    click.echo()
    pairs(
        [
            ("hub", ", ".join(found["names"])),
            ("listens on", ", ".join(found["addresses"])),
            ("ports", f"{found['http_port']}, {found['https_port']}"),
            (
                "nginx",
                f"{found['nginx'] or 'unknown'} {found['version'] or ''}".strip(),
            ),
            ("certificates", f"{found['certificates']} beside the box's own"),
            ("configuration", found["generation"]),
            ("reloaded", f"{age(reloaded)} ago" if reloaded else "not needed yet"),
            ("one address", _limits(limits)),
        ]
    )
    click.echo()
    table(
        ("left out", "what", "why"),
        [(item["name"], item["kind"], item["reason"]) for item in found["quarantined"]],
        empty="Nothing is left out.",
    )


def _limits(limits: dict[str, int]) -> str:
    rate = limits["requests_per_second"]
    some = f"{rate} requests a second" if rate else "any number of requests"
    open_ = limits["connections"]
    return f"{some}, {open_ or 'any number'} open"
