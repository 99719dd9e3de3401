"""deployments: a server's history, what each attempt changed, going back, cancelling, locks."""

import json
from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, pairs, state, table


@click.group()
def deployments() -> None:
    """Look at a server's deployments, compare them, go back to one, cancel one, lock them."""


@deployments.command("list")
@click.argument("server")
@click.option("--state", "wanted", help="Only those of this state, such as failed.")
@click.option("--trigger", help="Only those started by this, such as webhook.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100))
@json_option
def list_(
    server: str, wanted: str | None, trigger: str | None, limit: int, *, as_json: bool
) -> None:
    """List attempts to make a version live, newest first."""
    place = path_of("servers", server, "deployments")
    given = {"state": wanted, "trigger": trigger}
    query = {name: value for name, value in given.items() if value}
    found = client().get(place, limit=limit, **query)
    if as_json:
        emit_json(found)
        return
    table(
        ("number", "state", "started by", "version", "age", "who", "back", "reason"),
        [
            (item["number"], state(item["state"]), item["trigger"], _version(item),
             age(item["created_at"]), item["requested_by"],
             "yes" if item["is_retained"] else "", item["reason"])
            for item in found["items"]
        ],
        empty="Nothing was deployed yet.",
    )  # fmt: skip


@deployments.command()
@click.argument("server")
@click.argument("number", type=click.IntRange(1))
@click.option("--log", is_flag=True, help="The build's log instead.")
@json_option
def show(server: str, number: int, *, log: bool, as_json: bool) -> None:
    """Show one attempt: who and why, what it is made of, and whether that is what runs."""
    place = path_of("servers", server, "deployments", str(number))
    found = client().get(f"{place}/log" if log else place)
    if as_json:
        emit_json(found)
    elif log:
        for line in found["items"]:
            click.echo(line["text"])
    else:
        _show(found)


@deployments.command()
@click.argument("server")
@click.argument("number", type=click.IntRange(1))
@click.option("--against", type=click.IntRange(1), help="Default: the one before.")
@json_option
def diff(server: str, number: int, against: int | None, *, as_json: bool) -> None:
    """Show what a deployment has otherwise than another."""
    place = path_of("servers", server, "deployments", str(number), "diff")
    query = {"against": against} if against else {}
    found = client().get(place, **query)
    if as_json:
        emit_json(found)
        return
    table(
        ("field", f"#{found['before']}" if found["before"] else "before", f"#{number}"),
        [
            (item["field"], _value(item["before"]), _value(item["after"]))
            for item in found["changes"]
        ],
        empty="Nothing differs.",
    )


@deployments.command()
@click.argument("server")
@click.argument("number", type=click.IntRange(1))
@json_option
def rollback(server: str, number: int, *, as_json: bool) -> None:
    """Go back to a deployment: its image, source and configuration, without a build."""
    made = client().post(
        path_of("servers", server, "deployments", str(number), "rollback")
    )
    if as_json:
        emit_json(made)
    else:
        click.echo(f"Deployment {made['number']} goes back to {number}.")


@deployments.command()
@click.argument("server")
@click.argument("number", type=click.IntRange(1))
@json_option
def cancel(server: str, number: int, *, as_json: bool) -> None:
    """End a deployment that is on its way; what is live goes on."""
    ended = client().post(
        path_of("servers", server, "deployments", str(number), "cancel")
    )
    if as_json:
        emit_json(ended)
    else:
        click.echo(f"Deployment {number} is {ended['state']}.")


@deployments.command()
@click.argument("server")
@click.argument("reason")
@json_option
def lock(server: str, reason: str, *, as_json: bool) -> None:
    """Refuse redeploys, rollbacks and webhooks of a server; REASON is told to whoever tries."""
    made = client().post(path_of("servers", server, "deploy-lock"), {"reason": reason})
    if as_json:
        emit_json(made)
    else:
        click.echo(f"Locked by {made['locked_by']}: {made['reason']}")


@deployments.command()
@click.argument("server")
@json_option
def unlock(server: str, *, as_json: bool) -> None:
    """Let a server be deployed again."""
    client().delete(path_of("servers", server, "deploy-lock"))
    if as_json:
        emit_json({"unlocked": server})
    else:
        click.echo(f"{server} may be deployed.")


@deployments.command()
@click.argument("server")
@click.option("--drain", type=float, help="Seconds that calls on the old version have.")
@click.option("--retain", type=int, help="Deployments that can be gone back to.")
@click.option("--watch", type=float, help="Seconds in which one may be taken back.")
@click.option(
    "--auto-rollback/--no-auto-rollback",
    default=None,
    help="Whether a version whose calls fail is taken back.",
)
@json_option
def policy(
    server: str,
    *,
    drain: float | None,
    retain: int | None,
    watch: float | None,
    auto_rollback: bool | None,
    as_json: bool,
) -> None:
    """Show or change how versions take each other's place; it holds at once."""
    hub = client()
    found = hub.get(path_of("servers", server))["config"]["deploys"]
    given = {
        "drain_s": drain,
        "retain": retain,
        "watch_s": watch,
        "auto_rollback": auto_rollback,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    if changed:
        place = path_of("servers", server, "deploy-policy")
        found = hub.send("PUT", place, found | changed).json()
    if as_json:
        emit_json(found)
        return
    pairs(
        [
            ("drain", f"{found['drain_s']:g} s"),
            ("retain", found["retain"]),
            ("taken back", "by itself" if found["auto_rollback"] else "by hand alone"),
            ("watched", f"{found['watch_s']:g} s"),
        ]
    )


def _show(item: dict[str, Any]) -> None:
    same = item["runs_as_wanted"]
    runs = {None: "not compared", True: "what was deployed"}.get(
        same, f"{item['running_digest']} instead of {item['wanted_digest']}"
    )
    pairs(
        [
            ("number", item["number"]),
            ("state", state(item["state"])),
            ("reason", item["reason"] or "-"),
            ("started by", f"{item['trigger']}, {item['requested_by']}, {age(item['created_at'])} ago"),
            ("live", f"{age(item['live_at'])} ago" if item["live_at"] else "never"),
            ("version", _version(item) or "-"),
            ("image", item["image"] or "-"),
            ("made of", f"deployment {item['made_of']}" if item["made_of"] else "its own build"),
            ("runs", runs),
            ("can go back", "yes" if item["is_retained"] else "no"),
        ]
    )  # fmt: skip


def _version(item: dict[str, Any]) -> str:
    resolved = item["resolved"]
    return str(resolved.get("version") or resolved.get("revision") or "")[:14]


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)
