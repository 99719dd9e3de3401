"""doctor: what is wrong with the box, and how to mend it."""

import sys

import click

from mcpctl.commands.common import client, json_option
from mcpctl.output import emit_json, state

_CODES = {"ok": 0, "warn": 1, "fail": 2}


@click.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Have the hub look at its box, and show what is wrong and how to mend it. Exits 0, 1 (warnings) or 2."""
    found = client().get("/api/doctor")
    if as_json:
        emit_json(found)
    else:
        for item in found["findings"]:
            click.echo(f"{state(item['verdict'])}  {item['part']}: {item['text']}")
            if item["mend"] and item["verdict"] != "ok":
                click.echo(f"      → {item['mend']}")
    sys.exit(_CODES[found["verdict"]])
