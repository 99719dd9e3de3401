"""alerts: what is wrong with the box, and who is told."""

from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, state, table


@click.group()
def alerts() -> None:
    """Show what is wrong with the box, acknowledge and silence it, say who is told."""


@alerts.command("list")
@click.option(
    "--state",
    "wanted",
    type=click.Choice(["open", "ended", "all"]),
    default="open",
    show_default=True,
)
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@json_option
def list_alerts(wanted: str, limit: int, *, as_json: bool) -> None:
    """Show what is wrong now, or was."""
    found = client().get("/api/alerts", state=wanted, limit=limit)
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "severity", "key", "began", "ended", "known to", "what"),
        [
            (item["id"], state(item["severity"]), item["key"], age(item["since"]),
             age(item["ended_at"]), item["acknowledged_by"], item["text"])
            for item in found["items"]
        ],
        empty="Nothing is wrong." if wanted == "open" else "No such alerts.",
    )  # fmt: skip


@alerts.command()
@click.argument("alert_id", type=int)
@json_option
def acknowledge(alert_id: int, *, as_json: bool) -> None:
    """Say that you know of an alert; nobody is reminded of it then."""
    _tell(client().post(path_of("alerts", alert_id, "acknowledge")), as_json=as_json)


@alerts.command()
@click.argument("alert_id", type=int)
@click.option(
    "--hours",
    type=click.FloatRange(min=0),
    default=24,
    show_default=True,
    help="From now on; 0: tell of it again.",
)
@click.option("--reason", default="", help="Why.")
@json_option
def silence(alert_id: int, hours: float, reason: str, *, as_json: bool) -> None:
    """Tell nobody of alerts of this kind for a while."""
    body = {"hours": hours, "reason": reason}
    _tell(client().post(path_of("alerts", alert_id, "silence"), body), as_json=as_json)


def _tell(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(found)
    elif found["silenced_until"]:
        click.echo(f"Nobody is told of {found['key']} until {found['silenced_until']}.")
    else:
        known = found["acknowledged_by"]
        click.echo(f"{found['key']}: {f'known to {known}' if known else 'is told'}.")


@alerts.group()
def channels() -> None:
    """List, add, try and remove where alerts are sent."""


@channels.command("list")
@json_option
def list_channels(*, as_json: bool) -> None:
    """Show where alerts are sent, and how the last attempt went."""
    found = client().get("/api/alerts/channels")
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "kind", "name", "address", "from", "last sent", "trouble"),
        [
            (item["id"], item["kind"], item["name"], item["address"],
             item["min_severity"], age(item["last_sent_at"]), item["last_error"])
            for item in found["items"]
        ],
        empty="Nobody is told.",
    )  # fmt: skip


@channels.command()
@click.argument("kind", type=click.Choice(["webhook", "email"]))
@click.argument("address")
@click.option("--name", default="", help="What it is called; the address by default.")
@click.option(
    "--from",
    "min_severity",
    type=click.Choice(["warning", "critical"]),
    default="warning",
    show_default=True,
    help="What is less bad is not sent there.",
)
@json_option
def add(
    kind: str, address: str, name: str, min_severity: str, *, as_json: bool
) -> None:
    """Send alerts to a program or an e-mail address; a webhook's secret is shown this once."""
    body = {"kind": kind, "address": address, "name": name, "min_severity": min_severity}  # fmt: skip
    found = client().post("/api/alerts/channels", body)
    if as_json:
        emit_json(found)
        return
    click.echo(f"channel {found['channel']['id']}")
    if found["secret"]:
        click.echo(f"secret  {found['secret']}")


@channels.command()
@click.argument("channel_id", type=int)
@json_option
def test(channel_id: int, *, as_json: bool) -> None:
    """Send a test; fails with the reason if it does not arrive."""
    found = client().post(path_of("alerts", "channels", channel_id, "test"))
    if as_json:
        emit_json(found)
    else:
        click.echo(f"The test arrived at {found['name']}.")


@channels.command()
@click.argument("channel_id", type=int)
def remove(channel_id: int) -> None:
    """Send no alerts there any more."""
    client().delete(path_of("alerts", "channels", channel_id))
    click.echo(f"channel {channel_id} removed")
