"""What is wrong with the box, who knows of it, and where it is sent. For administrators."""

from typing import Any

from aiohttp import web

from appliance.alerts.model import ChannelKind, Severity
from appliance.alerts.service import NewChannel
from appliance.core.errors import DomainError, InvalidError
from appliance.web.api.alerts import alert_of, channel_of
from appliance.web.keys import ALERTS
from appliance.web.pages.forms import member, number, read_form, refused, see_other
from appliance.web.paging import one_page
from appliance.web.render import blocks, is_htmx, page
from appliance.web.requests import Access, access, principal_of, row_id

routes = web.RouteTableDef()
TEMPLATE = "pages/alerts/alerts.html"
ALERT = "/alerts/{alert_id:[0-9]{1,18}}"
CHANNEL = "/alerts/channels/{channel_id:[0-9]{1,18}}"
#: More than that nobody reads who mends something.
OPEN_SHOWN = 200
PAGE_SIZE = 30


@routes.get("/alerts")
@access(Access.ADMIN)
async def alerts(request: web.Request) -> web.Response:
    """Show what is wrong, what was, and who is told; htmx asks for the alerts alone."""
    context = await _context(request)
    if is_htmx(request):
        return blocks(request, TEMPLATE, ("alerts_now",), context)
    return page(request, TEMPLATE, context)


@routes.get("/alerts/count")
@access(Access.ADMIN)
async def count(request: web.Request) -> web.Response:
    """Show how many alerts nobody has acknowledged, for the navigation."""
    found = await request.app[ALERTS].page(ended=False, limit=OPEN_SHOWN)
    waiting = [item for item in found if not item.acknowledged_by]
    return page(request, "pages/alerts/count.html", {"count": len(waiting)})


async def _context(request: web.Request) -> dict[str, Any]:
    service = request.app[ALERTS]
    before = row_id(request.query.get("before", ""))
    past = await service.page(ended=True, before=before, limit=PAGE_SIZE + 1)
    shown, last = one_page(past, PAGE_SIZE)
    wrong = await service.page(ended=False, limit=OPEN_SHOWN)
    return {
        "open": sorted(wrong, key=lambda alert: -alert.severity.rank),
        "past": shown,
        "first_url": "/alerts" if before else "",
        "next_url": f"/alerts?before={last.id}" if last else "",
        "channels": await service.channels(),
        "kinds": [("webhook", "Webhook"), ("email", "E-mail")],
        "severities": [("warning", "everything"), ("critical", "what is critical")],
        "values": {},
        "errors": {},
        "new_secret": "",
        "tried": "",
        "problem": None,
    }


@routes.post(f"{ALERT}/acknowledge")
@access(Access.ADMIN)
async def acknowledge(request: web.Request) -> web.Response:
    """Say that somebody knows."""
    await request.app[ALERTS].acknowledge(principal_of(request), alert_of(request))
    return see_other("/alerts")


@routes.post(f"{ALERT}/silence")
@access(Access.ADMIN)
async def silence(request: web.Request) -> web.Response:
    """Tell nobody of its kind for a while."""
    form = await read_form(request)
    hours = number(form.get("hours", ""), float, "hours")
    if hours is None or not hours >= 0:
        raise InvalidError.field("hours", "give a number of hours; 0 ends the silence")
    await request.app[ALERTS].silence(
        principal_of(request), alert_of(request), hours=hours
    )
    return see_other("/alerts")


@routes.post("/alerts/channels")
@access(Access.ADMIN)
async def add(request: web.Request) -> web.Response:
    """Add a channel, and show what its calls are signed with this once."""
    form = await read_form(request)
    new = NewChannel(
        member(ChannelKind, form.get("kind", "")) or ChannelKind.WEBHOOK,
        form.get("address", ""),
        form.get("name", ""),
        member(Severity, form.get("min_severity", "")) or Severity.WARNING,
    )
    try:
        _, secret = await request.app[ALERTS].add_channel(principal_of(request), new)
    except InvalidError as error:
        context = await _context(request)
        return refused(request, TEMPLATE, error, form=form, context=context)
    return page(request, TEMPLATE, {**await _context(request), "new_secret": secret})


@routes.post(f"{CHANNEL}/remove")
@access(Access.ADMIN)
async def remove(request: web.Request) -> web.Response:
    """Forget a channel."""
    await request.app[ALERTS].remove_channel(principal_of(request), channel_of(request))
    return see_other("/alerts")


@routes.post(f"{CHANNEL}/test")
@access(Access.ADMIN)
async def test(request: web.Request) -> web.Response:
    """Send a test, and show whether it arrived; the channel's row says why it did not."""
    try:
        channel = await request.app[ALERTS].test(principal_of(request), channel_of(request))  # fmt: skip
    except DomainError as error:
        context = await _context(request)
        return refused(request, TEMPLATE, error, form={}, context=context)
    told = f"The test arrived at {channel.name}."
    return page(request, TEMPLATE, {**await _context(request), "tried": told})
