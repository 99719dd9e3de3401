"""metrics: what a server used, its calls, and what happened to it."""

import math
from collections.abc import Sequence
from typing import Any

import click

from mcpctl.client import Client, path_of
from mcpctl.commands.common import client, json_option, moment
from mcpctl.output import age, emit_json, pairs, table

#: Bars of a line, from nothing to the most.
BARS = " ▁▂▃▄▅▆▇█"
WIDTH = 60
#: Newest events that are listed.
LISTED = 15


@click.command()
@click.argument("server")
@click.option(
    "--since",
    metavar="WHEN",
    default="1h",
    show_default=True,
    help="Beginning of the window: 15m, 2h, 7d, or a moment such as 2026-01-31T08:00:00Z.",
)
@click.option(
    "-f", "--follow", is_flag=True, help="Show what is used every ten seconds."
)
@json_option
def metrics(server: str, since: str, *, follow: bool, as_json: bool) -> None:
    """Show calls, latency, processor, memory and network of a server, and what happened to it."""
    hub = client()
    path = path_of("servers", server, "metrics")
    if follow:
        _follow(hub, path, as_json=as_json)
        return
    found = hub.get(f"{path}/series", since=moment(since))
    if as_json:
        emit_json(found)
        return
    _tell(found)


def _tell(found: dict[str, Any]) -> None:
    calls, errors = sum(found["calls"]), sum(found["errors"])
    share = f", {100 * errors / calls:.3g} %" if calls else ""
    pairs(
        [
            ("window", f"{found['since']} to {found['until']}"),
            ("calls", f"{calls:,}  {line(found['calls'])}"),
            ("errors", f"{errors:,}{share}"),
            ("p50", _newest(found["p50_ms"], "ms")),
            ("p99", _newest(found["p99_ms"], "ms")),
            ("processor", f"{_newest(found['cpu_percent'], '%')}  {line(found['cpu_percent'])}"),
            ("memory", f"{size(_last(found['memory_bytes']))}  {line(found['memory_bytes'])}"),
            ("received", f"{size(_last(found['received_bytes_per_s']))}/s"),
            ("sent", f"{size(_last(found['sent_bytes_per_s']))}/s"),
        ]
    )  # fmt: skip
    click.echo()
    table(
        ("when", "what", "about it"),
        [
            (age(mark["at"]), mark["kind"], mark["text"])
            for mark in found["marks"][: -LISTED - 1 : -1]
        ],
        empty="Nothing happened in this window.",
    )


def _follow(hub: Client, path: str, *, as_json: bool) -> None:
    for event in hub.events(f"{path}/stream"):
        if as_json:
            click.echo(event.data)
            continue
        item = event.json()
        if event.kind == "sample":
            click.echo(
                f"{item['at']}  {item['cpu_percent']:.3g} %  {size(item['memory_bytes'])}  "
                f"in {size(item['received_bytes_per_s'])}/s  out {size(item['sent_bytes_per_s'])}/s"
            )
        else:
            click.echo(f"{item['at']}  {item.get('event_type', event.kind)}")


def line(values: Sequence[float | None]) -> str:
    """Return the values as one line of bars; what is not known is left blank."""
    if not any(values):
        return ""
    size_of_piece = max(1, -(-len(values) // WIDTH))
    pieces = [
        [value for value in values[start : start + size_of_piece] if value is not None]
        for start in range(0, len(values), size_of_piece)
    ]
    tops = [max(piece) if piece else 0.0 for piece in pieces]
    most = max(tops)
    last = len(BARS) - 1
    return "".join(BARS[min(last, math.ceil(last * top / most))] for top in tops)


def size(count: float | None) -> str:
    """Return a number of bytes with its unit."""
    if count is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:  # noqa: PLR2004 - the step between units
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB"


def _last(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


def _newest(values: Sequence[float | None], unit: str) -> str:
    found = _last(values)
    return "-" if found is None else f"{found:.3g} {unit}"
