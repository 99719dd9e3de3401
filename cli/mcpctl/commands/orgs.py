"""orgs: organisations, who belongs to them, and invitations."""

from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.errors import CommandError
from mcpctl.output import age, emit_json, pairs, table

ROLES = click.Choice(["reader", "deployer", "maintainer", "owner"])


@click.group()
def orgs() -> None:
    """Share servers and bundles with others. ORG is a name or an id."""


@orgs.command("list")
@click.option("-q", "--query", help="Part of the name or title.")
@json_option
def list_orgs(query: str | None, *, as_json: bool) -> None:
    """Show the organisations that you belong to."""
    found = client().get_all("/api/orgs", q=query)
    if as_json:
        emit_json({"items": found})
        return
    table(
        ("name", "title", "you are", "members", "servers", "bundles"),
        [
            (
                item["name"],
                item["title"],
                item["role"] or "not in it",
                item["members"],
                _servers(item),
                item["bundles"],
            )
            for item in found
        ],
        empty="No organisations. 'mcpctl orgs create NAME' founds one.",
    )


@orgs.command()
@click.argument("name")
@click.option("--title", default="", help="For people; absent: the name.")
@json_option
def create(name: str, title: str, *, as_json: bool) -> None:
    """Found an organisation; you own it."""
    made = client().post("/api/orgs", {"name": name, "title": title})
    _tell(made, as_json=as_json)


@orgs.command()
@click.argument("org")
@json_option
def show(org: str, *, as_json: bool) -> None:
    """Show an organisation and who belongs to it."""
    hub = client()
    found = hub.get(path_of("orgs", org))
    members = hub.get(path_of("orgs", org, "members"))["items"]
    if as_json:
        emit_json({**found, "people": members})
        return
    _tell(found, as_json=False)
    table(
        ("id", "member", "role", "since", "by"),
        [
            (
                item["user_id"],
                item["email"],
                item["role"],
                age(item["added_at"]),
                item["added_by"],
            )
            for item in members
        ],
        empty="Nobody.",
    )


@orgs.command()
@click.argument("org")
@click.option("--title", help="For people.")
@click.option(
    "--servers",
    "quota",
    help="How many it may have, or 'any'; for administrators of the box.",
)
@json_option
def change(org: str, title: str | None, quota: str | None, *, as_json: bool) -> None:
    """Change what an organisation is called, or how many servers it may have."""
    body: dict[str, Any] = {} if title is None else {"title": title}
    if quota is not None:
        if quota != "any" and not quota.isdigit():
            raise click.UsageError("--servers takes a number, or 'any'")
        body["server_quota"] = None if quota == "any" else int(quota)
    found = client().send("PATCH", path_of("orgs", org), body).json()
    _tell(found, as_json=as_json)


@orgs.command()
@click.argument("org")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(org: str, *, yes: bool, as_json: bool) -> None:
    """Remove an organisation to which nothing belongs any more."""
    if not yes:
        click.confirm(f"Delete the organisation {org}?", abort=True, err=True)
    client().delete(path_of("orgs", org))
    _done({"deleted": org}, f"{org} is gone.", as_json=as_json)


@orgs.command()
@click.argument("org")
@click.argument("email")
@click.argument("role", type=ROLES)
@json_option
def add(org: str, email: str, role: str, *, as_json: bool) -> None:
    """Take somebody of this box in, or change what they are."""
    body = {"email": email, "role": role}
    added = client().post(path_of("orgs", org, "members"), body)
    _done(added, f"{added['email']} is {role} of {org}.", as_json=as_json)


@orgs.command()
@click.argument("org")
@click.argument("email")
@json_option
def remove(org: str, email: str, *, as_json: bool) -> None:
    """Let somebody go; what they brought stays."""
    hub = client()
    members = hub.get(path_of("orgs", org, "members"))["items"]
    found = [item for item in members if item["email"].lower() == email.lower()]
    if not found:
        raise CommandError(f"{email} does not belong to {org}.")
    hub.delete(path_of("orgs", org, "members", found[0]["user_id"]))
    _done({"removed": email}, f"{email} has left {org}.", as_json=as_json)


@orgs.command()
@click.argument("org")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def leave(org: str, *, yes: bool, as_json: bool) -> None:
    """Leave an organisation; what you brought stays."""
    if not yes:
        click.confirm(f"Leave {org}?", abort=True, err=True)
    hub = client()
    me = hub.get("/api/me")["id"]
    hub.delete(path_of("orgs", org, "members", me))
    _done({"left": org}, f"You have left {org}.", as_json=as_json)


@orgs.command()
@click.argument("org")
@click.argument("role", type=ROLES)
@click.option("--note", default="", help="For whom it is.")
@click.option("--days", type=click.IntRange(1, 30), default=7, show_default=True)
@json_option
def invite(org: str, role: str, note: str, days: int, *, as_json: bool) -> None:
    """Make a link by which one person joins; it is shown this once."""
    body = {"role": role, "note": note, "days": days}
    made = client().post(path_of("orgs", org, "invitations"), body)
    if as_json:
        emit_json(made)
        return
    click.echo(f"Good once, until {made['expires_at']}:", err=True)
    click.echo(made["link"])


@orgs.command()
@click.argument("org")
@json_option
def invitations(org: str, *, as_json: bool) -> None:
    """Show the links that nobody has used yet."""
    found = client().get(path_of("orgs", org, "invitations"))
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "role", "for", "by", "until"),
        [
            (
                item["id"],
                item["role"],
                item["note"],
                item["created_by"],
                item["expires_at"],
            )
            for item in found["items"]
        ],
        empty="None. 'mcpctl orgs invite ORG ROLE' makes one.",
    )


@orgs.command("revoke-invitation")
@click.argument("org")
@click.argument("invitation", type=int)
@json_option
def revoke_invitation(org: str, invitation: int, *, as_json: bool) -> None:
    """Shut a link: nobody joins with it any more."""
    client().delete(path_of("orgs", org, "invitations", invitation))
    told = f"Invitation {invitation} is shut."
    _done({"revoked": invitation}, told, as_json=as_json)


@orgs.command()
@click.argument("token")
@json_option
def join(token: str, *, as_json: bool) -> None:
    """Join with an invitation: its token, or the whole link."""
    _, _, tail = token.rpartition("token=")
    joined = client().post("/api/invitations/accept", {"token": tail})
    told = f"You are {joined['role']} of {joined['name']}."
    _done(joined, told, as_json=as_json)


def _servers(org: dict[str, Any]) -> str:
    quota = org["server_quota"]
    return str(org["servers"]) if quota is None else f"{org['servers']} of {quota}"


def _done(data: object, text: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(data)
    else:
        click.echo(text)


def _tell(org: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(org)
        return
    pairs(
        [
            ("name", org["name"]),
            ("id", org["id"]),
            ("title", org["title"]),
            ("you are", org["role"] or "not in it"),
            ("members", org["members"]),
            ("servers", _servers(org)),
            ("bundles", org["bundles"]),
        ]
    )
