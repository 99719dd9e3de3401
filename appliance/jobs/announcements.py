"""Tells pages of jobs. Every function runs inside ``database.run``.

Most jobs look, find nothing to do and end within milliseconds; these are nobody's news. What is told are runs that take a
while, and whatever fails or is cancelled.
"""

from collections.abc import Mapping
from typing import Any

from appliance.jobs.model import Job
from appliance.observability.events import publish_in_transaction

STATE = "job.state"
PROGRESS = "job.progress"


def announce_state(job: Job) -> None:
    """Publish in which state the job is."""
    _publish(STATE, job, {"state": job.state.value, "error": job.error})


def announce_progress(job: Job, progress: Mapping[str, Any]) -> None:
    """Publish how far the job is."""
    _publish(PROGRESS, job, {"progress": dict(progress)})


def _publish(kind: str, job: Job, data: Mapping[str, Any]) -> None:
    # By convention a payload names the server that the work is for, and with it who may see this.
    server_id = job.payload.get("server_id")
    known = {
        "job_id": job.id,
        "kind": job.kind,
        "lane": job.lane,
        "attempt": job.attempt,
    }
    publish_in_transaction(kind, server_id, {**known, **data})
