"""certificates: what the front door shows, when it is renewed, and the box's own CA."""

from pathlib import Path
from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, pairs, state, table


@click.group()
def certificates() -> None:
    """Show certificates, order some, bring your own; trust the box's own CA."""


@certificates.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List certificates, newest first, and where they are ordered."""
    items = client().get_all("/api/certificates")
    authority = client().get("/api/certificates", limit=1)["authority"]
    if as_json:
        emit_json({"items": items, "authority": authority})
        return
    table(
        ("id", "names", "state", "issuer", "days left", "next attempt"),
        [
            (
                item["id"],
                ", ".join(item["names"]),
                state(item["status"]),
                item["issuer"] or "own CA",
                "" if item["days_left"] is None else item["days_left"],
                item["next_attempt_at"] or item["renew_at"] or "",
            )
            for item in items
        ],
        empty="None yet: the box's own CA serves.",
    )
    _tell_authority(authority)


def _tell_authority(found: dict[str, Any]) -> None:
    click.echo()
    ordered = found["directory_url"] if found["can_order"] else "no: set ACME_EMAIL"
    pairs(
        [
            ("ordered", ordered),
            ("account", found["account"] or None),
            ("trouble", found["error"] or None),
            ("own CA", found["own_ca_fingerprint"] or "not made yet"),
        ]
    )


@certificates.command()
@click.argument("number", type=int)
@json_option
def show(number: int, *, as_json: bool) -> None:
    """Show a certificate and what happened to it."""
    found = client().get(path_of("certificates", number))
    if as_json:
        emit_json(found)
        return
    _tell(found)
    click.echo()
    table(
        ("when", "what", ""),
        [
            (f"{age(event['at'])} ago", event["kind"], event["text"])
            for event in found["events"]
        ],
        empty="Nothing happened yet.",
    )


def _tell(found: dict[str, Any]) -> None:
    pairs(
        [
            ("id", found["id"]),
            ("names", ", ".join(found["names"])),
            ("state", state(found["status"])),
            ("trouble", found["error"] or None),
            ("issuer", found["issuer"] or None),
            ("ends", found["not_after"]),
            ("renewed", found["renew_at"]),
            ("next attempt", found["next_attempt_at"]),
            ("sha-256", found["fingerprint"] or None),
        ]
    )


@certificates.command()
@click.argument("names", nargs=-1, required=True)
@json_option
def order(names: tuple[str, ...], *, as_json: bool) -> None:
    """Order one certificate for all NAMES; domains of servers need none of this."""
    _done(
        client().post("/api/certificates", {"names": list(names)}),
        as_json=as_json,
    )


@certificates.command()
@click.argument("chain", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("key", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def upload(chain: Path, key: Path, *, as_json: bool) -> None:
    """Bring a certificate: the files of CHAIN, certificate first, and of its KEY, both PEM."""
    body = {"chain": chain.read_text(), "key": key.read_text()}
    _done(client().post("/api/certificates/upload", body), as_json=as_json)


@certificates.command()
@click.argument("number", type=int)
@json_option
def renew(number: int, *, as_json: bool) -> None:
    """Have a certificate ordered now, whatever it waits for."""
    _done(client().post(path_of("certificates", number, "renew")), as_json=as_json)


@certificates.command()
@click.argument("number", type=int)
@json_option
def revoke(number: int, *, as_json: bool) -> None:
    """Tell a certificate's authority that it counts no more."""
    _done(client().post(path_of("certificates", number, "revoke")), as_json=as_json)


@certificates.command()
@click.argument("number", type=int)
def remove(number: int) -> None:
    """Remove a certificate that was brought, or that somebody ordered by hand."""
    client().delete(path_of("certificates", number))
    click.echo("removed")


@certificates.command("own-ca")
def own_ca() -> None:
    """Print the root of the box's own CA as PEM, to be trusted."""
    answer = client().send("GET", "/api/certificates/own-ca.pem")
    click.echo(answer.body, nl=False)


def _done(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(found)
    else:
        _tell(found)
