"""What a server used, its calls, and what happened meanwhile: figures, and charts that the browser draws."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiohttp import web

from appliance.core.clock import now
from appliance.measurements.model import MarkKind
from appliance.web import words
from appliance.web.keys import INVOCATIONS, MEASUREMENTS
from appliance.web.pages.servers import frame_of, series_url
from appliance.web.render import page
from appliance.web.requests import principal_of, server_of

routes = web.RouteTableDef()
TEMPLATE = "pages/servers/metrics.html"


@dataclass(frozen=True)
class Range:
    """A window that the page offers."""

    word: str
    span: timedelta


RANGES = {
    "1h": Range("Last hour", timedelta(hours=1)),
    "6h": Range("Last 6 hours", timedelta(hours=6)),
    "1d": Range("Last day", timedelta(days=1)),
    "7d": Range("Last 7 days", timedelta(days=7)),
    "30d": Range("Last 30 days", timedelta(days=30)),
}
DEFAULT = "1h"
#: Name, title, unit and columns of the series that are drawn.
CHARTS = (
    ("calls", "Calls and errors", "", "calls errors"),
    ("latency", "Latency", "ms", "p50_ms p90_ms p99_ms"),
    ("cpu", "Processor, of one core", "%", "cpu_percent"),
    ("memory", "Memory", "bytes", "memory_bytes"),
    (
        "network",
        "Network",
        "bytes/s",
        "received_bytes_per_s sent_bytes_per_s",
    ),
)
_EVENTS = (
    (MarkKind.DEPLOY, "Deployments"),
    (MarkKind.BUILD, "Builds"),
    (MarkKind.RESTART, "Restarts"),
    (MarkKind.CRASH, "Crashes"),
    (MarkKind.ERROR, "Failures"),
)
#: Newest events in the list below the charts.
LISTED = 30


@routes.get("/servers/{server}/metrics")
async def metrics(request: web.Request) -> web.Response:
    """Show figures and charts."""
    return page(request, TEMPLATE, await now_context(request))


async def now_context(request: web.Request) -> dict[str, Any]:
    """Return what the page shows; its window is in the address, and in that of its stream."""
    frame = await frame_of(request, "metrics")
    server = frame["view"].server
    chosen = request.query.get("range", "")
    name = chosen if chosen in RANGES else DEFAULT
    span = RANGES[name].span
    end = now()
    service = request.app[MEASUREMENTS]
    found = await service.series(
        principal_of(request), server_of(request), since=end - span
    )
    summary = await request.app[INVOCATIONS].summary(
        principal_of(request), server_of(request), window=span
    )
    base = words.server_path(server)
    return {
        **frame,
        "live_url": f"/live{base}/metrics?range={name}",
        "series_url": series_url(frame["view"]),
        "base": f"{base}/metrics",
        "range": name,
        "range_word": RANGES[name].word,
        "range_s": int(span.total_seconds()),
        "ranges": RANGES,
        "charts": CHARTS,
        "kinds": _EVENTS,
        "total": summary.total,
        "now": service.newest(server.id),
        "counts": [
            (word, sum(mark.kind is kind for mark in found.marks))
            for kind, word in _EVENTS
        ],
        "marks": found.marks[: -LISTED - 1 : -1],
    }
