"""domains: names of their own for servers, what has to be set for them, and how far they are."""

import time
from typing import Any

import click

from mcpctl.client import Client, path_of
from mcpctl.commands.common import client, json_option
from mcpctl.errors import CommandError
from mcpctl.output import age, emit_json, pairs, state, table

#: Seconds between two looks of ``--wait``.
_LOOK_S = 1.0
_PAGE = 200


@click.group()
def domains() -> None:
    """Give servers names of their own. SERVER is a name or an id, HOST such as mcp.example.org or *.example.org."""


def _place(server: str, *more: str | int) -> str:
    return path_of("servers", server, "domains", *more)


def _find(hub: Client, server: str, host: str) -> dict[str, Any]:
    """Return the domain of this name or number."""
    items = hub.get(_place(server))["items"]
    wanted = host.strip().lower()
    for item in items:
        if wanted in {item["host"], item["name"], str(item["id"])}:
            return dict(item)
    names = ", ".join(item["name"] for item in items) or "none"
    raise CommandError(f"{server} has no domain {host}.", hint=f"Its domains: {names}.")


def _tell(item: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(item)
        return
    leads = f"on to {item['redirect_to']}" if item["redirect_to"] else item["server"]
    pairs(
        [
            ("domain", item["name"]),
            ("state", state(item["status"])),
            ("leads to", leads),
            ("address", item["url"]),
            ("shown by", item["verified_by"] or "nothing yet"),
            ("checked", f"{age(item['checked_at'])} ago" if item["checked_at"] else "not yet"),
            ("found", item["found"]),
            ("certificate", _held(item["held"]) if item["verified_at"] else ""),
            ("what now", item["reason"]),
        ]
    )  # fmt: skip
    if item["verified_at"] and not item["away_since"]:
        return
    which = (
        "the TXT record" if item["needs_txt"] else "the addresses, or the TXT record"
    )
    click.echo(f"\nSet in DNS: {which}")
    table(
        ("type", "name", "value"),
        [(row["type"], row["name"], row["value"]) for row in item["records"]],
        empty="",
    )


def _held(held: dict[str, Any] | None) -> str:
    if held is None or not held["not_after"]:
        return "of the box's own authority" + (
            ", another is on its way" if held else ""
        )
    return f"of {held['issuer']}, until {held['not_after'][:10]}"


@domains.command("list")
@click.argument("server", required=False)
@json_option
def list_domains(server: str | None, *, as_json: bool) -> None:
    """Show a server's domains; without SERVER, all that you may see."""
    hub = client()
    found = hub.get(_place(server)) if server else _all(hub)
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "domain", "server", "state", "leads to", "what now"),
        [
            (item["id"], item["name"], item["server"], state(item["status"]),
             item["redirect_to"] or "", item["reason"])
            for item in found["items"]
        ],
        empty=f"No domains. 'mcpctl domains add {server or 'SERVER'} mcp.example.org' adds one.",
    )  # fmt: skip


def _all(hub: Client) -> dict[str, Any]:
    items: list[Any] = []
    cursor: int | None = 0
    while cursor is not None:
        page = hub.get("/api/domains", limit=_PAGE, cursor=cursor)
        items += page["items"]
        cursor = page["next_cursor"]
    return {"items": items}


@domains.command()
@click.argument("server")
@click.argument("host")
@click.option("--trusted", is_flag=True, help="Administrators: DNS is not asked.")
@click.option("--wait", is_flag=True, help="Until it is active; exits 1 if it fails.")
@click.option("--timeout", default=600.0, help="Seconds that --wait waits at most.")
@json_option
def add(
    server: str, host: str, *, trusted: bool, wait: bool, timeout: float, as_json: bool
) -> None:
    """Claim a name, and show which record to set for it."""
    hub = client()
    item = hub.post(_place(server), {"host": host, "trusted": trusted})
    if not wait:
        _tell(item, as_json=as_json)
        return
    if not as_json:
        _tell(item, as_json=False)
    _wait(hub, server, item, timeout, as_json=as_json)


def _wait(
    hub: Client, server: str, item: dict[str, Any], timeout: float, *, as_json: bool
) -> None:
    """Show every change until a domain is active.

    Raises:
        CommandError: It failed, or did not become active in time.
    """
    deadline = time.monotonic() + timeout
    told = ("", "")
    while True:
        now = (item["status"], item["reason"])
        if now != told and not as_json:
            click.echo(f"==> {state(item['status'])} {item['reason']}".rstrip())
        told = now
        if item["status"] == "active":
            break
        if item["status"] == "error":
            raise CommandError(item["reason"] or f"{item['name']} failed.")
        if time.monotonic() > deadline:
            raise CommandError(
                f"{item['name']} is not active after {timeout:g} s.",
                hint=item["reason"] or "It goes on by itself.",
            )
        time.sleep(_LOOK_S)
        item = hub.get(_place(server, item["id"]))
    if as_json:
        emit_json(item)


@domains.command()
@click.argument("server")
@click.argument("host")
@json_option
def show(server: str, host: str, *, as_json: bool) -> None:
    """Show a domain: its state, what was found in DNS, and what to set."""
    _tell(_find(client(), server, host), as_json=as_json)


@domains.command()
@click.argument("server")
@click.argument("host")
@click.option("--wait", is_flag=True, help="Until it is active; exits 1 if it fails.")
@click.option("--timeout", default=600.0, help="Seconds that --wait waits at most.")
@json_option
def check(server: str, host: str, *, wait: bool, timeout: float, as_json: bool) -> None:
    """Have DNS asked now, whenever its next turn would be."""
    hub = client()
    item = hub.post(_place(server, _find(hub, server, host)["id"], "check"))
    if wait:
        _wait(hub, server, item, timeout, as_json=as_json)
    elif as_json:
        emit_json(item)
    else:
        click.echo(f"{item['name']} is checked now; 'mcpctl domains show {server} {item['name']}' tells.")  # fmt: skip


@domains.command()
@click.argument("server")
@click.argument("host")
@click.argument("target", required=False)
@click.option("--off", is_flag=True, help="Serve the server itself again.")
@json_option
def redirect(
    server: str, host: str, target: str | None, *, off: bool, as_json: bool
) -> None:
    """Send the visitors of HOST on to TARGET, another domain of the server."""
    if (target is None) is not off:
        raise click.UsageError("Give TARGET, or --off.")
    hub = client()
    item = _find(hub, server, host)
    body = {"redirect_to": target}
    changed = hub.send("PUT", _place(server, item["id"]), body).json()
    _tell(changed, as_json=as_json)


@domains.command()
@click.argument("server")
@click.argument("host")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove(server: str, host: str, *, yes: bool, as_json: bool) -> None:
    """Give a name up: it leads nowhere from now on."""
    hub = client()
    item = _find(hub, server, host)
    if not yes:
        question = f"Remove {item['name']}? Clients that use it reach {server} no more."
        click.confirm(question, abort=True, err=True)
    hub.delete(_place(server, item["id"]))
    if as_json:
        emit_json({"removed": item["name"]})
    else:
        click.echo(f"{item['name']} is removed.")
