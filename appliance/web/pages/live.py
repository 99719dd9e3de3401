"""Live regions: one stream a page, of blocks that the server renders and the page morphs into place.

A stream tells what is now as soon as it opens, and again whenever an event says that something may have changed; so it does
not matter what a browser missed while its tab was in the background. Which blocks a stream carries follows from its address.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from appliance.backups.model import CHANGED as BACKUP
from appliance.certificates.telling import CHANGED as CERTIFICATE_CHANGED
from appliance.core.errors import NotFoundError
from appliance.governance.model import CHANGED
from appliance.jobs.announcements import PROGRESS, STATE
from appliance.observability.events import Event
from appliance.web.api.metrics import sample_messages
from appliance.web.keys import EVENTS, SERVERS
from appliance.web.pages import (
    activity,
    backups,
    certificates,
    deployments,
    domains,
    egress,
    evaluations,
    governance,
    isolation,
    metrics,
    policy,
    secrets,
    server_health,
    servers,
    tool_reviews,
    webhooks,
)
from appliance.web.pages.live_logs import build_lines, output_lines
from appliance.web.render import block, partial
from appliance.web.requests import (
    Access,
    access,
    move_time_limit,
    principal_of,
    server_of,
)
from appliance.web.sse import Message, merged, running, stream

routes = web.RouteTableDef()

#: Seconds in which events gather before a page is rendered again: a burst is one change to a reader.
GATHER_S = 0.15
#: Seconds after which a stream ends, so that one of a session that was revoked does not go on for ever.
LASTS_S = 600.0
#: Tells the page that there is nothing more to come; its element closes the stream.
GONE = "gone"
#: Seconds between looks at the queue: jobs that end at once are nobody's news, so no event tells of them.
EVERY_S = 5.0

Render = Callable[[web.Request], Awaitable[str]]


@routes.get("/live/servers")
async def server_list(request: web.Request) -> web.StreamResponse:
    """Stream the list of servers, filtered and paged as the page that asks."""

    async def render(request: web.Request) -> str:
        context = await servers.list_context(request)
        return partial(
            "server-list",
            block(request, "pages/servers/list.html", "server_list", context),
        )

    return await _serve(
        request,
        _states(
            request, render, kinds={"server.status", "server.created", "server.deleted"}
        ),
    )


@routes.get("/live/activity/jobs")
@access(Access.ADMIN)
async def job_list(request: web.Request) -> web.StreamResponse:
    """Stream the queue and the clock."""

    async def render(request: web.Request) -> str:
        context = await activity.jobs_context(request)
        template = "pages/activity/jobs.html"
        return partial(
            "job-list", block(request, template, "job_list", context)
        ) + partial("clock", block(request, template, "clock", context))

    return await _serve(
        request, _states(request, render, kinds={STATE, PROGRESS}, every_s=EVERY_S)
    )


@routes.get("/live/backups")
@access(Access.ADMIN)
async def backup_list(request: web.Request) -> web.StreamResponse:
    """Stream the backups and how far one is that runs."""

    async def render(request: web.Request) -> str:
        context = await backups.backups_context(request)
        return partial(
            "backups-state", block(request, backups.TEMPLATE, "backups_state", context)
        )

    return await _serve(request, _states(request, render, kinds={BACKUP}))


@routes.get("/live/servers/{server}/{tab}")
async def server_tab(request: web.Request) -> web.StreamResponse:
    """Stream what changes on one tab of one server."""
    tab = request.match_info["tab"]
    if tab not in TABS:
        raise web.HTTPNotFound
    # Whoever may not know of the server gets 404 rather than a silent stream.
    view = await request.app[SERVERS].get(principal_of(request), server_of(request))
    states = _states(request, TABS[tab], server_id=view.server.id)
    lines = _LINES.get(tab)
    messages = merged(states, lines(request, view.server.id)) if lines else states
    return await _serve(request, messages)


@routes.get("/live/certificates")
@access(Access.ADMIN)
async def certificate_list(request: web.Request) -> web.StreamResponse:
    """Stream the list of certificates."""

    async def render(request: web.Request) -> str:
        context = await certificates.list_context(request)
        return partial(
            "certificate-list",
            block(request, certificates.LIST, "certificate_list", context),
        )

    states = _states(request, render, kinds={CERTIFICATE_CHANGED})
    return await _serve(request, states)


@routes.get("/live/certificates/{certificate_id:[0-9]{1,18}}")
@access(Access.ADMIN)
async def certificate(request: web.Request) -> web.StreamResponse:
    """Stream one certificate and what happens to it."""

    async def render(request: web.Request) -> str:
        context = await certificates.detail_context(request)
        return partial(
            "certificate", block(request, certificates.DETAIL, "certificate", context)
        )

    await certificates.detail_context(request)
    states = _states(request, render, kinds={CERTIFICATE_CHANGED})
    return await _serve(request, states)


@routes.get(r"/live/governance/runs/{run:\d+}")
async def governance_run(request: web.Request) -> web.StreamResponse:
    """Stream one run of a workflow."""

    async def render(request: web.Request) -> str:
        context = await governance.run_context(request)
        return partial(
            "run-state", block(request, governance.RUN, "run_state", context)
        )

    await governance.run_context(request)
    return await _serve(request, _states(request, render, kinds={CHANGED}))


async def _serve(
    request: web.Request, messages: AsyncGenerator[Message]
) -> web.StreamResponse:
    move_time_limit(request, None)
    return await stream(request, _for_a_while(messages))


async def _for_a_while(messages: AsyncGenerator[Message]) -> AsyncGenerator[Message]:
    """Yield ``messages`` until it is time to ask again who reads them; the browser comes back by itself."""
    loop = asyncio.get_running_loop()
    end = loop.time() + LASTS_S
    following = asyncio.ensure_future(anext(messages, None))
    try:
        while True:
            await asyncio.wait({following}, timeout=end - loop.time())
            message = following.result() if following.done() else None
            if message is None:
                return
            yield message
            following = asyncio.ensure_future(anext(messages, None))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await messages.aclose()


async def _states(
    request: web.Request,
    render: Render,
    *,
    kinds: set[str] | None = None,
    server_id: int | None = None,
    every_s: float | None = None,
) -> AsyncGenerator[Message]:
    """Yield what is now, and again after every burst of events, or every so many seconds where not all is told."""
    subscription = request.app[EVENTS].subscribe(kinds=kinds, server_id=server_id)
    last = ""
    async with (
        contextlib.aclosing(subscription),
        contextlib.aclosing(bursts(subscription)) as wakes,
    ):
        waiting = asyncio.ensure_future(anext(wakes, None))
        try:
            while True:
                html = await render(request)
                if html != last:
                    yield Message(html)
                last = html
                await asyncio.wait({waiting}, timeout=every_s)
                if waiting.done():
                    if waiting.result() is None:
                        return
                    waiting = asyncio.ensure_future(anext(wakes, None))
        except NotFoundError:
            yield Message("It is gone.", event=GONE)
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


async def bursts(
    events: AsyncIterator[Event], *, gather_s: float = GATHER_S
) -> AsyncGenerator[list[Event]]:
    """Yield events in lists, so that many at once are one."""
    gathered: list[Event] = []
    arrived = asyncio.Event()

    async def gather() -> None:
        try:
            async for event in events:
                gathered.append(event)
                arrived.set()
        finally:
            arrived.set()

    async with running(gather()) as task:
        while not task.done() or gathered:
            await arrived.wait()
            await asyncio.sleep(gather_s)
            arrived.clear()
            if gathered:
                batch = gathered[:]
                gathered.clear()
                yield batch


def _tab(
    template: str,
    *names: str,
    context: Callable[[web.Request], Awaitable[dict[str, Any]]],
) -> Render:
    """Render the head that every tab has, and the blocks of this one."""

    async def render(request: web.Request) -> str:
        found = await context(request)
        head = partial(
            "server-head", block(request, "layouts/server.html", "server_head", found)
        )
        rest = (
            partial(name.replace("_", "-"), block(request, template, name, found))
            for name in names
        )
        return head + "".join(rest)

    return render


async def _head_only(request: web.Request) -> dict[str, Any]:
    return await servers.frame_of(request, "connect")


async def _created(request: web.Request) -> str:
    context = await servers.frame_of(request, "created")
    return partial(
        "created-status",
        block(request, "pages/servers/created.html", "created_status", context),
    )


#: Address of a tab's stream to what it renders.
TABS: dict[str, Render] = {
    "overview": _tab(
        "pages/servers/overview.html",
        "overview_top",
        "overview",
        context=servers.overview_context,
    ),
    "tools": _tab("pages/servers/tools.html", "tools", context=servers.tools_context),
    "review": _tab(
        "pages/servers/review.html", "review", context=tool_reviews.review_context
    ),
    "manifest": _tab(
        "pages/servers/manifest.html", "manifest", context=servers.manifest_context
    ),
    "build": _tab(
        "pages/servers/build.html", "build_head", context=servers.build_context
    ),
    "logs": _tab("pages/servers/logs.html", context=_head_only),
    "health": _tab(
        "pages/servers/health.html",
        "health_now",
        context=server_health.health_context,
    ),
    "connect": _tab("pages/servers/connect.html", context=_head_only),
    "account": _tab("pages/servers/account.html", context=_head_only),
    "deployments": _tab(
        "pages/servers/deployments.html",
        "deployments",
        context=deployments.deployments_context,
    ),
    "deployment": _tab(
        "pages/servers/deployment.html",
        "deployment_now",
        "deployment_log",
        context=deployments.deployment_context,
    ),
    "config": _tab("pages/servers/config.html", context=_head_only),
    "metrics": _tab(
        "pages/servers/metrics.html", "metrics_now", context=metrics.now_context
    ),
    "invocations": _tab("pages/servers/invocations.html", context=_head_only),
    "webhook": _tab(
        "pages/servers/webhook.html",
        "webhook_deliveries",
        context=webhooks.webhook_context,
    ),
    "secrets": _tab(
        "pages/servers/secrets.html", "secrets_list", context=secrets.secrets_context
    ),
    "domains": _tab(
        "pages/servers/domains.html",
        "domain_list",
        context=domains.domains_context,
    ),
    "egress": _tab(
        "pages/servers/egress.html",
        "egress_denied",
        context=egress.egress_context,
    ),
    "isolation": _tab(
        "pages/servers/isolation.html",
        "isolation_now",
        context=isolation.isolation_context,
    ),
    "decisions": _tab(
        "pages/servers/decisions.html", "hold_now", context=policy.server_context
    ),
    "evaluations": _tab(
        "pages/servers/evaluations.html",
        "evaluations_now",
        context=evaluations.tab_context,
    ),
    "evaluation-run": _tab(
        "pages/servers/evaluation_run.html",
        "run_now",
        context=evaluations.live_run_context,
    ),
    "created": _created,
}
_LINES: dict[str, Callable[[web.Request, int], AsyncGenerator[Message]]] = {
    "build": build_lines,
    "logs": output_lines,
    "metrics": sample_messages,
}
