"""servers secrets, and secrets rotate-master: values that go in and never come out."""

import sys

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.errors import CommandError
from mcpctl.output import age, emit_json, pairs, table

_HOW = {"env": "variable and file", "file": "file"}


@click.group()
def secrets() -> None:
    """Give servers what nobody else may see; see to the master key."""


@secrets.command("list")
@click.argument("server")
@json_option
def list_(server: str, *, as_json: bool) -> None:
    """List a server's secrets; never values."""
    found = client().get(path_of("servers", server, "secrets"))
    if as_json:
        emit_json(found)
        return
    table(
        ("name", "version", "reaches it as", "kept", "set", "by"),
        [
            (item["name"], item["version"], _HOW[item["delivery"]], item["keeper"],
             f"{age(item['updated_at'])} ago", item["managed_by"] or item["updated_by"])
            for item in found["items"]
        ],
        empty=f"{server} has no secrets.",
    )  # fmt: skip
    if found["in_clear"]:
        names = ", ".join(found["in_clear"])
        click.echo(
            f"In clear in the environment: {names}. 'mcpctl secrets move {server} NAME' makes secrets of them.",
            err=True,
        )
    if found["problem"]:
        click.echo(f"Values cannot be had just now: {found['problem']}", err=True)


@secrets.command()
@click.argument("server")
@click.argument("name")
@json_option
def history(server: str, name: str, *, as_json: bool) -> None:
    """Show who set a secret when; never values."""
    found = client().get(path_of("servers", server, "secrets", name))
    if as_json:
        emit_json(found)
        return
    table(
        ("version", "kept", "set", "by", "until"),
        [
            (item["version"], item["keeper"], f"{age(item['set_at'])} ago", item["set_by"],
             f"{age(item['ended_at'])} ago" if item["ended_at"] else "now")
            for item in found["versions"]
        ],
        empty="It never had a value.",
    )  # fmt: skip


@secrets.command("set")
@click.argument("server")
@click.argument("name")
@click.option(
    "--as",
    "delivery",
    type=click.Choice(["env", "file"]),
    help="env: variable and file; file: file alone. As before by default.",
)
@json_option
def set_(server: str, name: str, *, delivery: str | None, as_json: bool) -> None:
    """Set a secret to what standard input says, and start the server anew with it.

    A value on the command line would stand in the shell's history and in the list of processes. One newline at the end is
    left out, as echo and editors add it; a value of several lines keeps all of its own.
    """
    if sys.stdin.isatty():
        value = click.prompt(f"Value of {name}", hide_input=True, err=True)
    else:
        value = _one_value(sys.stdin.buffer.read())
    body = {"value": value} | ({"delivery": delivery} if delivery else {})
    found = client().put_json(path_of("servers", server, "secrets", name), body)
    if as_json:
        emit_json(found)
        return
    click.echo(f"{name} of {server} is version {found['version']} now.")


def _one_value(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise CommandError("Standard input is not UTF-8 text.") from error
    return text.removesuffix("\n") if text.count("\n") == 1 else text


@secrets.command()
@click.argument("server")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove(server: str, name: str, *, yes: bool, as_json: bool) -> None:
    """Take a secret away, and start the server anew without it."""
    if not yes:
        click.confirm(f"Remove {name} of {server}?", abort=True, err=True)
    client().delete(path_of("servers", server, "secrets", name))
    if as_json:
        emit_json({"removed": name})
    else:
        click.echo(f"{name} of {server} is removed.")


@secrets.command()
@click.argument("server")
@click.argument("names", nargs=-1, required=True)
@json_option
def move(server: str, names: tuple[str, ...], *, as_json: bool) -> None:
    """Make secrets of environment variables: their values leave the configuration."""
    found = client().post(
        path_of("servers", server, "secrets", "move"), {"names": list(names)}
    )
    if as_json:
        emit_json(found)
    else:
        click.echo(f"Secret now: {', '.join(names)}.")


@secrets.command("rotate-master")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def rotate_master(*, yes: bool, as_json: bool) -> None:
    """Make a new master key, under which a job brings every value; for administrators."""
    if not yes:
        click.confirm(
            "Make a new master key? Nothing pauses; copy the key file again afterwards.",
            abort=True,
            err=True,
        )
    _show_key(client().post(path_of("secrets", "master-key")), as_json=as_json)


@secrets.command("master")
@json_option
def master(*, as_json: bool) -> None:
    """Show which master key values are under; for administrators."""
    _show_key(client().get(path_of("secrets", "master-key")), as_json=as_json)


def _show_key(found: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        emit_json(found)
        return
    missing = found["missing"]
    pairs(
        [
            ("current", str(found["current"])),
            ("values that follow", str(found["waiting"])),
            (
                "missing",
                ", ".join(missing) if isinstance(missing, list) and missing else "none",
            ),
        ]
    )
