"""The evidence of one run, as a part of its page."""

from aiohttp import web

from appliance.accounts.model import Action
from appliance.web.api.artifacts import artifact_of
from appliance.web.keys import EVIDENCE, LEDGER
from appliance.web.pages.forms import see_other
from appliance.web.render import page
from appliance.web.requests import principal_of

routes = web.RouteTableDef()


@routes.get("/marketplace/{artifact}/evidence")
async def part(request: web.Request) -> web.Response:
    """Show the part alone, which asks for itself until the evidence is made."""
    artifact = await artifact_of(request)
    principal = principal_of(request)
    allowed = await request.app[LEDGER].actions(principal, artifact)
    context = {
        "evidence": await request.app[EVIDENCE].view(principal, artifact.id),
        "may_write": Action.DEPLOY in allowed,
    }
    return page(request, "partials/evidence.html", context)


@routes.post("/marketplace/{artifact}/evidence")
async def retry(request: web.Request) -> web.Response:
    """Ask for the run's evidence once more, and show the run."""
    artifact = await artifact_of(request)
    await request.app[EVIDENCE].retry(principal_of(request), artifact.id)
    return see_other(f"/marketplace/{artifact.id}#evidence")
