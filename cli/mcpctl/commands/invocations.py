"""invocations: every call of a server."""

import json
from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, pairs, printable_lines, state, table


@click.group()
def invocations() -> None:
    """List, show and sum up calls. SERVER is a name or an id."""


@invocations.command("list")
@click.argument("server")
@click.option(
    "-q", "--query", "q", help="Part of a tool's, prompt's or resource's name."
)
@click.option("--tool", help="The whole name.")
@click.option("--method", help="The JSON-RPC method, such as tools/call.")
@click.option("--principal", help="Who called, such as user:5 or bundle:3.")
@click.option("--outcome", type=click.Choice(["ok", "error"]))
@click.option(
    "--status", type=click.IntRange(1, 5), help="First digit of the HTTP status."
)
@click.option("--error-class", help="Such as tool_error.")
@click.option("--min-ms", "min_duration_ms", type=float, help="Took so long or longer.")
@click.option("--since", help="ISO time with zone, such as 2026-11-21T08:00:00Z.")
@click.option("--until", help="As --since.")
@click.option("--limit", type=click.IntRange(1, 200), default=30, show_default=True)
@click.option("--cursor", help="next_cursor of the page before; --json shows it.")
@json_option
def list_invocations(server: str, *, as_json: bool, **options: Any) -> None:
    """Show the newest calls."""
    found = client().get(path_of("servers", server, "invocations"), **options)
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "when", "method", "target", "by", "outcome", "http", "took"),
        [
            (item["id"], age(item["started_at"]), item["method"], item["target"], item["caller"],
             state(item["error_class"] or "ok"), item["http_status"], _took(item["duration_ms"]))
            for item in found["items"]
        ],
        empty="No such calls.",
    )  # fmt: skip
    if found["next_cursor"]:
        click.echo(f"More: --cursor {found['next_cursor']}", err=True)


@invocations.command()
@click.argument("server")
@click.argument("invocation_id", type=int)
@json_option
def show(server: str, invocation_id: int, *, as_json: bool) -> None:
    """Show one call, with what is kept of its request and its answer."""
    path = path_of("servers", server, "invocations", invocation_id)
    found = client().get(path)
    if as_json:
        emit_json(found)
        return
    pairs(
        [
            ("id", found["id"]),
            ("when", f"{found['started_at']} ({age(found['started_at'])})"),
            ("method", found["method"]),
            ("target", found["target"]),
            ("by", f"{found['caller']} ({found['principal']})"),
            ("outcome", state(found["error_class"] or "ok")),
            ("http", found["http_status"]),
            ("rpc code", found["rpc_code"]),
            ("took", _took(found["duration_ms"])),
            ("sizes", f"{found['request_bytes']} / {found['response_bytes']} bytes"),
            ("trace", found["traceparent"]),
        ]
    )
    for name in ("request", "response"):
        if found[name]:
            click.echo(f"\n{name}:")
            click.echo("\n".join(printable_lines(_pretty(found[name]))))


@invocations.command()
@click.argument("server")
@click.option(
    "--hours", type=float, default=24, show_default=True, help="How far back."
)
@json_option
def summary(server: str, hours: float, *, as_json: bool) -> None:
    """Show how many calls there were, how many failed and how long they took."""
    path = path_of("servers", server, "invocations", "summary")
    found = client().get(path, hours=hours)
    if as_json:
        emit_json(found)
        return
    everything = {"method": "all", "target": "", **found["total"]}
    table(
        ("method", "target", "calls", "errors", "p50", "p90", "p99", "longest"),
        [
            (item["method"], item["target"], item["calls"], item["errors"],
             *(_took(item[name]) for name in ("p50_ms", "p90_ms", "p99_ms", "max_ms")))
            for item in [everything, *found["tools"]]
        ],
        empty="",
    )  # fmt: skip
    if found["sample"]:
        click.echo(f"Of the newest {found['sample']} calls.", err=True)


def _took(milliseconds: float) -> str:
    if milliseconds < 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds:.3g} ms"
    return f"{milliseconds / 1000:.3g} s"


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
