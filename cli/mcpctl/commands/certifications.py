"""evaluations certifications, certify and retry."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, output_option
from mcpctl.commands.marketplace import short
from mcpctl.errors import CommandError
from mcpctl.output import emit_json, state, table


def document(file: str) -> dict[str, Any]:
    """Return the JSON object of a file; ``-``: of standard input."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise CommandError(f"{file} holds no JSON object.")
    return found


def without_none(**values: Any) -> dict[str, Any]:
    """Return what was given."""
    return {name: value for name, value in values.items() if value is not None}


def _place(server: str | None, artifact: int | None) -> str:
    if artifact is not None and server is None:
        return path_of("artifacts", artifact, "evaluations")
    if server is not None and artifact is None:
        return path_of("servers", server, "certifications")
    raise click.UsageError("Give either --server or --artifact.")


def _about(function: Any) -> Any:
    server = click.option("--server", help="Its newest version, by name or id.")
    artifact = click.option("--artifact", type=int, help="A run of the ledger.")
    return server(artifact(function))


@click.command()
@_about
@output_option
def certifications(server: str | None, artifact: int | None, *, as_json: bool) -> None:
    """Show what is certified, and what that is worth now."""
    found = client().get(_place(server, artifact))
    if as_json:
        emit_json(found)
        return
    _show_certifications(found["items"])


def _show_certifications(items: list[dict[str, Any]]) -> None:
    table(
        ("id", "requirement", "tier", "worth now", "until", "by", "digest"),
        [
            (item["id"], item["policy_requirement"], item["tier"], state(item["standing"]),
             item["valid_until"] or "for good", item["certified_by"], short(item["manifest_digest"]))
            for item in items
        ],
        empty="Nothing is certified.",
    )  # fmt: skip


@click.command()
@_about
@click.option("--requirement", required=True, help="Such as smoke.")
@click.option("--status", type=click.Choice(["pass", "fail", "pending"]), required=True)
@click.option("--tier", default="", help="Without: the version's own.")
@click.option("--valid-from", help="A moment; without: from now on.")
@click.option("--valid-until", help="A moment; without: for good.")
@click.option("--note", default="", help="In words.")
@click.option("--evidence", help="A file with a JSON object; -: standard input.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Put beside it; repeat for more.",
)
@output_option
def certify(
    server: str | None,
    artifact: int | None,
    *,
    requirement: str,
    evidence: str | None,
    files: tuple[Path, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Write what was found about a version."""
    hub = client()
    body = without_none(policy_requirement=requirement, **options)
    if evidence:
        body["evidence"] = document(evidence)
    made = hub.post(_place(server, artifact), body)
    for file in files:
        hub.upload(path_of("evaluations", made["id"], "files"), "file", file)
    if as_json:
        emit_json(hub.get(path_of("evaluations", made["id"])))
    else:
        _show_certifications([made])


@click.command()
@click.argument("certification_id", type=int)
@output_option
def retry(certification_id: int, *, as_json: bool) -> None:
    """Make a certification pending again, so that it can be found out anew."""
    found = client().post(path_of("evaluations", certification_id, "retry"))
    if as_json:
        emit_json(found)
    else:
        _show_certifications([found])
