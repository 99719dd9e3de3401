"""governance: workflows, runs of them, and what waits for one's decision."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from mcpctl.client import Client, path_of
from mcpctl.commands.common import client, output_option
from mcpctl.errors import CommandError
from mcpctl.output import age, emit_json, pairs, state, table

ENDED = frozenset({"completed", "failed", "rejected", "expired", "cancelled"})
comment_option = click.option("--comment", default="", help="Kept in the log.")
wait_option = click.option(
    "--wait", is_flag=True, help="Until it has ended; exits 1 unless it is completed."
)


@click.group()
def governance() -> None:
    """Decide about versions: approve, follow runs, keep workflows. RUN is a number, WORKFLOW a name or an id."""


@governance.command()
@output_option
def inbox(*, as_json: bool) -> None:
    """Show what waits for your decision."""
    found = client().get("/api/governance/inbox")
    if as_json:
        emit_json(found)
        return
    table(
        ("run", "decision", "step", "tier", "asked by", "since"),
        [
            (
                item["id"],
                item["title"],
                item["steps"][item["current_step"] - 1]["name"],
                item["tier"],
                item["started_by"],
                age(item["created_at"]),
            )
            for item in found["items"]
        ],
        empty="Nothing waits for you.",
    )


@governance.command()
@click.option("--status", help="Only runs in this status.")
@click.option("--workflow", help="Only this workflow's.")
@click.option("--digest", help="Only about this digest.")
@output_option
def runs(
    status: str | None, workflow: str | None, digest: str | None, *, as_json: bool
) -> None:
    """Show runs, newest first."""
    found = client().get(
        "/api/governance/runs", status=status, workflow=workflow, digest=digest
    )
    if as_json:
        emit_json(found)
        return
    table(
        ("run", "status", "decision", "workflow", "tier", "started"),
        [
            (
                item["id"],
                state(item["status"]),
                item["title"],
                item["workflow"],
                item["tier"],
                age(item["created_at"]),
            )
            for item in found["items"]
        ],
        empty="No runs.",
    )


@governance.command()
@click.argument("run", type=int)
@wait_option
@output_option
def show(run: int, *, wait: bool, as_json: bool) -> None:
    """Show a run with its steps and its log."""
    hub = client()
    found = waited(hub, run) if wait else hub.get(_run(run))
    tell_run(found, as_json=as_json)
    if wait:
        require_completed(found)


@governance.command()
@click.argument("workflow")
@click.option("--artifact", type=int, help="Number of an artifact in the marketplace.")
@click.option("--digest", default="", help="sha256:…; instead of an artifact.")
@click.option("--tier", default="", help="Without: as the ledger rates it.")
@click.option("--title", default="", help="What is decided, in words.")
@wait_option
@output_option
def start(
    workflow: str, artifact: int | None, *, wait: bool, as_json: bool, **about: str
) -> None:
    """Run a workflow for an artifact or a digest."""
    hub = client()
    body: dict[str, Any] = {
        "manifest_digest": about["digest"],
        "tier": about["tier"],
        "title": about["title"],
    }
    if artifact is not None:
        body["artifact_run_id"] = artifact
    made = hub.post(path_of("governance", "workflows", workflow, "runs"), body)
    found = waited(hub, made["id"]) if wait else made
    tell_run(found, as_json=as_json)
    if wait:
        require_completed(found)


@governance.command()
@click.argument("run", type=int)
@click.option("--step", type=int, help="Its position; without: the one in progress.")
@comment_option
@output_option
def approve(run: int, step: int | None, comment: str, *, as_json: bool) -> None:
    """Approve the step whose turn it is."""
    _decide("approve", run, step, comment, as_json=as_json)


@governance.command()
@click.argument("run", type=int)
@click.option("--step", type=int, help="Its position; without: the one in progress.")
@comment_option
@output_option
def reject(run: int, step: int | None, comment: str, *, as_json: bool) -> None:
    """Reject the step whose turn it is, and with it the run."""
    _decide("reject", run, step, comment, as_json=as_json)


@governance.command("set-status")
@click.argument("run", type=int)
@click.argument(
    "status",
    type=click.Choice(["in_progress", "completed", "failed", "rejected", "cancelled"]),
)
@click.option("--note", default="", help="Kept in the log.")
@output_option
def set_status(run: int, status: str, note: str, *, as_json: bool) -> None:
    """Set a run's status by hand; one with open steps is not completed."""
    body = {"status": status, "note": note}
    tell_run(client().post(_run(run, "status"), body), as_json=as_json)


# -- workflows


@governance.command()
@output_option
def workflows(*, as_json: bool) -> None:
    """Show workflows."""
    found = client().get_all("/api/governance/workflows")
    if as_json:
        emit_json({"items": found})
        return
    table(
        ("name", "tier", "steps", "open runs", "changed"),
        [
            (
                item["name"],
                item["tier"],
                ", ".join(step["name"] for step in item["steps"]),
                item["open_runs"],
                age(item["updated_at"]),
            )
            for item in found
        ],
        empty="No workflows. 'mcpctl governance create FILE' makes one.",
    )


@governance.command()
@click.argument("workflow")
def export(workflow: str) -> None:
    """Print a workflow as a document that 'create' and 'change' take."""
    found = client().get(path_of("governance", "workflows", workflow))
    names = ("name", "description", "tier", "expires_after_s", "notify")
    steps = [
        {name: step[name] for name in ("name", "kind", "config", "timeout_s")}
        for step in found["steps"]
    ]
    for step in steps:
        for group in step["config"].get("groups", ()):
            group.pop("org_id", None)
    emit_json({name: found[name] for name in names} | {"steps": steps})


@governance.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--org", help="The organisation that it is for; absent: you.")
@output_option
def create(file: Path, org: str | None, *, as_json: bool) -> None:
    """Make a workflow of a JSON document; the secret of its webhooks is shown this once."""
    body = document(file) | ({"org": org} if org else {})
    made = client().post("/api/governance/workflows", body)
    if as_json:
        emit_json(made)
        return
    pairs([("workflow", made["workflow"]["name"]), ("tier", made["workflow"]["tier"])])
    click.echo("Secret of its webhooks, shown this once:", err=True)
    click.echo(made["webhook_secret"])


@governance.command()
@click.argument("workflow")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--version", type=int, help="The one that you looked at.")
@output_option
def change(workflow: str, file: Path, version: int | None, *, as_json: bool) -> None:
    """Replace a workflow by a JSON document; runs that go on keep their steps."""
    body = document(file) | ({"version": version} if version else {})
    made = client().put_json(path_of("governance", "workflows", workflow), body)
    if as_json:
        emit_json(made)
    else:
        pairs([("workflow", made["name"]), ("version", made["version"])])


@governance.command()
@click.argument("workflow")
def delete(workflow: str) -> None:
    """Remove a workflow; what ran of it stays."""
    client().delete(path_of("governance", "workflows", workflow))
    click.echo(f"{workflow} is gone.")


# -- inside


def document(file: Path) -> dict[str, Any]:
    """Return a JSON document from a file, or from standard input for ``-``."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise CommandError(f"{file} holds no JSON object.")
    return found


def waited(hub: Client, run: int) -> dict[str, Any]:
    """Return a run once it has ended, telling each status on the way."""
    said = ""
    for event in hub.events(_run(run, "stream")):
        if event.kind != "run":
            continue
        found: dict[str, Any] = event.json()
        step = found["current_step"]
        now = f"step {step} of {len(found['steps'])}" if step else found["status"]
        if now != said:
            said = now
            click.echo(f"==> {state(now)}", err=True)
        if found["status"] in ENDED:
            return found
    return dict(hub.get(_run(run)))


def require_completed(run: dict[str, Any]) -> None:
    """Exit 1 unless a run is completed."""
    if run["status"] != "completed":
        raise CommandError(
            f"Run {run['id']} is {run['status']}: {run['reason'] or 'it goes on.'}"
        )


def tell_run(run: dict[str, Any], *, as_json: bool) -> None:
    """Print a run."""
    if as_json:
        emit_json(run)
        return
    pairs(
        [
            ("run", run["id"]),
            ("decision", run["title"]),
            ("status", state(run["status"])),
            ("reason", run["reason"] or "-"),
            ("tier", run["tier"]),
            ("digest", run["manifest_digest"]),
        ]
    )
    click.echo()
    table(
        ("step", "name", "status", "waits for", "came to"),
        [
            (
                step["position"],
                step["name"],
                state(step["status"]),
                step["waits_for"],
                step["summary"] or (f"{step['approved']} of {step['needed']}" if step["needed"] else "-"),
            )
            for step in run["steps"]
        ],
        empty="No steps: it is completed by hand.",
    )  # fmt: skip


def _decide(
    verdict: str, run: int, step: int | None, comment: str, *, as_json: bool
) -> None:
    hub = client()
    position = step or hub.get(_run(run))["current_step"] or 1
    path = _run(run, "steps", position, verdict)
    tell_run(hub.post(path, {"comment": comment}), as_json=as_json)


def _run(run: int, *parts: str | int) -> str:
    return path_of("governance", "runs", run, *parts)
