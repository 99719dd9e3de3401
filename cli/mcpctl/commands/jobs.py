"""jobs: what the hub does in the background."""

from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, pairs, state, table


@click.group()
def jobs() -> None:
    """List, show, cancel and retry background jobs."""


@jobs.command("list")
@click.option(
    "--state",
    "wanted",
    help="Only jobs in this state: queued, running, succeeded, failed, cancelled.",
)
@click.option("--kind", help="Only jobs of this kind, such as servers.reconcile.")
@click.option("--limit", type=click.IntRange(1, 200), default=30, show_default=True)
@json_option
def list_jobs(
    wanted: str | None, kind: str | None, limit: int, *, as_json: bool
) -> None:
    """Show the newest jobs."""
    found = client().get("/api/jobs", state=wanted, kind=kind, limit=limit)
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "kind", "lane", "state", "attempt", "created", "error"),
        [
            (item["id"], item["kind"], item["lane"], state(item["state"]),
             f"{item['attempt']}/{item['max_attempts']}", age(item["created_at"]), item["error"])
            for item in found["items"]
        ],
        empty="No such jobs.",
    )  # fmt: skip


@jobs.command()
@click.argument("job_id", type=int)
@json_option
def show(job_id: int, *, as_json: bool) -> None:
    """Show one job."""
    _tell(client().get(path_of("jobs", job_id)), as_json=as_json)


@jobs.command()
@click.argument("job_id", type=int)
@json_option
def cancel(job_id: int, *, as_json: bool) -> None:
    """Stop a job that waits or runs."""
    _tell(client().post(path_of("jobs", job_id, "cancel")), as_json=as_json)


@jobs.command()
@click.argument("job_id", type=int)
@json_option
def retry(job_id: int, *, as_json: bool) -> None:
    """Run a job again that failed or was cancelled."""
    _tell(client().post(path_of("jobs", job_id, "retry")), as_json=as_json)


def _tell(job: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(job)
        return
    progress = job.get("progress") or {}
    pairs(
        [
            ("id", job["id"]),
            ("kind", job["kind"]),
            ("lane", job["lane"]),
            ("state", state(job["state"])),
            ("attempt", f"{job['attempt']} of {job['max_attempts']}"),
            ("progress", progress.get("message")),
            ("created", job["created_at"]),
            ("started", job["started_at"]),
            ("finished", job["finished_at"]),
            ("error", job["error"]),
        ]
    )
