"""The webhook of one server: how a redeploy is started from outside, and who did."""

from typing import Any

from aiohttp import web

from appliance.servers.service import ServerView
from appliance.servers.webhooks import SECRET_PREFIX
from appliance.web import words
from appliance.web.keys import WEBHOOK_SECRET_HEADER, WEBHOOKS
from appliance.web.pages.forms import see_other
from appliance.web.pages.servers import frame_of
from appliance.web.render import page
from appliance.web.requests import own_url, principal_of, server_of

routes = web.RouteTableDef()

TEMPLATE = "pages/servers/webhook.html"
#: Stands in the curl line where the secret goes, and is a word that a shell leaves alone.
PLACEHOLDER = f"{SECRET_PREFIX}YOUR_SECRET"


@routes.get("/servers/{server}/webhook")
async def webhook(request: web.Request) -> web.Response:
    """Show both doors, how they are called, and what came of the last calls."""
    return page(request, TEMPLATE, await webhook_context(request))


async def webhook_context(
    request: web.Request, *, new_secret: str = ""
) -> dict[str, Any]:
    """Return what the webhook tab shows; a secret that was just made stands in the curl line."""
    frame = await frame_of(request, "webhook")
    view: ServerView = frame["view"]
    found = await request.app[WEBHOOKS].get(principal_of(request), server_of(request))
    here = words.server_path(view.server)
    base = f"{own_url(request)}/api{here}"
    secret = new_secret or PLACEHOLDER
    return {
        **frame,
        "path": f"{here}/webhook",
        "webhook": found,
        "new_secret": new_secret,
        "curl": f"curl -fsS -X POST -H '{WEBHOOK_SECRET_HEADER}: {secret}' {base}/webhook",
        "github_url": f"{base}/github",
    }


@routes.post("/servers/{server}/webhook/secret")
async def renew(request: web.Request) -> web.Response:
    """Make a new secret, and show it this once."""
    secret = await request.app[WEBHOOKS].renew(
        principal_of(request), server_of(request)
    )
    return page(request, TEMPLATE, await webhook_context(request, new_secret=secret))


@routes.post("/servers/{server}/webhook/remove")
async def remove(request: web.Request) -> web.Response:
    """Shut both doors, and show the tab."""
    await request.app[WEBHOOKS].remove(principal_of(request), server_of(request))
    frame = await frame_of(request, "webhook")
    return see_other(f"{words.server_path(frame['view'].server)}/webhook")
