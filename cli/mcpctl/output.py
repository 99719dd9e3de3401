"""What people read: tables, ages, colours where a terminal is."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

_COLOURS = {
    "running": "green",
    "launch": "green",
    "refuse": "red",
    "hold-evaluation": "yellow",
    "hold-governance": "yellow",
    "succeeded": "green",
    "ok": "green",
    "ready": "green",
    "passed": "green",
    "failing": "red",
    "live": "green",
    "active": "green",
    "completed": "green",
    "rejected": "red",
    "rolled_back": "red",
    "healthy": "green",
    "expiring": "yellow",
    "expired": "red",
    "missing": "red",
    "error": "red",
    "failed": "red",
    "down": "red",
    "degraded": "yellow",
    "stopped": "bright_black",
    "cancelled": "bright_black",
    "superseded": "bright_black",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def may_colour() -> bool:
    """Return whether colours reach a person: a terminal, and nobody said no."""
    return (
        sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


class Styled(str):
    """Text whose control characters are ours; any other text loses them before it is printed."""

    __slots__ = ()


def state(word: str) -> str:
    """Return a state's word, coloured where that is seen; the word alone says all."""
    return (
        Styled(click.style(word, fg=_COLOURS.get(word, "cyan")))
        if may_colour()
        else word
    )


def emit_json(data: Any) -> None:
    """Print ``data`` for a program."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str
) -> None:
    """Print ``rows`` in columns, or ``empty`` when there is none."""
    cells = [[_cell(item) for item in row] for row in rows]
    if not cells:
        click.echo(empty)
        return
    titles = [title.upper() for title in headers]
    widths = [
        max(len(click.unstyle(row[index])) for row in [titles, *cells])
        for index in range(len(titles))
    ]
    for row in [titles, *cells]:
        padded = [
            item + " " * (width - len(click.unstyle(item)))
            for item, width in zip(row, widths, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def pairs(items: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one pair a line; pairs without a value are left out."""
    shown = [
        (name, _cell(value)) for name, value in items if value not in (None, "", [], {})
    ]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name.ljust(width)}  {value}")


def _cell(value: object) -> str:
    if isinstance(value, Styled):
        return value
    text = "-" if value is None or value == "" else str(value)
    # What a server says of itself must not move the reader's cursor.
    return " ".join(
        "".join(char if char.isprintable() else " " for char in text).split()
    )


def printable_lines(text: str) -> list[str]:
    """Return foreign text as lines without control characters."""
    return [
        "".join(char if char.isprintable() or char == "\t" else "�" for char in line)
        for line in text.splitlines()
    ]


def age(timestamp: str | None) -> str:
    """Return how long ago an ISO time was, in its largest unit."""
    if not timestamp:
        return "-"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()
    if abs(seconds) < _MINUTE:
        return f"{int(seconds)}s"
    if abs(seconds) < _HOUR:
        return f"{int(seconds / _MINUTE)}m"
    if abs(seconds) < _DAY:
        return f"{int(seconds / _HOUR)}h"
    return f"{int(seconds / _DAY)}d"


def source(value: dict[str, Any]) -> str:
    """Return a server's source in one word."""
    if value.get("archive"):
        return f"{value.get('archive_name', 'archive')} ({value['archive'][:19]}…)"
    for name in ("package", "repo_url", "image", "remote_url"):
        if value.get(name):
            branch = f"#{value['branch']}" if value.get("branch") else ""
            return f"{value[name]}{branch}"
    return "-"
