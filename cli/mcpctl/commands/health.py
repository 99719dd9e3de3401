"""servers health, check and status-history: whether a server is well, since when, and why not."""

import json
from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, pairs, state, table


@click.command()
@click.argument("server")
@json_option
def health(server: str, *, as_json: bool) -> None:
    """Show whether a server does what its users come for, question by question."""
    _show(client().get(path_of("servers", server, "health")), as_json=as_json)


@click.command()
@click.argument("server")
@json_option
def check(server: str, *, as_json: bool) -> None:
    """Ask a server now; ends with 1 if it is not ready."""
    found = client().post(path_of("servers", server, "check"))
    _show(found, as_json=as_json)
    if found["state"] != "ready":
        raise SystemExit(1)


@click.command("set-health")
@click.argument("server")
@click.option("--interval", type=float, help="Seconds within which the status follows.")
@click.option("--timeout", type=float, help="Seconds that one check may take.")
@click.option("--failures", type=int, help="Failed checks that make it degraded.")
@click.option("--successes", type=int, help="Good checks that make it run again.")
@click.option("--canary", metavar="TOOL", help="A tool to call at every check.")
@click.option("--arguments", metavar="JSON", help="The canary's arguments.")
@click.option("--no-canary", is_flag=True, help="Call none.")
@json_option
def set_health(  # noqa: PLR0913 - one an option
    server: str,
    *,
    interval: float | None,
    timeout: float | None,
    failures: int | None,
    successes: int | None,
    canary: str | None,
    arguments: str | None,
    no_canary: bool,
    as_json: bool,
) -> None:
    """Change how a server is checked; what is not given stays. Holds at once, without a redeploy."""
    hub, place = client(), path_of("servers", server, "health")
    given = {
        "interval_s": interval,
        "timeout_s": timeout,
        "failures": failures,
        "successes": successes,
    }
    policy = hub.get(place)["policy"]
    policy |= {name: value for name, value in given.items() if value is not None}
    if canary or arguments:
        policy["canary"] = _canary(policy["canary"] or {}, canary, arguments)
    if no_canary:
        policy["canary"] = None
    _show(hub.send("PUT", place, policy).json(), as_json=as_json)


@click.command("status-history")
@click.argument("server")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@json_option
def status_history(server: str, limit: int, *, as_json: bool) -> None:
    """Show how a server's status changed, newest first, with the reasons."""
    place = path_of("servers", server, "status-history")
    found = client().get(place, limit=limit)
    if as_json:
        emit_json(found)
        return
    table(
        ("when", "status", "before", "deployment", "reason"),
        [
            (age(item["at"]), state(item["to"]), item["from"] or "new",
             item["deployment"] or "", item["reason"])
            for item in found["items"]
        ],
        empty="It has no history.",
    )  # fmt: skip


def _canary(
    before: dict[str, Any], tool: str | None, arguments: str | None
) -> dict[str, Any]:
    try:
        read = json.loads(arguments) if arguments else None
    except json.JSONDecodeError as error:
        text = 'give a JSON object, such as {"timezone": "UTC"}'
        raise click.BadParameter(text, param_hint="--arguments") from error
    if not (tool or before.get("tool")):
        raise click.BadParameter("name the tool", param_hint="--canary")
    kept = before.get("arguments", {}) if tool in {None, before.get("tool")} else {}
    return {
        "tool": tool or before["tool"],
        "arguments": kept if read is None else read,
    }


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(found)
        return
    policy, share = found["policy"], found["uptime"]["share"]
    canary = policy["canary"]
    pairs(
        [
            ("status", state(found["status"])),
            ("health", f"{state(found['state'])} for {age(found['since'])}"),
            ("process", found["liveness"]),
            ("reason", found["reason"] or "-"),
            ("checked", _ago(found["checked_at"])),
            ("last day", "-" if share is None else f"running {100 * share:.4g} %"),
            ("checks", f"within {policy['interval_s']:g} s, each {policy['timeout_s']:g} s at most"),
            ("canary", f"{canary['tool']} {json.dumps(canary['arguments'])}" if canary else "none"),
        ]
    )  # fmt: skip
    click.echo()
    table(
        ("question", "answer", "found"),
        [(step["name"], state(step["result"]), step["detail"]) for step in found["steps"]],
        empty="It has not been asked yet.",
    )  # fmt: skip
    if found["answer"]:
        click.echo(f"\nThe failing answer:\n{found['answer']}")


def _ago(moment: str | None) -> str:
    return f"{age(moment)} ago" if moment else "never"
