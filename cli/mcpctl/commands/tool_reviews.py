"""tools: which definitions of a server's tools are approved, what differs from them, and who decides."""

import json
from difflib import unified_diff
from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, table

_REASON = click.option("--reason", default="", help="Why; kept for the record.")
_YES = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def tools() -> None:
    """Review tools that are not those that were approved. SERVER is a name or an id."""


@tools.command()
@click.argument("server")
@json_option
def pins(server: str, *, as_json: bool) -> None:
    """Show what is approved, since when and by whom."""
    found = client().get(path_of("servers", server, "tool-pins"))
    if as_json:
        emit_json(found)
        return
    table(
        ("kind", "name", "approved", "by", "deployment", "stands out"),
        [
            (
                item["kind"],
                _shown(item["name"]),
                f"{age(item['approved_at'])} ago",
                item["approved_by"],
                f"#{item['deployment']}",
                _worst(item["findings"]),
            )
            for item in found["items"]
        ],
        empty="Nothing yet: what the first deployment gives is approved in the name of whoever wants it.",
    )


@tools.command()
@click.argument("server")
@json_option
def changes(server: str, *, as_json: bool) -> None:
    """Show what differs from what was approved."""
    found = client().get(path_of("servers", server, "tool-changes"))
    if as_json:
        emit_json(found)
        return
    _tell(found)


@tools.command()
@click.argument("server")
@click.argument("names", nargs=-1, metavar="[TOOL]...")
@_REASON
@_YES
@json_option
def approve(
    server: str, names: tuple[str, ...], reason: str, *, yes: bool, as_json: bool
) -> None:
    """Have these tools, or all that differ, hold as they are now."""
    _decide("approve", server, names, reason, yes=yes, as_json=as_json)


@tools.command()
@click.argument("server")
@click.argument("names", nargs=-1, metavar="[TOOL]...")
@_REASON
@_YES
@json_option
def reject(
    server: str, names: tuple[str, ...], reason: str, *, yes: bool, as_json: bool
) -> None:
    """Hold these tools back, or all that differ, until somebody approves them."""
    _decide("reject", server, names, reason, yes=yes, as_json=as_json)


@tools.command()
@click.argument("server")
@json_option
def decisions(server: str, *, as_json: bool) -> None:
    """Show what was decided, newest first."""
    found = client().get(path_of("servers", server, "tool-decisions"))
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "when", "who", "what", "about", "why"),
        [
            (
                item["id"],
                f"{age(item['at'])} ago",
                item["actor"],
                item["action"] + (" (taken back)" if item["is_undone"] else ""),
                ", ".join(_shown(about["name"]) for about in item["items"][:5]),
                item["reason"],
            )
            for item in found["items"]
        ],
        empty="Nothing was decided yet.",
    )


@tools.command()
@click.argument("server")
@click.argument("decision", type=int)
@_REASON
@json_option
def undo(server: str, decision: int, reason: str, *, as_json: bool) -> None:
    """Take a decision back; 'mcpctl tools decisions' shows their ids."""
    path = path_of("servers", server, "tool-decisions", str(decision), "undo")
    _told(client().post(path, {"reason": reason}), "Taken back.", as_json=as_json)


def _decide(
    action: str,
    server: str,
    names: tuple[str, ...],
    reason: str,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what is decided about, ask, and decide about exactly that."""
    hub = client()
    place = path_of("servers", server, "tool-changes")
    found = hub.get(place)
    chosen = [item for item in found["items"] if not names or item["name"] in names]
    known = {item["name"] for item in chosen}
    if missing := [name for name in names if name not in known]:
        raise click.ClickException(f"Nothing differs of {missing[0]}.")
    if not yes and chosen:
        _tell(found | {"items": chosen}, to_stderr=True)
        question = f"{action.capitalize()} {len(chosen)} of {server}?"
        click.confirm(question, abort=True, err=True)
    body = {"changes": [item["id"] for item in chosen], "reason": reason}
    word = "Approved." if action == "approve" else "Rejected."
    _told(hub.post(f"{place}/{action}", body), word, as_json=as_json)


def _told(left: dict[str, Any], word: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(left)
    else:
        more = f" {len(left['items'])} still differ." if left["items"] else ""
        click.echo(f"{word}{more}")


def _tell(found: dict[str, Any], *, to_stderr: bool = False) -> None:
    if not found["items"]:
        click.echo("Nothing: all definitions are as they were approved.", err=to_stderr)
    for item in found["items"]:
        held = ", held back" if item["is_held"] else ""
        old = f"{_shown(item['renamed_from'])} -> " if item["renamed_from"] else ""
        click.echo(
            f"{item['what']} {item['kind']} {old}{_shown(item['name'])} ({item['state']}{held})",
            err=to_stderr,
        )
        for finding in item["findings"]:
            click.echo(
                f"  ! {finding['severity']}: {finding['message']} [{finding['place']}] {finding['text']}",
                err=to_stderr,
            )
        for line in _diff(item["before"], item["after"]):
            click.echo(f"  {line}", err=to_stderr)


def _diff(before: Any, after: Any) -> list[str]:
    told = unified_diff(_lines(before), _lines(after), lineterm="", n=2)
    return [_shown(line) for line in told if not line.startswith(("---", "+++", "@@"))]


def _lines(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return value.splitlines()
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()


def _shown(text: str) -> str:
    """Return ``text`` so that a terminal does nothing but show it."""
    return "".join(
        letter if letter.isprintable() or letter == " " else f"<U+{ord(letter):04X}>"
        for letter in text
    )


def _worst(findings: list[dict[str, Any]]) -> str:
    if not findings:
        return ""
    return f"{findings[0]['severity']}: {findings[0]['rule']}"
