"""What happened to a server, as marks in the charts of what it used. Runs inside ``database.run``."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from appliance.invocations import store as invocations
from appliance.measurements.model import Calls, Mark, MarkKind
from appliance.observability.usage import usage_of
from appliance.servers import store
from appliance.servers.health import store as health_store

#: Usage metrics and changes of status that are looked through.
MOST = 500
_USAGE = {"start": MarkKind.START, "stop": MarkKind.STOP, "restart": MarkKind.RESTART}
_WORDS = {
    MarkKind.START: "Started",
    MarkKind.STOP: "Stopped",
    MarkKind.RESTART: "Started again after a crash",
}


def marks_of(server_id: int, since: datetime, until: datetime) -> list[Mark]:
    """Return what happened to a server in a window, oldest first."""
    found = [
        *_deployments(server_id),
        *_usage(server_id),
        *_crashes(server_id, since),
    ]
    return sorted(
        (mark for mark in found if since <= mark.at < until), key=lambda mark: mark.at
    )


def calls_of(
    server_id: int, since: datetime, until: datetime, step: timedelta
) -> tuple[list[Calls], int | None]:
    """Return the calls of a server in spans of a step, and of how many of the newest they are; ``None``: of all."""
    rows, sample = invocations.series(server_id, since, until, step)
    found = [
        Calls(at, calls, errors, *percentiles)
        for at, calls, errors, percentiles in rows
    ]
    return found, sample


def _deployments(server_id: int) -> Iterator[Mark]:
    for item in store.deployments(server_id):
        text = f"Deployment {item.number}, asked for by {item.requested_by}: {item.state.value}. {item.reason}"
        at = item.live_at or item.finished_at or item.created_at
        yield Mark(at, MarkKind.DEPLOY, text.rstrip(" ."))


def _usage(server_id: int) -> Iterator[Mark]:
    for item in usage_of(server_id, limit=MOST):
        kind = _USAGE.get(item.event_type)
        if kind is not None:
            yield Mark(item.created_at, kind, _WORDS[kind])


def _crashes(server_id: int, since: datetime) -> Iterator[Mark]:
    for change in health_store.history_since(server_id, since):
        if change.reason.startswith("Crashed"):
            yield Mark(change.at, MarkKind.CRASH, change.reason)
        elif change.after == "error":
            yield Mark(change.at, MarkKind.ERROR, change.reason)
        elif change.after == "building":
            yield Mark(change.at, MarkKind.BUILD, "Build began")
