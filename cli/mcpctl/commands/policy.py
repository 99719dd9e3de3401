"""policy: what may run, why, and what would happen if."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from mcpctl.client import Client, path_of
from mcpctl.commands.common import client, output_option
from mcpctl.errors import CommandError
from mcpctl.output import age, emit_json, pairs, state, table

VERDICTS = ("launch", "build", "hold-evaluation", "hold-governance", "refuse")
#: Seconds between two looks of ``--wait``.
LOOK_EVERY_S = 2.0


@click.group()
def policy() -> None:
    """See what may run and why; write the policy that decides it (administrators)."""


@policy.command()
@click.argument("server", required=False)
@click.option("--type", "server_type", help="A server that is not hosted yet.")
@click.option("--deployment", type=int, help="Its number; else the newest.")
@click.option("--tier", help="As if it were of this tier, such as gold:npm.")
@click.option("--digest", help="As if it were this artifact.")
@click.option("--isolation", type=click.Choice(["standard", "sandboxed", "vm"]))
@click.option("--gpu/--no-gpu", "use_gpu", default=None)
@click.option("--backend", help="As if it were to be run by this.")
@click.option("--policy-version", type=int, help="By this version; 0: by none.")
@click.option("--file", "file", type=click.Path(), help="By this document; -: stdin.")
@click.option("--wait", is_flag=True, help="Wait until it may launch.")
@output_option
def explain(
    server: str | None, *, file: str | None, wait: bool, as_json: bool, **asked: Any
) -> None:
    """Say whether a server would launch now, and what is missing; the code is that which decides launches."""
    if not (server or asked["server_type"]):
        raise CommandError("Name a server, or give --type for one that is not hosted.")
    body = {name: value for name, value in asked.items() if value is not None}
    body |= {"server": server} if server else {}
    body |= {"text": _read(file)} if file else {}
    hub = client()
    found = hub.post("/api/policy/explain", body)
    while wait and found["verdict"] not in {"launch", "build", "refuse"}:
        time.sleep(LOOK_EVERY_S)
        found = hub.post("/api/policy/explain", body)
    if as_json:
        emit_json(found)
    else:
        _tell(found)
    if wait and found["verdict"] == "refuse":
        raise CommandError(found["reason"])


def _tell(found: dict[str, Any]) -> None:
    candidate = found["candidate_backend"]
    other = f" (asked for: {candidate})" if candidate != found["backend"] else ""
    pairs(
        [
            ("verdict", state(found["verdict"])),
            ("why", found["reason"]),
            ("tier", found["tier"]),
            ("digest", found["manifest_digest"]),
            ("artifact", found["artifact_run_id"]),
            ("backend", f"{found['backend'] or 'none'}{other}"),
            ("image", found["image"]),
            ("needs a build", "yes" if found["build_required"] else "no"),
            ("needs", ", ".join(found["capability_requirements"])),
        ]
    )
    for title, items in (("Next", found["actions"]), ("Notes", found["notes"])):
        if items:
            click.echo(f"\n{title}:")
        for item in items:
            click.echo(f"  {item}")


@policy.command()
@click.argument("version", type=int, required=False)
@click.option("--list", "is_list", is_flag=True, help="All versions.")
@output_option
def show(version: int | None, *, is_list: bool, as_json: bool) -> None:
    """Show the policy that counts, or one version, as YAML."""
    hub = client()
    if is_list:
        _list(hub, as_json=as_json)
        return
    found = (
        hub.get("/api/policy")["active"]
        if version is None
        else hub.get(path_of("policy", "documents", version))
    )
    if as_json:
        emit_json(found)
    elif found is None:
        click.echo("No policy is active: everything launches.")
    else:
        active = ", active" if found["is_active"] else ""
        click.echo(f"# version {found['version']}{active}, by {found['created_by']}")
        click.echo(found["text"], nl=False)


def _list(hub: Client, *, as_json: bool) -> None:
    found = hub.get_all("/api/policy/documents")
    if as_json:
        emit_json(found)
        return
    table(
        ("version", "active", "by", "age", "note"),
        [
            (
                item["version"],
                "yes" if item["is_active"] else "",
                item["created_by"],
                age(item["created_at"]),
                item["note"],
            )
            for item in found
        ],
        empty="No policy was written yet: everything launches.",
    )


@policy.command()
@click.argument("file", type=click.Path())
@click.option("--note", default="", help="Why, for whoever reads the list of versions.")
@click.option("--dry-run", is_flag=True, help="Only say what it would change.")
@click.option("--no-activate", is_flag=True, help="Store it; it does not count yet.")
@output_option
def apply(
    file: str, *, note: str, dry_run: bool, no_activate: bool, as_json: bool
) -> None:
    """Store a document (YAML or JSON; - for standard input) and let it count; administrators."""
    hub, text = client(), _read(file)
    if dry_run:
        _dry_run(hub, {"text": text}, as_json=as_json)
        return
    body = {"text": text, "note": note, "activate": not no_activate}
    made = hub.post("/api/policy/documents", body)
    if as_json:
        emit_json(made)
    else:
        does = "is active" if made["is_active"] else "is stored, and not active"
        click.echo(f"Version {made['version']} {does}.")


def _dry_run(hub: Client, body: dict[str, Any], *, as_json: bool) -> None:
    found = hub.post("/api/policy/dry-run", body)["items"]
    if as_json:
        emit_json(found)
        return
    table(
        ("server", "now", "then", "why"),
        [
            (
                item["server"],
                item["before"]["verdict"],
                item["after"]["verdict"],
                item["after"]["reason"],
            )
            for item in found
        ],
        empty="It would change nothing.",
    )


@policy.command()
@click.argument("version", type=int)
@output_option
def activate(version: int, *, as_json: bool) -> None:
    """Let a version count that is stored; 0: none, so that everything launches; administrators."""
    hub = client()
    if version == 0:
        hub.send("POST", "/api/policy/deactivate", {})
        found: dict[str, Any] = {"active": None}
    else:
        found = hub.post(path_of("policy", "documents", version, "activate"), {})
    if as_json:
        emit_json(found)
    else:
        click.echo(
            f"Version {version} is active." if version else "No policy is active."
        )


@policy.command()
@click.argument("before", type=int, required=False)
@click.argument("after", type=int, required=False)
@output_option
def diff(before: int | None, after: int | None, *, as_json: bool) -> None:
    """Compare two versions; without numbers, the active one with the newest. 0 is no policy at all."""
    found = client().get("/api/policy/diff", **{"from": before, "to": after})
    if as_json:
        emit_json(found)
    else:
        click.echo(found["diff"] or "They say the same.")


@policy.command()
@click.argument("server", required=False)
@click.option("--verdict", type=click.Choice(VERDICTS))
@click.option("--digest", help="Of this artifact.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@output_option
def decisions(
    server: str | None,
    *,
    verdict: str | None,
    digest: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List what was decided, newest first."""
    found = client().get(
        "/api/policy/decisions",
        server=server,
        verdict=verdict,
        digest=digest,
        limit=limit,
    )["items"]
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "age", "server", "purpose", "verdict", "tier", "policy", "why"),
        [
            (
                item["id"],
                age(item["decided_at"]),
                item["server_id"],
                item["purpose"],
                state(item["verdict"]),
                item["tier"],
                item["document_version"],
                item["reason"],
            )
            for item in found
        ],
        empty="Nothing was decided yet.",
    )


@policy.command()
@click.argument("server")
@output_option
def vm(server: str, *, as_json: bool) -> None:
    """Show what a server's instances run in, whether anybody attested it, and what became of them."""
    found = client().get(path_of("servers", server, "vm"))["items"]
    if as_json:
        emit_json(found)
        return
    table(
        (
            "instance",
            "purpose",
            "isolation",
            "runtime",
            "attestation",
            "started",
            "ended",
            "last event",
        ),
        [
            (
                item["name"],
                item["purpose"],
                item["isolation_tier"],
                item["runtime"],
                item["attestation_status"],
                age(item["started_at"]),
                age(item["ended_at"]),
                f"{item['events'][-1]['event']}: {item['events'][-1]['detail']}"
                if item["events"]
                else "",
            )
            for item in found
        ],
        empty="No instance of it was recorded yet.",
    )


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}.") from error
