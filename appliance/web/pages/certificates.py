"""Certificates: what the front door serves, when it is renewed, what went wrong. For administrators."""

from typing import Any

from aiohttp import web

from appliance.certificates.troubles import troubles_of
from appliance.core.clock import now
from appliance.core.errors import DomainError
from appliance.web.api.certificates import certificate_id
from appliance.web.keys import CERTIFICATES
from appliance.web.pages.forms import read_form, refused, see_other
from appliance.web.render import page
from appliance.web.requests import Access, access, principal_of

routes = web.RouteTableDef()
LIST = "pages/certificates/list.html"
DETAIL = "pages/certificates/detail.html"
PLACE = "/settings/certificates"
ONE = PLACE + "/{certificate_id:[0-9]{1,18}}"
_EMPTY: dict[str, Any] = {"values": {}, "errors": {}, "problem": None}
#: Of one page; the API gives all.
SHOWN = 200


@routes.get(PLACE)
@access(Access.ADMIN)
async def index(request: web.Request) -> web.Response:
    """Show all of them."""
    return page(request, LIST, {**await list_context(request), **_EMPTY})


async def list_context(request: web.Request) -> dict[str, Any]:
    """Return what the list and its stream show."""
    service = request.app[CERTIFICATES]
    found = await service.list(after_id=None, limit=SHOWN)
    return {
        "certificates": found,
        "troubles": troubles_of(found, now()),
        "overview": await service.overview(),
        "now": now(),
        "live_url": "/live/certificates",
    }


@routes.post(PLACE)
@access(Access.ADMIN)
async def order(request: web.Request) -> web.Response:
    """Have one ordered."""
    form = await read_form(request)
    names = form.get("names", "").replace(",", " ").split()
    try:
        made = await request.app[CERTIFICATES].order(principal_of(request), names)
    except DomainError as error:
        context = await list_context(request)
        return refused(request, LIST, error, form=form, context=context)
    return see_other(f"{PLACE}/{made.id}")


@routes.post(PLACE + "/upload")
@access(Access.ADMIN)
async def upload(request: web.Request) -> web.Response:
    """Take one in."""
    form = await read_form(request)
    try:
        made = await request.app[CERTIFICATES].upload(
            principal_of(request), form.get("chain", ""), form.get("key", "")
        )
    except DomainError as error:
        context = await list_context(request)
        shown = {name: value for name, value in form.items() if name != "key"}
        return refused(request, LIST, error, form=shown, context=context)
    return see_other(f"{PLACE}/{made.id}")


@routes.get(ONE)
@access(Access.ADMIN)
async def detail(request: web.Request) -> web.Response:
    """Show one."""
    return page(request, DETAIL, {**await detail_context(request), **_EMPTY})


async def detail_context(request: web.Request) -> dict[str, Any]:
    """Return what one certificate's page and its stream show."""
    number = certificate_id(request)
    item, events = await request.app[CERTIFICATES].get(number)
    return {
        "certificate": item,
        "events": events,
        "overview": await request.app[CERTIFICATES].overview(),
        "now": now(),
        "live_url": f"/live/certificates/{number}",
    }


@routes.post(ONE + "/renew")
@access(Access.ADMIN)
async def renew(request: web.Request) -> web.Response:
    """Have it ordered now."""
    return await _done(request, "renew")


@routes.post(ONE + "/revoke")
@access(Access.ADMIN)
async def revoke(request: web.Request) -> web.Response:
    """Have it revoked."""
    return await _done(request, "revoke")


async def _done(request: web.Request, what: str) -> web.Response:
    service, number = request.app[CERTIFICATES], certificate_id(request)
    do = service.renew if what == "renew" else service.revoke
    try:
        await do(principal_of(request), number)
    except DomainError as error:
        context = await detail_context(request)
        return refused(request, DETAIL, error, form={}, context=context)
    return see_other(f"{PLACE}/{number}")


@routes.post(ONE + "/remove")
@access(Access.ADMIN)
async def remove(request: web.Request) -> web.Response:
    """Want it no longer."""
    try:
        await request.app[CERTIFICATES].remove(
            principal_of(request), certificate_id(request)
        )
    except DomainError as error:
        context = await detail_context(request)
        return refused(request, DETAIL, error, form={}, context=context)
    return see_other(PLACE)
