"""The pages: handlers that parse, call a service and render; templates say the rest."""

from aiohttp import web

from appliance.web.keys import ERROR_PAGE
from appliance.web.pages import (
    account,
    activity,
    bundle_actions,
    bundles,
    connected_apps,
    deployments,
    dockerfiles,
    egress,
    errors,
    evidence,
    files,
    health,
    invocations,
    isolation,
    keys,
    live,
    logs,
    marketplace,
    metrics,
    oauth,
    orgs,
    packages,
    palette,
    patterns,
    people,
    registry,
    secrets,
    server_actions,
    server_health,
    servers,
    services,
    settings,
    source_actions,
    tool_reviews,
    totp,
    transfers,
    webhooks,
)
from appliance.web.render import set_up

#: Fixed addresses before those that name a server, so that ``/servers/new`` is the form.
ROUTES = (
    account.routes,
    oauth.routes,
    orgs.routes,
    transfers.routes,
    connected_apps.routes,
    server_actions.routes,
    source_actions.routes,
    servers.routes,
    packages.routes,
    invocations.routes,
    keys.routes,
    webhooks.routes,
    files.routes,
    services.routes,
    deployments.routes,
    secrets.routes,
    tool_reviews.routes,
    server_health.routes,
    egress.routes,
    isolation.routes,
    dockerfiles.routes,
    logs.routes,
    metrics.routes,
    live.routes,
    bundle_actions.routes,
    bundles.routes,
    evidence.routes,
    marketplace.routes,
    activity.routes,
    settings.routes,
    registry.routes,
    health.routes,
    palette.routes,
    patterns.routes,
    people.routes,
    totp.routes,
)


def install(app: web.Application) -> None:
    """Add the pages to the hub's application. Blocking: it reads templates and static files."""
    set_up(app)
    app[ERROR_PAGE] = errors.error_page
    for routes in ROUTES:
        app.add_routes(routes)
