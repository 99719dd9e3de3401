"""evidence: signed documents about what was built, and the keys to check them with."""

from pathlib import Path

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, pairs, state, table


@click.group()
def evidence() -> None:
    """Show, fetch and remake evidence. ARTIFACT_ID is a run's number in the ledger."""


@evidence.command()
@click.argument("artifact_id", type=int)
@json_option
def show(artifact_id: int, *, as_json: bool) -> None:
    """Show what there is, where in the registry it is, and what is missing."""
    found = client().get(path_of("artifacts", artifact_id, "evidence"))
    if as_json:
        emit_json(found)
        return
    pairs([("state", state(found["state"])), ("missing", found["error"])])
    table(
        ("kind", "platform", "bytes", "key", "made", "in the registry"),
        [
            (item["kind"], item["platform"] or "all", item["size_bytes"], item["key_id"][:12],
             age(item["created_at"]), len(_places(found, item)))
            for item in found["documents"]
        ],
        empty="There is no evidence yet.",
    )  # fmt: skip


def _places(found: dict[str, list[dict[str, str]]], item: dict[str, str]) -> list[str]:
    return [
        place["digest"]
        for place in found["referrers"]
        if (place["kind"], place["platform"]) == (item["kind"], item["platform"])
    ]


@evidence.command()
@click.argument("artifact_id", type=int)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help="Where to; the present directory unless given.",
)
def get(artifact_id: int, directory: Path) -> None:
    """Write every bundle into a file, and print the names."""
    hub = client()
    found = hub.get(path_of("artifacts", artifact_id, "evidence"))
    for item in found["documents"]:
        # The name comes from the hub; only its last part may say where it goes.
        path = directory / Path(item["file_name"]).name
        path.write_bytes(hub.send("GET", item["path"]).body)
        click.echo(str(path))


@evidence.command()
@click.argument("artifact_id", type=int)
@json_option
def retry(artifact_id: int, *, as_json: bool) -> None:
    """Make what is missing, and attach what is not in the registry."""
    found = client().post(path_of("artifacts", artifact_id, "evidence", "retry"))
    if as_json:
        emit_json(found)
        return
    click.echo(f"It is made in the background: mcpctl evidence show {artifact_id}")


@evidence.command()
@click.option("--all", "is_all", is_flag=True, help="Retired keys, too.")
@json_option
def key(*, is_all: bool, as_json: bool) -> None:
    """Print the public key that checks this appliance's evidence, as PEM."""
    items = client().get(path_of("evidence", "keys"))["items"]
    shown = [item for item in items if is_all or item["retired_at"] is None]
    if as_json:
        emit_json({"items": shown})
        return
    for item in shown:
        click.echo(item["pem"], nl=False)


@evidence.command("rotate-key")
@click.confirmation_option(
    prompt="Sign with a new key from now on? Whoever checks evidence needs its public part."
)
@json_option
def rotate_key(*, as_json: bool) -> None:
    """Exchange the signing key; old evidence stays good under the old public key."""
    found = client().post(path_of("evidence", "keys"))
    if as_json:
        emit_json(found)
        return
    click.echo(found["pem"], nl=False)
