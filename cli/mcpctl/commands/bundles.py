"""bundles: one endpoint for the tools of several servers."""

from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.commands.endpoints import (
    call_options,
    connect_options,
    given_arguments,
    replace_key,
    show_call,
    show_configs,
)
from mcpctl.commands.transfers import bundle as transfer
from mcpctl.output import age, emit_json, pairs, state, table


@click.group()
def bundles() -> None:
    """Offer tools of several servers at one endpoint. BUNDLE is a name or an id."""


bundles.add_command(transfer)


@bundles.command("list")
@click.option("-q", "--query", help="Part of the name.")
@json_option
def list_bundles(query: str | None, *, as_json: bool) -> None:
    """Show your bundles."""
    found = client().get_all("/api/bundles", q=query)
    if as_json:
        emit_json({"items": found})
        return
    table(
        ("name", "members", "changed", "endpoint"),
        [
            (
                item["name"],
                ", ".join(member["server"] for member in item["members"]),
                age(item["updated_at"]),
                item["endpoint"],
            )
            for item in found
        ],
        empty="No bundles. 'mcpctl bundles create NAME --server A --server B' makes one.",
    )


@bundles.command()
@click.argument("name")
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="SERVER[=PREFIX]",
    help="A member; in the order given.",
)
@click.option("--description", default="", help="For people and clients.")
@click.option(
    "--separator",
    default="__",
    show_default=True,
    help="Between a prefix and a tool's name.",
)
@click.option("--org", help="The organisation that it is for; absent: you.")
@json_option
def create(  # noqa: PLR0917 - click passes what the command line holds
    name: str,
    servers: tuple[str, ...],
    description: str,
    separator: str,
    org: str | None,
    *,
    as_json: bool,
) -> None:
    """Make a bundle; its key is shown this once."""
    members = [
        {"server": server, "prefix": prefix}
        for server, _, prefix in (item.partition("=") for item in servers)
    ]
    body = {
        "name": name,
        "description": description,
        "separator": separator,
        "members": members,
        **({"org": org} if org else {}),
    }
    made = client().post("/api/bundles", body)
    if as_json:
        emit_json(made)
        return
    _tell(made["bundle"])
    click.echo("Endpoint key, shown this once:", err=True)
    click.echo(made["endpoint_key"])


@bundles.command()
@click.argument("bundle")
@json_option
def show(bundle: str, *, as_json: bool) -> None:
    """Show a bundle and its members."""
    found = client().get(path_of("bundles", bundle))
    if as_json:
        emit_json(found)
    else:
        _tell(found)


@bundles.command()
@click.argument("bundle")
@click.option("--description", help="For people and clients.")
@click.option("--separator", help="Between a prefix and a tool's name.")
@json_option
def change(
    bundle: str, description: str | None, separator: str | None, *, as_json: bool
) -> None:
    """Change what a bundle says, or how it separates names."""
    given = {"description": description, "separator": separator}
    body = {name: value for name, value in given.items() if value is not None}
    found = client().send("PATCH", path_of("bundles", bundle), body).json()
    if as_json:
        emit_json(found)
    else:
        _tell(found)


@bundles.command()
@click.argument("bundle")
@click.argument("server")
@click.option(
    "--prefix",
    default="",
    help="Before the names of its tools; absent: made from its name.",
)
@click.option(
    "--tool",
    "tools",
    multiple=True,
    help="The only tools that are offered; absent: all.",
)
@click.option(
    "--rename",
    multiple=True,
    metavar="TOOL=NAME",
    help="Another name, without any prefix.",
)
@click.option(
    "--describe", multiple=True, metavar="TOOL=TEXT", help="Another description."
)
@json_option
def add(  # noqa: PLR0913, PLR0917 - click passes what the command line holds
    bundle: str,
    server: str,
    prefix: str,
    tools: tuple[str, ...],
    rename: tuple[str, ...],
    describe: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Add a server as the last member, or give a member new settings."""
    overrides: dict[str, dict[str, str]] = {}
    for kind, items in (("name", rename), ("description", describe)):
        for item in items:
            tool, equals, value = item.partition("=")
            if not equals:
                raise click.UsageError(f"{item!r} is not TOOL=…")
            overrides.setdefault(tool, {})[kind] = value
    body = {"prefix": prefix, "tools": list(tools) or None, "overrides": overrides}
    path = path_of("bundles", bundle, "members", server)
    found = client().send("PUT", path, body).json()
    if as_json:
        emit_json(found)
    else:
        _tell(found)


@bundles.command()
@click.argument("bundle")
@click.argument("server")
@json_option
def remove(bundle: str, server: str, *, as_json: bool) -> None:
    """Take a server out of a bundle; the server stays."""
    found = client().delete(path_of("bundles", bundle, "members", server))
    if as_json:
        emit_json(found)
    else:
        _tell(found)


@bundles.command()
@click.argument("bundle")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(bundle: str, *, yes: bool, as_json: bool) -> None:
    """Remove a bundle and its endpoint; its members stay."""
    if not yes:
        click.confirm(f"Delete the bundle {bundle}?", abort=True, err=True)
    client().delete(path_of("bundles", bundle))
    if as_json:
        emit_json({"deleted": bundle})
    else:
        click.echo(f"{bundle} is gone.")


@bundles.command()
@click.argument("bundle")
@json_option
def tools(bundle: str, *, as_json: bool) -> None:
    """Show a bundle's tools as clients see them, and those that are left out."""
    found = client().get(path_of("bundles", bundle, "tools"))
    if as_json:
        emit_json(found)
        return
    table(
        ("tool", "of", "offered", "remarks"),
        [
            (
                item["name"] or item["own_name"],
                item["server"],
                "yes" if item["is_offered"] else "no",
                item["warning"],
            )
            for item in found["items"]
        ],
        empty="No tools: a member's are known once its server has been running.",
    )


@bundles.command()
@click.argument("bundle")
@call_options
def call(  # noqa: PLR0917 - click passes what the command line holds
    bundle: str,
    tool: str,
    arguments: tuple[str, ...],
    raw: str | None,
    timeout: float,
    *,
    as_json: bool,
) -> None:
    """Call a tool by the name that clients see; exit code 1 when the tool failed."""
    place = ("bundles", bundle)
    given = given_arguments(place, tool, arguments, raw)
    show_call(place, tool, given, timeout, as_json=as_json)


@bundles.command()
@click.argument("bundle")
@connect_options
def connect(bundle: str, wanted: str, key: str | None, *, as_json: bool) -> None:
    """Show what to paste into an MCP client."""
    show_configs(("bundles", bundle), wanted, key, as_json=as_json)


@bundles.command()
@click.argument("bundle")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def key(bundle: str, *, yes: bool, as_json: bool) -> None:
    """Make a new endpoint key; the old one stops working at once."""
    replace_key(("bundles", bundle), yes=yes, as_json=as_json)


def _tell(bundle: dict[str, Any]) -> None:
    pairs(
        [
            ("name", bundle["name"]),
            ("id", bundle["id"]),
            ("organisation", bundle["org"]),
            ("description", bundle["description"]),
            ("separator", bundle["separator"]),
            ("endpoint", bundle["endpoint"]),
            ("key", f"{bundle['endpoint_key_prefix']}…"),
        ]
    )
    table(
        ("member", "prefix", "status", "tools", "changed"),
        [
            (
                item["server"],
                item["prefix"],
                state(item["status"])
                if item["is_permitted"]
                else "left out: another owner",
                "all" if item["tools"] is None else len(item["tools"]),
                ", ".join(
                    f"{tool}→{said['name']}" if said["name"] else tool
                    for tool, said in item["overrides"].items()
                ),
            )
            for item in bundle["members"]
        ],
        empty="No members. 'mcpctl bundles add BUNDLE SERVER' adds one.",
    )
