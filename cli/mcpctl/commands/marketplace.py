"""marketplace: what was built and what it is worth, and published servers to begin with."""

from typing import Any

import click

from mcpctl.commands.common import client, output_option
from mcpctl.output import age, emit_json, state, table


@click.group()
def marketplace() -> None:
    """Browse what was built, and published servers to begin with."""


@marketplace.command("list")
@click.option(
    "-q",
    "--query",
    "q",
    help="Words: parts of name, source, revision, tag, digest, image or platform.",
)
@click.option(
    "--type", "server_type", help="Only servers of this type, such as npm or Router."
)
@click.option("--status", type=click.Choice(["succeeded", "failed", "cancelled"]))
@click.option("--tier", help="gold, silver or watchlist, or with a type: gold:npm.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@click.option("--cursor", help="next_cursor of the page before; --json shows it.")
@output_option
def list_entries(*, as_json: bool, **options: Any) -> None:
    """Show the newest build of each server, and the newest good one if that is another."""
    found = client().get("/api/marketplace", **options)
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "server", "tier", "status", "built for", "source", "digest", "when"),
        [
            (item["id"], item["server_name"], item["tier"], state(item["status"]), built_for(item),
             item["source_repo"], short(item["manifest_digest"]), age(item["completed_at"]))
            for item in found["items"]
        ],
        empty="Nothing was built that matches. 'mcpctl marketplace catalog' lists servers to begin with.",
    )  # fmt: skip
    if found["next_cursor"]:
        click.echo(f"More: --cursor {found['next_cursor']}", err=True)


@marketplace.command()
@click.option("-q", "--query", "q", help="Words of title, package or description.")
@output_option
def catalog(q: str | None, *, as_json: bool) -> None:
    """List published servers; host one with 'mcpctl servers create'."""
    found = client().get("/api/marketplace/catalog", q=q)
    if as_json:
        emit_json(found)
        return
    table(
        ("name", "source", "needs", "description"),
        [
            (item["name"], item["package"] or item["image"], _needs(item), item["description"])
            for item in found["items"]
        ],
        empty="No published server matches.",
    )  # fmt: skip


def _needs(item: dict[str, Any]) -> str:
    return " ".join(each["name"] for each in item["settings"] if each["is_required"])


def built_for(item: dict[str, Any]) -> str:
    """Return the architectures of an artifact in a few letters, and those that are wanting."""
    missing = [name for name in item["targets"] if name not in item["architectures"]]
    words = [*item["architectures"], *(f"no {name}" for name in missing)]
    return ", ".join(word.replace("linux/", "") for word in words)


def short(digest: str | None) -> str:
    """Return the first digits of a digest."""
    return digest[:19] if digest else ""
