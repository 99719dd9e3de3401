"""services: what else a server uses, such as a database, and whether it answers."""

import sys
from typing import Any
from urllib.parse import urlsplit

import click

from mcpctl.client import Client, path_of
from mcpctl.commands.common import client, json_option
from mcpctl.errors import CommandError
from mcpctl.output import Styled, age, emit_json, may_colour, pairs, table

KINDS = ("redis", "postgres", "s3", "custom")
#: Which secrets a kind has, in the order in which standard input gives them, one a line.
SECRETS = {
    "redis": ("password",),
    "postgres": ("password",),
    "s3": ("access_key_id", "secret_access_key"),
}


@click.group()
def services() -> None:
    """Give servers a Redis, a Postgres, a bucket or variables of their own. SERVER is a name or an id.

    Secrets are read from standard input, never from arguments, which everybody on the box sees: with --secrets-stdin a
    password, or for s3 the access key's id and the secret, one a line; for custom NAME=value, one a line.
    """


def _find(hub: Client, server: str, service: str) -> dict[str, Any]:
    """Return the service of this name or number."""
    items = hub.get(path_of("servers", server, "services"))["items"]
    for item in items:
        if service in {item["name"], str(item["id"])}:
            return dict(item)
    names = ", ".join(item["name"] for item in items) or "none"
    raise CommandError(
        f"{server} has no service {service}.", hint=f"Its services: {names}."
    )


@services.command("list")
@click.argument("server")
@json_option
def list_services(server: str, *, as_json: bool) -> None:
    """Show a server's services."""
    found = client().get(path_of("servers", server, "services"))
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "name", "kind", "variables", "last test"),
        [
            (item["id"], item["name"], item["kind"],
             " ".join([*item["variables"], *item["secret_variables"]]), _tested(item["last_test"]))
            for item in found["items"]
        ],
        empty=f"No services. 'mcpctl services add {server} redis --url redis://HOST:6379/0' adds one.",
    )  # fmt: skip


def _tested(outcome: dict[str, Any] | None) -> str:
    if outcome is None:
        return "never"
    return f"{'ok' if outcome['ok'] else 'failed'} {age(outcome['at'])} ago"


def _described(function: Any) -> Any:
    """Add the options that say what a service is."""
    options = (
        click.option("--name", help="What people call it; without: its kind."),
        click.option("--prefix", help="Before every variable, such as CACHE_."),
        click.option("--url", help="redis:// or postgresql://, without a password: that comes from standard input."),
        click.option("--host"),
        click.option("--port", type=int),
        click.option("--username"),
        click.option("--database", help="postgres: its name; redis: its number."),
        click.option("--tls/--no-tls", default=None, help="redis, custom."),
        click.option("--ssl-mode", help="postgres: disable, prefer, require or verify-full."),
        click.option("--endpoint", help="s3: its address; without: Amazon's own."),
        click.option("--bucket"),
        click.option("--region"),
        click.option("--path-style/--no-path-style", default=None, help="s3: whether the bucket stands in the path."),
        click.option("--secrets-stdin", is_flag=True, help="Read the secrets from standard input."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def _body(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the API's fields for what was given; what was not is left out."""
    is_reading = options.pop("secrets_stdin")
    found = {name: value for name, value in options.items() if value is not None}
    number = found.get("database", "")
    if kind == "redis" and number.isdecimal():
        found["database"] = int(number)
    if urlsplit(found.get("url", "")).password:
        raise click.UsageError(
            "Arguments are seen by everybody on the box: leave the password out of --url and give it with --secrets-stdin."
        )
    if is_reading:
        found |= _secrets(kind, sys.stdin.read())
    return {"kind": kind, **found}


def _secrets(kind: str, text: str) -> dict[str, Any]:
    lines = [line for line in text.splitlines() if line.strip()]
    if kind == "custom":
        if not all("=" in line for line in lines):
            raise click.UsageError("Give NAME=value, one a line.")
        given = (line.partition("=") for line in lines)
        return {"variables": {name.strip(): value for name, _, value in given}}
    names = SECRETS[kind]
    if len(lines) != len(names):
        raise click.UsageError(f"Give {' and '.join(names)}, one a line.")
    return dict(zip(names, lines, strict=True))


@services.command()
@click.argument("server")
@click.argument("kind", type=click.Choice(KINDS))
@_described
@json_option
def add(server: str, kind: str, *, as_json: bool, **options: Any) -> None:
    """Give a server a service; it starts anew with its variables."""
    found = client().post(path_of("servers", server, "services"), _body(kind, options))
    _show(found, as_json=as_json)


@services.command()
@click.argument("server")
@click.argument("service")
@_described
@json_option
def update(server: str, service: str, *, as_json: bool, **options: Any) -> None:
    """Change a service; what is not given stays as it is."""
    hub = client()
    before = _find(hub, server, service)
    kept: dict[str, Any] = {
        name: value
        for name, value in before["settings"].items()
        if name != "variables" and value not in (None, "")
    }
    if before["kind"] == "custom":
        kept["variables"] = dict.fromkeys(before["settings"]["variables"])
    asked = _body(before["kind"], options)
    if "url" in asked:
        kept = {}
    kept["variables"] = {**kept.get("variables", {}), **asked.pop("variables", {})}
    if not kept["variables"]:
        del kept["variables"]
    body = {"name": before["name"], "prefix": before["prefix"], **kept, **asked}
    address = path_of("servers", server, "services", before["id"])
    _show(hub.send("PUT", address, body).json(), as_json=as_json)


@services.command()
@click.argument("server")
@click.argument("service")
@json_option
def remove(server: str, service: str, *, as_json: bool) -> None:
    """Take a service, its variables and the way to it from a server, which starts anew."""
    hub = client()
    found = _find(hub, server, service)
    hub.delete(path_of("servers", server, "services", found["id"]))
    if as_json:
        emit_json({"removed": found["name"]})
    else:
        click.echo(f"{found['name']} is gone.")


@services.command()
@click.argument("server")
@click.argument("service")
@json_option
def test(server: str, service: str, *, as_json: bool) -> None:
    """Connect to a service from the hub, as its clients do; exit code 1 if it does not answer."""
    hub = client()
    found = _find(hub, server, service)
    outcome = hub.post(path_of("servers", server, "services", found["id"], "test"))
    if as_json:
        emit_json(outcome)
    else:
        word = "ok" if outcome["ok"] else "failed"
        colour = "green" if outcome["ok"] else "red"
        shown = Styled(click.style(word, fg=colour)) if may_colour() else word
        click.echo(f"{shown}  {outcome['detail']} ({outcome['duration_ms']:g} ms)")
    if not outcome["ok"]:
        sys.exit(1)


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(found)
        return
    pairs(
        [
            ("id", found["id"]),
            ("name", found["name"]),
            ("kind", found["kind"]),
            *found["variables"].items(),
            *((name, "(secret)") for name in found["secret_variables"]),
        ]
    )
