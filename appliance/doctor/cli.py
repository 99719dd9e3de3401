"""``mcp-host doctor``."""

import json
import sys
from typing import Any

import click

from appliance.settings import SettingsError, load_settings

_SIGNS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
)
def doctor(*, output: str) -> None:
    """Look at everything that this installation needs, and say how to mend what is wrong.

    Works whether the appliance runs or not. Exits 0 when all is well, 1 with warnings, 2 when something does not work.
    """
    rows = _rows()
    code = max({"ok": 0, "warn": 1, "fail": 2}[row["verdict"]] for row in rows)
    if output == "json":
        click.echo(
            json.dumps(
                {"verdict": ["ok", "warn", "fail"][code], "findings": rows}, indent=1
            )
        )
    else:
        width = max(len(row["part"]) for row in rows)
        for row in rows:
            click.echo(
                f"{_SIGNS[row['verdict']]}  {row['part']:<{width}}  {row['text']}"
            )
            if row["mend"] and row["verdict"] != "ok":
                click.echo(f"      {'':<{width}}  → {row['mend']}")
    sys.exit(code)


def _rows() -> list[dict[str, Any]]:
    try:
        settings = load_settings()
    except SettingsError as error:
        return [
            {
                "part": "settings",
                "verdict": "fail",
                "text": line,
                "mend": "docs/configuration.md",
            }
            for line in str(error).splitlines()
        ]
    from appliance.doctor.rounds import look  # noqa: PLC0415 - loads what it looks with

    def told(part: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r\033[K{part} …", err=True, nl=False)

    found = look(settings, told=told)
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
    return [
        {
            "part": item.part,
            "verdict": item.verdict.name.lower(),
            "text": item.text,
            "mend": item.mend,
        }
        for item in found
    ]
