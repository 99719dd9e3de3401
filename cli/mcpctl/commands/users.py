"""users: the people of the box, for administrators."""

from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.errors import CommandError
from mcpctl.output import age, emit_json, table

ROLES = click.Choice(["admin", "member", "reader"])


@click.group()
def users() -> None:
    """Add people, say what they may do, shut them out. USER is an id or an e-mail. For administrators."""


@users.command("list")
@json_option
def list_users(*, as_json: bool) -> None:
    """Show everybody."""
    found = client().get("/api/users")
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "e-mail", "role", "servers at most", "added", "signs in by", "may come"),
        [
            (
                item["id"],
                item["email"],
                item["role"],
                "any" if item["server_quota"] is None else item["server_quota"],
                age(item["created_at"]),
                _ways(item),
                "disabled" if item["disabled_at"] else "yes",
            )
            for item in found["items"]
        ],
        empty="Nobody.",
    )


@users.command()
@click.argument("email")
@click.option("--role", type=ROLES, default="member", show_default=True)
@json_option
def add(email: str, role: str, *, as_json: bool) -> None:
    """Add somebody; the first password is asked for."""
    password = click.prompt(
        "First password", hide_input=True, confirmation_prompt=True, err=True
    )
    body = {"email": email, "password": password, "role": role}
    made = client().post("/api/users", body)
    if as_json:
        emit_json(made)
    else:
        click.echo(f"Added {made['email']} as {made['role']}.")


@users.command()
@click.argument("user")
@click.option("--role", type=ROLES, help="What they may do.")
@click.option("--server-quota", type=click.IntRange(0), help="How many servers.")
@click.option("--no-server-quota", is_flag=True, help="Any number of servers.")
@json_option
def change(
    *,
    user: str,
    role: str | None,
    server_quota: int | None,
    no_server_quota: bool,
    as_json: bool,
) -> None:
    """Change somebody's role or quota."""
    body: dict[str, Any] = {"role": role} if role else {}
    if server_quota is not None or no_server_quota:
        body["server_quota"] = None if no_server_quota else server_quota
    if not body:
        raise click.UsageError(
            "Say what to change: --role, --server-quota or --no-server-quota."
        )
    _change(user, body, as_json=as_json)


@users.command()
@click.argument("user")
@json_option
def disable(user: str, *, as_json: bool) -> None:
    """Shut somebody out: sessions end, keys and tokens are refused."""
    _change(user, {"disabled": True}, as_json=as_json)


@users.command()
@click.argument("user")
@json_option
def enable(user: str, *, as_json: bool) -> None:
    """Let somebody in again."""
    _change(user, {"disabled": False}, as_json=as_json)


@users.command("reset-link")
@click.argument("user")
@click.option("--hours", type=click.IntRange(1, 168), default=24, show_default=True)
@json_option
def reset_link(user: str, hours: int, *, as_json: bool) -> None:
    """Make a link by which somebody sets a new password, once; it is shown this once."""
    path = path_of("users", id_of(user), "reset-link")
    made = client().post(path, {"hours": hours})
    if as_json:
        emit_json(made)
    else:
        click.echo(made["url"])
        click.echo(
            f"Hand it over: it works once, until {made['expires_at']}.", err=True
        )


@users.command("reset-totp")
@click.argument("user")
@json_option
def reset_totp(user: str, *, as_json: bool) -> None:
    """Turn off the second factor of somebody who lost app and recovery codes."""
    number = id_of(user)
    client().delete(path_of("users", number, "totp"))
    if as_json:
        emit_json({"reset": number})
    else:
        click.echo("Their second factor is off.")


@users.command()
@click.argument("user")
@click.option(
    "--subject",
    required=True,
    help="The provider's own number or name for them (sub).",
)
@json_option
def link(user: str, subject: str, *, as_json: bool) -> None:
    """Let somebody sign in by the provider: whoever it means by SUBJECT."""
    path = path_of("users", id_of(user), "identities")
    made = client().post(path, {"subject": subject})
    if as_json:
        emit_json(made)
    else:
        click.echo(f"Linked with {made['subject']} at {made['issuer']}.")


@users.command()
@click.argument("user")
@click.option("--subject", help="Which one, where they are linked with several.")
@json_option
def unlink(user: str, subject: str | None, *, as_json: bool) -> None:
    """Let somebody sign in by the provider no more; sessions that it opened end."""
    number = id_of(user)
    found = client().get(path_of("users", number))["identities"]
    meant = [item for item in found if subject in {None, item["subject"]}]
    if len(meant) != 1:
        names = ", ".join(item["subject"] for item in found) or "nobody"
        raise CommandError(f"Say which with --subject: they are linked with {names}.")
    client().delete(path_of("users", number, "identities", meant[0]["id"]))
    if as_json:
        emit_json({"unlinked": meant[0]["id"]})
    else:
        click.echo(f"Unlinked from {meant[0]['subject']} at {meant[0]['issuer']}.")


def _ways(item: dict[str, Any]) -> str:
    """Return by what somebody signs in."""
    ways = ["password"] if item["has_password"] else []
    if item["identities"]:
        ways.append("provider")
    return ", ".join(ways) or "nothing"


def _change(user: str, body: dict[str, Any], *, as_json: bool) -> None:
    changed = client().send("PATCH", path_of("users", id_of(user)), body).json()
    if as_json:
        emit_json(changed)
        return
    state = "disabled" if changed["disabled_at"] else "enabled"
    click.echo(f"{changed['email']}: {changed['role']}, {state}.")


def id_of(user: str) -> int:
    """Return the number of a person named by number or e-mail."""
    if user.isdigit():
        return int(user)
    for item in client().get("/api/users")["items"]:
        if item["email"].lower() == user.lower():
            return int(item["id"])
    raise CommandError(f"Nobody here has the address {user}.")
