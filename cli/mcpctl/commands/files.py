"""files: what lies in a server's /data."""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click

from mcpctl import transfers
from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, table

_PAGE = 1000


@click.group()
def files() -> None:
    """List, bring, fetch and remove files in a server's /data. SERVER is a name or an id, PATH is below /data."""


def _address(server: str, path: str) -> str:
    return f"{path_of('servers', server, 'files')}/{quote(path, safe='/')}"


@files.command()
@click.argument("server")
@click.argument("path", default="")
@json_option
def ls(server: str, path: str, *, as_json: bool) -> None:
    """List a folder, and how full /data is."""
    hub, address = client(), path_of("servers", server, "files")
    query = {"path": path, "limit": _PAGE}
    found = hub.get(f"{address}?{urlencode(query)}")
    items, cursor = found["items"], found["next_cursor"]
    while cursor:
        part = hub.get(f"{address}?{urlencode({**query, 'cursor': cursor})}")
        items, cursor = items + part["items"], part["next_cursor"]
    usage = found["usage"]
    if as_json:
        emit_json({"path": found["path"], "items": items, "usage": usage})
        return
    table(("name", "size", "changed"), map(_row, items), empty="Nothing is here.")
    click.echo(
        f"{transfers.size(usage['used_bytes'])} of {transfers.size(usage['quota_bytes'])} used,"
        f" room for {transfers.size(usage['free_bytes'])}",
        err=True,
    )


def _row(item: dict[str, Any]) -> tuple[str, str, str]:
    name = item["name"]
    if item["kind"] == "folder":
        name += "/"
    elif item["kind"] == "link":
        name += f" -> {item['target']}"
    is_file = item["kind"] == "file"
    told = transfers.size(item["size_bytes"]) if is_file else item["kind"]
    return name, told, f"{age(item['modified_at'])} ago"


@files.command()
@click.argument("server")
@click.argument(
    "sources",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--to", "folder", default="", help="Folder below /data; made if missing.")
@click.option("--as", "name", help="Another name for the one file.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@json_option
def put(
    server: str,
    sources: tuple[Path, ...],
    *,
    folder: str,
    name: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Bring files; each is stored once it came whole, with the same SHA-256."""
    if name and len(sources) > 1:
        raise click.UsageError("--as names one file.")
    hub, found = client(), []
    for source in sources:
        path = "/".join(filter(None, (folder.strip("/"), name or source.name)))
        stored = transfers.bring(
            hub, _address(server, path), source, overwrite=overwrite
        )
        found.append(stored)
        if not as_json:
            size = transfers.size(stored["size_bytes"])
            click.echo(f"{stored['path']}  {size}  sha256:{stored['sha256']}")
    if as_json:
        emit_json({"items": found})


@files.command()
@click.argument("server")
@click.argument("path")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Where to; -: standard output. Without: here, under its own name.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
def get(server: str, path: str, *, output: Path | None, overwrite: bool) -> None:
    """Fetch a file; what breaks off is taken up by the same command."""
    hub, address = client(), _address(server, path)
    if output == Path("-"):
        transfers.fetch_to(hub, address, sys.stdout.buffer)
        return
    target = output or Path(path.rstrip("/").rpartition("/")[2])
    if target.is_dir():
        target /= path.rpartition("/")[2]
    if target.exists() and not overwrite:
        raise click.UsageError(f"{target} is there already; --overwrite replaces it.")
    count = transfers.fetch(hub, address, target)
    click.echo(f"{target}  {transfers.size(count)}", err=True)


@files.command()
@click.argument("server")
@click.argument("path")
@click.option("-r", "--recursive", is_flag=True, help="A folder and all that is in it.")
@json_option
def rm(server: str, path: str, *, recursive: bool, as_json: bool) -> None:
    """Remove a file, a link or an empty folder."""
    query = "?recursive=true" if recursive else ""
    found = client().delete(_address(server, path) + query)
    if as_json:
        emit_json(found)
    else:
        click.echo(f"{path} is gone.")


@files.command()
@click.argument("server")
@click.argument("path")
@json_option
def mkdir(server: str, path: str, *, as_json: bool) -> None:
    """Make a folder, and those on its way."""
    found = client().post(path_of("servers", server, "folders"), {"path": path})
    if as_json:
        emit_json(found)
    else:
        click.echo(f"{found['path']} is there.")


@files.command()
@click.argument("server")
@click.argument("path")
@click.argument("to")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@json_option
def mv(server: str, path: str, to: str, *, overwrite: bool, as_json: bool) -> None:
    """Give a file or folder another name or place; TO is its new path, whole."""
    body = {"to": to, "overwrite": overwrite}
    found = client().post(_address(server, path), body)
    if as_json:
        emit_json(found)
    else:
        click.echo(f"{path} is {found['path']} now.")
