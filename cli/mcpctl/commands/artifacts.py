"""artifacts: the ledger of what was built."""

from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.chains import Chain, check, known_option
from mcpctl.commands.common import client, json_option
from mcpctl.commands.marketplace import built_for, short
from mcpctl.output import age, emit_json, pairs, state, table

LEDGER = Chain(
    "/api/artifacts/chain", whole="ledger", noun="row", count="runs", place="run_id"
)


@click.group()
def artifacts() -> None:
    """List and show builds that ended, check their chain, host servers from them."""


@artifacts.command("list")
@click.option(
    "--server-id", type=int, help="Only this server's; also one that is gone."
)
@click.option("--limit", type=click.IntRange(1, 200), default=30, show_default=True)
@click.option("--cursor", help="next_cursor of the page before; --json shows it.")
@json_option
def list_artifacts(*, as_json: bool, **options: Any) -> None:
    """Show builds that ended, newest first."""
    found = client().get("/api/artifacts", **options)
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "server", "attempt", "status", "tier", "revision", "digest", "when"),
        [
            (item["id"], item["server_name"], item["attempt"], state(item["status"]), item["tier"],
             item["source_revision"][:19], short(item["manifest_digest"]), age(item["completed_at"]))
            for item in found["items"]
        ],
        empty="Nothing was built yet.",
    )  # fmt: skip
    if found["next_cursor"]:
        click.echo(f"More: --cursor {found['next_cursor']}", err=True)


@artifacts.command()
@click.argument("artifact_id", type=int)
@json_option
def show(artifact_id: int, *, as_json: bool) -> None:
    """Show one build: health, provenance, platforms, credentials, hash."""
    found = client().get(path_of("artifacts", artifact_id))
    if as_json:
        emit_json(found)
        return
    pairs(
        [
            ("id", found["id"]),
            ("server", f"{found['server_name']} ({found['server_id']})"),
            ("status", state(found["status"])),
            ("tier", found["tier"]),
            ("source", found["source_repo"]),
            ("branch", found["source_branch"]),
            ("revision", found["source_revision"]),
            ("built for", built_for(found)),
            ("image", found["registry_image"]),
            ("tag", found["manifest_tag"]),
            ("digest", found["manifest_digest"]),
            ("on this box", found["local_image"]),
            ("credentials", found["credential_health_status"]),
            ("built", f"{found['completed_at']} ({age(found['completed_at'])})"),
            ("attempt", found["attempt"]),
            ("hash", found["row_hash"]),
            ("after", found["prev_hash"]),
        ]
    )
    for issue in found["health"]["issues"]:
        click.echo(f"  {issue['code']}: {' '.join(issue['message'].split())}")
    if found["platforms"]:
        click.echo()
        table(
            ("platform", "digest", "image on this box"),
            [
                (item["platform"], item["digest"], item["image_id"])
                for item in found["platforms"]
            ],
            empty="",
        )


@artifacts.command("verify-chain")
@known_option("RUN")
@json_option
def verify_chain(known: str | None, *, as_json: bool) -> None:
    """Compare every row of the ledger with its hash; exits 1 if one was changed or removed."""
    check(LEDGER, known, as_json=as_json)


@artifacts.command()
@click.argument("artifact_id", type=int)
@click.option("--name", default="", help="Otherwise the old name with a number.")
@json_option
def deploy(artifact_id: int, name: str, *, as_json: bool) -> None:
    """Host a new server from a build, at the version that was built; its key is shown this once."""
    made = client().post(path_of("artifacts", artifact_id, "deploy"), {"name": name})
    if as_json:
        emit_json(made)
        return
    pairs([("name", made["server"]["name"]), ("endpoint", made["server"]["endpoint"])])
    click.echo("Endpoint key, shown this once:", err=True)
    click.echo(made["endpoint_key"])
