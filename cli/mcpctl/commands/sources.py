"""servers archive, credential and server-json: what belongs to a server's source."""

import json
from pathlib import Path
from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, pairs, table

#: A secret comes from a file or from standard input: arguments are seen by everybody on the box.
READABLE = click.File("r", encoding="utf-8")


@click.command()
@click.argument("server")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def archive(server: str, file: Path, *, as_json: bool) -> None:
    """Bring a new archive for a server that is made of one, and redeploy it."""
    found = client().upload(path_of("servers", server, "archive"), "archive", file)
    if as_json:
        emit_json(found)
    else:
        click.echo(f"{found['name']} is built from {file.name}.")


@click.command()
@click.argument("server")
@click.option(
    "--git-token-file", type=READABLE, help="File with a token; -: standard input."
)
@click.option("--git-user", help="Beside a token, where the git host wants a name.")
@click.option(
    "--deploy-key", type=READABLE, help="File with a private key; -: standard input."
)
@click.option("--remove", is_flag=True, help="Forget the credential.")
@json_option
def credential(
    server: str,
    *,
    git_token_file: Any,
    git_user: str | None,
    deploy_key: Any,
    remove: bool,
    as_json: bool,
) -> None:
    """Show, set or remove with what a server's private repository is fetched."""
    hub, path = client(), path_of("servers", server, "source", "credential")
    fields = credential_fields(git_token_file, git_user, deploy_key)
    if remove and fields:
        raise click.UsageError("Set it or remove it, not both.")
    if remove:
        hub.delete(path)
        found = None
    elif fields:
        found = hub.send("PUT", path, fields).json()
    else:
        found = hub.get(path)["credential"]
    if as_json:
        emit_json({"credential": found})
    elif found is None:
        click.echo("The source has no credential.")
    else:
        known = "seen" if found["has_host_keys"] else ""
        pairs(
            [
                ("kind", found["kind"]),
                ("hint", found["hint"]),
                ("host keys", known),
                ("set", f"{age(found['updated_at'])} ago"),
            ]
        )


@click.command("server-json")
@click.argument("entry", metavar="FILE|URL")
@json_option
def server_json(entry: str, *, as_json: bool) -> None:
    """Show what a registry's entry offers, and what each offer asks for."""
    found = client().post("/api/sources/server-json", entry_fields(entry))
    if as_json:
        emit_json(found)
        return
    table(
        ("option", "what", "asks for"),
        [
            (item["number"], item["label"], item["why_not"] or _asked(item))
            for item in found["options"]
        ],
        empty="It offers nothing.",
    )


def _asked(option: dict[str, Any]) -> str:
    names = [
        question["name"] + ("" if question["is_required"] else " (optional)")
        for question in option["questions"]
    ]
    return ", ".join(names) or "nothing"


def entry_fields(entry: str) -> dict[str, Any]:
    """Return the API's fields for an entry that is a file or an address."""
    if entry.startswith(("https://", "http://")):
        return {"server_json_url": entry}
    try:
        document = json.loads(Path(entry).read_text(encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"{entry} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise click.UsageError(f"{entry} is not JSON.") from error
    return {"server_json": document}


def credential_fields(token: Any, user: str | None, key: Any) -> dict[str, str]:
    """Return the API's fields for the way into a private repository; none for what is not given."""
    found: dict[str, str] = {}
    if token is not None:
        found["git_token"] = token.read().strip()
    if user is not None:
        found["git_user"] = user
    if key is not None:
        found["deploy_key"] = key.read()
    return found
