"""egress: where a server may go, where it went, and what it was denied."""

from collections.abc import Sequence
from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, pairs, table

MODES = ("none", "allow-list", "open")


@click.group()
def egress() -> None:
    """See and change where a server may go; a change counts at once."""


def _place(server: str, *more: str) -> str:
    return path_of("servers", server, "egress", *more)


def _tell(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(found)
        return
    chosen = "" if found["is_chosen"] else " (nobody chose: what it declares)"
    pairs(
        [
            ("network", found["mode"] + chosen),
            ("learns", "yes" if found["learn"] else "no"),
            ("enforced", "yes" if found["enforced"] else f"no: {found['problem']}"),
        ]
    )
    why = {item["host"]: item["why"] for item in found["declared"]}
    notes = dict.fromkeys(found["services"], "for its services")
    click.echo()
    table(
        ("may reach", "private", "why"),
        [
            (
                host,
                "yes" if host in found["private"] else "",
                notes.get(host) or why.get(host, ""),
            )
            for host in found["hosts"]
        ],
        empty="It may reach no host by name.",
    )


@egress.command()
@click.argument("server")
@json_option
def show(server: str, *, as_json: bool) -> None:
    """Show where a server may go, and whether this box holds it to that."""
    _tell(client().get(_place(server)), as_json=as_json)


@egress.command("set")
@click.argument("server")
@click.option("--mode", type=click.Choice(MODES), help="How much of the network.")
@click.option("--host", "hosts", multiple=True, help="host:port; replaces the list.")
@click.option(
    "--private",
    multiple=True,
    help="host:port that may lead to a private address; for administrators.",
)
@click.option("--default", "is_default", is_flag=True, help="What it declares.")
@json_option
def set_(
    server: str,
    *,
    mode: str | None,
    hosts: Sequence[str],
    private: Sequence[str],
    is_default: bool,
    as_json: bool,
) -> None:
    """Choose where a server may go; what is not given stays."""
    hub = client()
    if is_default:
        _tell(hub.delete(_place(server)), as_json=as_json)
        return
    body = _chosen(hub.get(_place(server)))
    if mode:
        body["mode"] = mode
    if hosts or private:
        body["hosts"] = list(dict.fromkeys((*hosts, *private)))
        body["private"] = list(private)
    _tell(hub.send("PUT", _place(server), body).json(), as_json=as_json)


def _chosen(found: dict[str, Any]) -> dict[str, Any]:
    """Return what somebody would have chosen: what services need is added anyway."""
    services = found["services"]
    return {
        "mode": found["mode"],
        "learn": found["learn"],
        "hosts": [host for host in found["hosts"] if host not in services],
        "private": [host for host in found["private"] if host not in services],
    }


@egress.command()
@click.argument("server")
@click.argument("hosts", nargs=-1)
@click.option(
    "--private",
    is_flag=True,
    help="They may lead to private addresses; for administrators.",
)
@click.option("--proposed", is_flag=True, help="Everything that it was denied by name.")
@json_option
def allow(
    server: str, hosts: Sequence[str], *, private: bool, proposed: bool, as_json: bool
) -> None:
    """Let a server reach more hosts, each as host:port."""
    if not hosts and not proposed:
        raise click.UsageError("Give hosts, or --proposed.")
    body = {"hosts": list(hosts), "private": private}
    _tell(client().post(_place(server, "allow"), body), as_json=as_json)


@egress.command()
@click.argument("server")
@click.option("--forget", is_flag=True, help="Empty the list instead.")
@json_option
def denied(server: str, *, forget: bool, as_json: bool) -> None:
    """List what a server was denied in the last 30 days, the latest first."""
    if forget:
        client().send("DELETE", _place(server, "denied"))
        click.echo("The list is empty.")
        return
    found = client().get(_place(server, "denied"))
    if as_json:
        emit_json(found)
        return
    table(
        ("where to", "by", "why not", "times", "last"),
        [
            (
                f"{item['destination']}:{item['port']}"
                if item["port"]
                else item["destination"],
                "name only" if item["protocol"] == "dns" else item["protocol"],
                item["reason"],
                item["attempts"],
                age(item["last_at"]),
            )
            for item in found["items"]
        ],
        empty="Nothing was denied.",
    )
    if found["proposed"]:
        click.echo(f"\nTo allow: mcpctl egress allow {server} --proposed, which means")
        for host in found["proposed"]:
            click.echo(f"  {host}")


@egress.command()
@click.argument("server")
@click.argument("switch", type=click.Choice(["on", "off"]))
@json_option
def learn(server: str, switch: str, *, as_json: bool) -> None:
    """Have denied attempts show their port, so that they can be proposed; they stay denied."""
    hub = client()
    body = _chosen(hub.get(_place(server))) | {"learn": switch == "on"}
    _tell(hub.send("PUT", _place(server), body).json(), as_json=as_json)
