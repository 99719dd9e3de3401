"""How the box is, in words."""

import asyncio
from typing import Any

from aiohttp import web

from appliance.infra.releases import this_release
from appliance.upgrades.home import installed
from appliance.web import words
from appliance.web.health import PartState, Report
from appliance.web.keys import READINESS
from appliance.web.render import blocks, is_htmx, page
from appliance.web.requests import principal_of

routes = web.RouteTableDef()
HEALTH = "pages/health.html"
_SENTENCES = {
    PartState.OK: "Everything works.",
    PartState.DEGRADED: "It works, but something needs a look.",
    PartState.DOWN: "Something that the box needs is down.",
}


@routes.get("/health")
async def health(request: web.Request) -> web.Response:
    """Show every part; htmx asks for the parts alone."""
    context = _context(await request.app[READINESS].report())
    if principal_of(request).is_admin:
        context |= await asyncio.to_thread(_release)
    if is_htmx(request):
        return blocks(request, HEALTH, ("health_parts",), context)
    return page(request, HEALTH, context)


@routes.get("/health/dot")
async def dot(request: web.Request) -> web.Response:
    """Show the whole as the one dot of the frame."""
    return blocks(
        request,
        HEALTH,
        ("health_dot",),
        _context(await request.app[READINESS].report()),
    )


def _release() -> dict[str, Any]:
    home = installed()
    changes = home.changes() if home else []
    return {
        "release": this_release().version,
        "change": changes[-1] if changes else None,
    }


def _context(report: Report) -> dict[str, Any]:
    return {
        "report": report,
        "look": words.look_of(report.state.value),
        "sentence": _SENTENCES[report.state],
        "release": None,
    }
