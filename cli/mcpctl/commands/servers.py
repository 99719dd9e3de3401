"""servers: list, show and change hosted servers."""

from typing import Any
from urllib.parse import urlencode

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.lazy import LazyGroup
from mcpctl.output import age, emit_json, pairs, source, state, table
from mcpctl.watch import wait_until_settled

ADDRESSES = {
    "create": "mcpctl.commands.create:create",
    "archive": "mcpctl.commands.sources:archive",
    "credential": "mcpctl.commands.sources:credential",
    "server-json": "mcpctl.commands.sources:server_json",
    "logs": "mcpctl.commands.logs:logs",
    "build": "mcpctl.commands.logs:build",
    "build-log": "mcpctl.commands.logs:build_log",
    "lock": "mcpctl.commands.packages:lock",
    "set": "mcpctl.commands.packages:set_",
    "tools": "mcpctl.commands.tools:tools",
    "call": "mcpctl.commands.tools:call",
    "manifest": "mcpctl.commands.manifest:manifest",
    "connect": "mcpctl.commands.connect:connect",
    "key": "mcpctl.commands.connect:key",
    "transfer": "mcpctl.commands.transfers:server",
    "dockerfile": "mcpctl.commands.dockerfile:dockerfile",
    "isolation": "mcpctl.commands.isolation:isolation",
    "webhook": "mcpctl.commands.webhooks:webhook",
    "health": "mcpctl.commands.health:health",
    "check": "mcpctl.commands.health:check",
    "set-health": "mcpctl.commands.health:set_health",
    "status-history": "mcpctl.commands.health:status_history",
}


@click.group(cls=LazyGroup, addresses=ADDRESSES)
def servers() -> None:
    """Host, watch, call and change servers. SERVER is a name or an id."""


@servers.command("list")
@click.option("-q", "--query", help="Part of the name.")
@click.option("--status", help="Only servers of this status.")
@json_option
def list_servers(query: str | None, status: str | None, *, as_json: bool) -> None:
    """Show your servers."""
    found = client().get_all("/api/servers", q=query, status=status)
    if as_json:
        emit_json({"items": found})
        return
    table(
        ("name", "status", "since", "source", "reason"),
        [
            (item["name"], state(item["status"]), age(item["status_since"]),
             source(item["source"]), item["status_reason"])
            for item in found
        ],
        empty="No servers. 'mcpctl servers create --package pypi:mcp-server-time --wait' hosts one.",
    )  # fmt: skip


@servers.command()
@click.argument("server")
@json_option
def show(server: str, *, as_json: bool) -> None:
    """Show one server."""
    tell(client().get(path_of("servers", server)), as_json=as_json)


@servers.command()
@click.argument("server")
@json_option
def sessions(server: str, *, as_json: bool) -> None:
    """Show the containers that single sessions of a stdio server have."""
    found = client().get(path_of("servers", server, "sessions"))
    if as_json:
        emit_json(found)
        return
    table(
        ("session", "container", "running", "since"),
        [
            (item["session"], item["container_id"][:12],
             "yes" if item["is_running"] else "no", age(item["created_at"]))
            for item in found["items"]
        ],
        empty="None: all sessions share the server's own container.",
    )  # fmt: skip


@servers.command()
@click.argument("server")
@click.option("--wait", is_flag=True, help="Wait until the server runs.")
@json_option
def start(server: str, *, wait: bool, as_json: bool) -> None:
    """Want a server running."""
    hub = client()
    found = hub.post(path_of("servers", server, "start"))
    if wait:
        found = wait_until_settled(hub, found, quiet=as_json)
    tell(found, as_json=as_json)


@servers.command()
@click.argument("server")
@json_option
def stop(server: str, *, as_json: bool) -> None:
    """Want a server stopped."""
    tell(client().post(path_of("servers", server, "stop")), as_json=as_json)


@servers.command()
@click.argument("server")
@click.option(
    "--wait", is_flag=True, help="Show the build and wait until the server runs."
)
@click.option(
    "--as-of",
    metavar="DAY",
    help="Resolve the package anew, with what was published until this day.",
)
@json_option
def redeploy(server: str, as_of: str | None, *, wait: bool, as_json: bool) -> None:
    """Build and start a server anew from its source; what a package needs stays while its version does."""
    hub = client()
    query = f"?{urlencode({'as_of': as_of})}" if as_of else ""
    found = hub.post(path_of("servers", server, "redeploy") + query)
    if wait:
        found = wait_until_settled(hub, found, quiet=as_json)
    tell(found, as_json=as_json)


@servers.command()
@click.argument("server")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(server: str, *, yes: bool, as_json: bool) -> None:
    """Remove a server with its data. There is no way back."""
    hub = client()
    found = hub.get(path_of("servers", server))
    if not yes:
        click.confirm(
            f"Delete {found['name']} with its container, data and images?",
            abort=True,
            err=True,
        )
    gone = hub.delete(path_of("servers", found["id"]))
    if as_json:
        emit_json(gone)
    else:
        click.echo(f"{gone['name']} is being deleted.")


def tell(server: dict[str, Any], *, as_json: bool) -> None:
    """Print one server."""
    if as_json:
        emit_json(server)
        return
    deployment = server.get("deployment") or {}
    resolved = deployment.get("resolved") or {}
    pairs(
        [
            ("name", server["name"]),
            ("id", server["id"]),
            ("status", state(server["status"])),
            ("reason", server["status_reason"]),
            ("since", f"{server['status_since']} ({age(server['status_since'])})"),
            ("wanted", server["desired_state"]),
            ("source", source(server["source"])),
            ("needs", ", ".join(server.get("missing_settings") or ())),
            ("version", resolved.get("version") or resolved.get("revision")),
            ("as of", resolved.get("as_of")),
            (
                "deployment",
                deployment and f"{deployment['number']} {deployment['state']}",
            ),
            ("endpoint", server["endpoint"]),
            ("key", f"{server['endpoint_key_prefix']}…"),
        ]
    )
