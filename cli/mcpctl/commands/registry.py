"""registry: where images are pushed, and how its credentials are."""

import time
from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.errors import CommandError
from mcpctl.output import age, emit_json, pairs, state, table

_LOOK_EVERY_S = 0.5
_ENDED = {"succeeded", "failed", "cancelled"}


@click.group()
def registry() -> None:
    """Show the registry that images are pushed to, rotate its credentials, prune it."""


@registry.command()
@json_option
def status(*, as_json: bool) -> None:
    """Show the registry, its credentials, and what was pushed last."""
    found = client().get("/api/registry")
    if as_json:
        emit_json(found)
        return
    if not found["configured"]:
        click.echo("Images stay on the box: REGISTRY is not set.")
        return
    _tell(found)


def _tell(found: dict[str, Any]) -> None:
    health, last = found["health"], found["last_check"]
    pairs(
        [
            ("registry", found["registry"]),
            ("platforms", ", ".join(found["platforms"]) or "what runs here"),
            ("retries", found["push_retries"]),
            ("credentials", state(health["status"])),
            ("", health["text"]),
            ("expires", health["expires_at"]),
            ("rotation", "by command" if health["rotation_configured"] else "by hand"),
            ("last check", f"{age(last['at'])} ago" if last else "never"),
            ("trouble", last["details"].get("trouble") if last else None),
        ]
    )
    click.echo()
    table(
        ("rotation", "when", "why"),
        [
            (item["event"], age(item["at"]), item["details"].get("reason"))
            for item in found["rotations"]
        ],
        empty="No rotation yet.",
    )
    click.echo()
    table(
        ("image", "platforms", "digest", "when", ""),
        [
            (
                f"{item['repository']}:{item['tag']}",
                ", ".join(sorted(item["platforms"])),
                item["digest"][:19],
                age(item["published_at"]),
                "removed" if item["pruned_at"] else "",
            )
            for item in found["publications"]
        ],
        empty="Nothing was pushed yet.",
    )


@registry.command()
@click.option("--no-wait", is_flag=True, help="Return at once; 'jobs show' tells.")
@json_option
def check(*, no_wait: bool, as_json: bool) -> None:
    """Ask the registry whether it takes the credentials."""
    _done(client().post("/api/registry/check"), no_wait=no_wait, as_json=as_json)
    if not as_json and not no_wait:
        click.echo(client().get("/api/registry")["health"]["text"])


@registry.command()
@click.option("--no-wait", is_flag=True, help="Return at once; 'jobs show' tells.")
@json_option
def rotate(*, no_wait: bool, as_json: bool) -> None:
    """Get fresh credentials by the configured command."""
    _done(client().post("/api/registry/rotate"), no_wait=no_wait, as_json=as_json)
    if not as_json and not no_wait:
        click.echo(client().get("/api/registry")["health"]["text"])


@registry.command()
@click.argument("server", required=False)
@json_option
def prune(server: str | None, *, as_json: bool) -> None:
    """Remove from the registry what nothing refers to: of one SERVER, or of all."""
    started = client().post("/api/registry/prune", {"server": server} if server else {})
    if as_json:
        emit_json(started)
    elif started["jobs"]:
        click.echo(f"pruning as jobs {', '.join(map(str, started['jobs']))}")
    else:
        click.echo("Nothing was pushed yet, so there is nothing to prune.")


def _done(job: dict[str, Any], *, no_wait: bool, as_json: bool) -> None:
    """Wait for a job's end and tell it.

    Raises:
        CommandError: It failed.
    """
    while not no_wait and job["state"] not in _ENDED:
        time.sleep(_LOOK_EVERY_S)
        job = client().get(path_of("jobs", job["id"]))
    if as_json:
        emit_json(job)
    if job["state"] in _ENDED - {"succeeded"}:
        raise CommandError(job["error"] or f"The job was {job['state']}.")
    if no_wait and not as_json:
        click.echo(f"started as job {job['id']}")
