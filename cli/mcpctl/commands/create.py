"""servers create: from a source to an endpoint."""

from pathlib import Path
from typing import Any

import click

from mcpctl.client import Client, path_of
from mcpctl.commands.common import client, json_option
from mcpctl.commands.isolation import isolation_fields, isolation_options
from mcpctl.commands.sources import READABLE, credential_fields, entry_fields
from mcpctl.errors import CommandError
from mcpctl.output import emit_json, pairs, state
from mcpctl.watch import wait_until_settled

#: Option to the field of the API.
SOURCES = {
    "package": "package",
    "git": "repo_url",
    "archive": "archive",
    "image": "image",
    "remote": "remote_url",
    "server_json": "server_json",
}
LIMITS = ("calls_per_second", "concurrency", "body_bytes", "timeout_s")


@click.command()
@click.argument("name", required=False)
@click.option(
    "--package",
    help="A published package: pypi:mcp-server-time, npm:@scope/name@1.2.3.",
)
@click.option(
    "--as-of",
    metavar="DAY",
    help="Resolve the package with what was published until this day, 2025-05-01.",
)
@click.option("--org", help="The organisation that it is for; absent: you.")
@click.option("--git", help="A git repository.")
@click.option("--branch", help="Branch of the repository.")
@click.option("--subdirectory", help="Directory inside repository or archive.")
@click.option("--submodules", is_flag=True, default=None, help="Fetch submodules, too.")
@click.option("--lfs", is_flag=True, default=None, help="Fetch large files, too.")
@click.option(
    "--git-token-file",
    type=READABLE,
    help="File with a token for a private repository over https; -: standard input.",
)
@click.option("--git-user", help="Beside a token, where the git host wants a name.")
@click.option(
    "--deploy-key",
    type=READABLE,
    help="File with a private key for ssh; -: standard input.",
)
@click.option(
    "--archive",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A tar.gz or zip, which is uploaded.",
)
@click.option("--server-json", metavar="FILE|URL", help="An entry of an MCP registry.")
@click.option(
    "--option",
    "server_json_option",
    type=int,
    help="Which of the entry's offers, from 0.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=VALUE",
    help="What the entry asks for; may be repeated.",
)
@click.option("--image", help="A ready image.")
@click.option("--remote", help="URL of a server that somebody else runs.")
@click.option(
    "--type", "server_type", help="What kind of server it is, as you call it."
)
@click.option(
    "--arg",
    "arguments",
    multiple=True,
    help="Argument of the program; may be repeated.",
)
@click.option(
    "--env",
    "environment",
    multiple=True,
    metavar="NAME=VALUE",
    help="Environment; may be repeated.",
)
@click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="NAME=VALUE lines.",
)
@click.option("--cpu", "cpu_limit", type=float, help="CPUs, such as 0.5.")
@click.option("--memory", "memory_limit", help="Memory, such as 512m.")
@click.option(
    "--transport", type=click.Choice(["auto", "stdio", "streamable-http", "sse"])
)
@click.option("--port", type=int, help="Port of an HTTP server inside its container.")
@click.option("--entry", help="Which of a repository's programs is started.")
@click.option("--path", help="Path of an HTTP server's MCP endpoint.")
@click.option(
    "--tool",
    "tools",
    multiple=True,
    help="A tool that clients may use, no others then; may be repeated.",
)
@click.option(
    "--session-mode",
    type=click.Choice(["auto", "shared", "per-session"]),
    help="Who shares the container of a stdio server.",
)
@click.option(
    "--pinning",
    type=click.Choice(["serve", "warn", "quarantine"]),
    help="What becomes of tools that change after the first deployment.",
)
@click.option(
    "--listed",
    is_flag=True,
    default=None,
    help="Show it in discovery to those who hold no key, too.",
)
@click.option(
    "--trace-bodies/--no-trace-bodies",
    default=None,
    help="Whether invocations keep what was asked and answered.",
)
@click.option(
    "--calls-per-second", type=float, help="Calls a second, of all clients together."
)
@click.option("--concurrency", type=int, help="Calls at once, of all clients together.")
@click.option("--body-bytes", type=int, help="Largest request.")
@click.option("--time-limit", "timeout_s", type=float, help="Seconds a call may take.")
@isolation_options
@click.option(
    "--wait", is_flag=True, help="Show the build and wait until the server runs."
)
@json_option
def create(name: str | None, *, wait: bool, as_json: bool, **options: Any) -> None:
    """Host a server from a package, a repository, an archive, an image, a remote URL or a registry's entry."""
    hub = client()
    body = _body(name, options)
    if options["archive"]:
        brought = hub.upload("/api/uploads", "archive", options["archive"])
        body |= {key: brought[key] for key in ("archive", "archive_name")}
    answer = hub.post("/api/servers", body)
    made, key = answer["server"], answer["endpoint_key"]
    if wait:
        # The key is shown this once: it is told before the wait, which may be interrupted.
        if not as_json:
            click.echo(
                f"{made['name']} is created. Its endpoint key, shown this once: {key}",
                err=True,
            )
        try:
            made = wait_until_settled(hub, made, quiet=as_json)
        except CommandError:
            if as_json:
                # A program needs the key of what was made as well, where it is held or has failed.
                now = hub.get(path_of("servers", made["id"]))
                emit_json({"server": now, "endpoint_key": key})
            raise
    if as_json:
        emit_json({"server": made, "endpoint_key": key})
    else:
        _tell(hub, made, key)


def _body(name: str | None, options: dict[str, Any]) -> dict[str, Any]:
    given = [option for option in SOURCES if options[option]]
    if len(given) != 1:
        raise click.UsageError(
            "Say where the server comes from: one of --package, --git, --archive, --image, --remote, --server-json."
        )
    body: dict[str, Any] = {SOURCES[given[0]]: options[given[0]]}
    if options["server_json"]:
        body = entry_fields(options["server_json"])
    body |= credential_fields(
        options["git_token_file"], options["git_user"], options["deploy_key"]
    )
    plain = (
        "as_of",
        "org",
        "branch",
        "subdirectory",
        "submodules",
        "lfs",
        "server_json_option",
        "server_type",
        "cpu_limit",
        "memory_limit",
        "transport",
        "port",
        "path",
        "entry",
        "session_mode",
        "pinning",
        "listed",
        "trace_bodies",
    )
    body |= {field: options[field] for field in plain if options[field] is not None}
    if name:
        body["name"] = name
    limits = {field: options[field] for field in LIMITS if options[field] is not None}
    if limits:
        body["limits"] = limits
    if isolation := isolation_fields(options):
        body["isolation"] = isolation
    body |= {
        field: list(options[field])
        for field in ("arguments", "tools")
        if options[field]
    }
    lines = options["env_file"].read_text().splitlines() if options["env_file"] else []
    if environment := _environment([*lines, *options["environment"]]):
        body["environment"] = environment
    if inputs := _environment(list(options["inputs"])):
        body["inputs"] = inputs
    return body


def _environment(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise click.UsageError(f"{line!r} is not NAME=VALUE.")
        found[name.strip()] = value
    return found


def _tell(hub: Client, made: dict[str, Any], key: str) -> None:
    connect = hub.get(path_of("servers", made["id"], "client-config"))
    pairs(
        [
            ("name", made["name"]),
            ("status", state(made["status"])),
            ("reason", made["status_reason"]),
            ("endpoint", made["endpoint"]),
            ("key", key),
        ]
    )
    snippet = next(item for item in connect["clients"] if item["client"] == "generic")
    click.echo(f"\n{snippet['file']}:")
    click.echo(snippet["text"].replace(connect["key_placeholder"], key))
