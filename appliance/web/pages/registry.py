"""The registry: where images go, how its credentials are, what was pushed. For administrators."""

from typing import Any

from aiohttp import web

from appliance.core.clock import now
from appliance.registry.health import CredentialHealth, sentence
from appliance.web.keys import REGISTRY
from appliance.web.pages.forms import see_other
from appliance.web.render import blocks, is_htmx, page
from appliance.web.requests import Access, access, principal_of

routes = web.RouteTableDef()
TEMPLATE = "pages/registry/overview.html"


@routes.get("/registry")
@access(Access.ADMIN)
async def overview(request: web.Request) -> web.Response:
    """Show everything; htmx asks for what changes."""
    found = await request.app[REGISTRY].overview()
    health = found.health
    context: dict[str, Any] = {
        "registry": found,
        "health": health,
        "told": sentence(health) if health else "",
        "used_percent": _used_percent(health),
    }
    if is_htmx(request) and found.is_configured:
        return blocks(request, TEMPLATE, ("registry_state",), context)
    return page(request, TEMPLATE, context)


@routes.post("/registry/check")
@access(Access.ADMIN)
async def check(request: web.Request) -> web.Response:
    """Have the credentials looked at now."""
    await request.app[REGISTRY].check(principal_of(request))
    return see_other("/registry")


@routes.post("/registry/rotate")
@access(Access.ADMIN)
async def rotate(request: web.Request) -> web.Response:
    """Have the credentials replaced now."""
    await request.app[REGISTRY].rotate(principal_of(request))
    return see_other("/registry")


@routes.post("/registry/prune")
@access(Access.ADMIN)
async def prune(request: web.Request) -> web.Response:
    """Have everything removed that nothing refers to."""
    await request.app[REGISTRY].prune(principal_of(request))
    return see_other("/registry")


def _used_percent(health: CredentialHealth | None) -> int | None:
    """Return how much of the credentials' life is over; ``None``: it has no end that is known."""
    if health is None or health.issued_at is None or health.expires_at is None:
        return None
    whole = (health.expires_at - health.issued_at).total_seconds()
    used = (now() - health.issued_at).total_seconds()
    return max(0, min(100, round(100 * used / whole))) if whole > 0 else 100
