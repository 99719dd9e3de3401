"""The REST API, one module per noun; ``ROUTES`` is all of it."""

from appliance.web.api import (
    accounts,
    audit,
    builds,
    bundles,
    description,
    discovery,
    events,
    health,
    invocations,
    jobs,
    keys,
    logs,
    manifests,
    servers,
    sessions,
    users,
)

ROUTES = (
    health.routes,
    accounts.routes,
    sessions.routes,
    users.routes,
    keys.routes,
    servers.routes,
    manifests.routes,
    bundles.routes,
    builds.routes,
    logs.routes,
    invocations.routes,
    events.routes,
    jobs.routes,
    audit.routes,
    discovery.routes,
    description.routes,
)
