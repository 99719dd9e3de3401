"""servers isolation: how far a server is kept apart, and what it may use of the box."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, pairs, table

RELAXATIONS = ("writable-root", "root-user", "engine-syscalls")
TIERS = ("standard", "sandboxed", "vm")
F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--tier", type=click.Choice(TIERS), help="Who stands between it and the kernel."),
    click.option("--pids", type=int, help="Processes and threads together."),
    click.option("--files", type=int, help="Open files of one process."),
    click.option("--data", "data_bytes", help="Size of /data, such as 2g."),
    click.option("--gpu/--no-gpu", "use_gpu", default=None, help="Whether it gets the box's GPUs."),
    click.option(
        "--relax",
        "relaxations",
        multiple=True,
        type=click.Choice(RELAXATIONS),
        help="Hardening to take away, as an administrator; may be repeated.",
    ),
)  # fmt: skip
NAMES = ("tier", "pids", "files", "data_bytes", "use_gpu")


def isolation_options(command: F) -> F:
    """Add the options that say how far a server is kept apart."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def isolation_fields(options: dict[str, Any]) -> dict[str, Any]:
    """Return what was asked for, and nothing else."""
    found = {name: options[name] for name in NAMES if options[name] is not None}
    if options["relaxations"]:
        found["relaxations"] = list(options["relaxations"])
    return found


@click.group()
def isolation() -> None:
    """Keep a server apart from its box, and bound what it may use."""


@isolation.command()
@click.argument("server")
@json_option
def show(server: str, *, as_json: bool) -> None:
    """Show what holds, what was taken away, and which limits the server ran into."""
    found = client().get(path_of("servers", server, "isolation"))
    if as_json:
        emit_json(found)
    else:
        _tell(found)


@isolation.command("set")
@click.argument("server")
@isolation_options
@click.option("--strict", is_flag=True, help="Put all hardening back.")
@json_option
def set_(server: str, *, strict: bool, as_json: bool, **options: Any) -> None:
    """Change what is given, keep the rest, and redeploy the server."""
    hub, place = client(), path_of("servers", server, "isolation")
    changed = isolation_fields(options)
    if not changed and not strict:
        raise click.UsageError("Say what to change; see --help.")
    wanted = hub.get(place)["isolation"] | changed
    if strict:
        wanted["relaxations"] = list(options["relaxations"])
    found = hub.put_json(place, wanted)
    if as_json:
        emit_json(found)
    else:
        _tell(found)


def _tell(found: dict[str, Any]) -> None:
    holds = found["effective"]
    pairs(
        [
            ("tier", f"{found['isolation']['tier']} (this box has: {', '.join(found['tiers'])})"),
            ("cpus", f"{holds['cpus']:g}"),
            ("memory", f"{holds['memory_bytes'] / 1024**2:.0f} MiB"),
            ("processes", holds["pids"]),
            ("open files", holds["files"]),
            ("/data", _data(holds)),
            ("gpu", "yes" if found["isolation"]["use_gpu"] else "no"),
        ]
    )  # fmt: skip
    for item in found["relaxations"]:
        click.echo(f"! {item['name']}: {item['meaning']}")
    if found["hits"]:
        click.echo()
        table(
            ("ran into", "times", "last"),
            [
                (item["limit"], item["times"], f"{age(item['last_at'])} ago")
                for item in found["hits"]
            ],
            empty="",
        )


def _data(holds: dict[str, Any]) -> str:
    if not holds["data_bytes"]:
        return "no limit"
    size = f"{holds['data_bytes'] / 1024**2:.0f} MiB"
    if not holds["data_is_held"]:
        return f"{size}, held by nothing: {holds['data_unlimited_because']}"
    used = holds["data_used_bytes"]
    return size if used is None else f"{size}, {used / 1024**2:.0f} MiB used"
