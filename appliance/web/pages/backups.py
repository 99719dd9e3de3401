"""Backups: what there is, when the next one comes, make one, read one back, remove one. For administrators."""

from typing import Any

from aiohttp import web

from appliance.core.errors import DomainError
from appliance.web.keys import BACKUPS
from appliance.web.pages.forms import read_form, refused, see_other
from appliance.web.paging import one_page
from appliance.web.render import page
from appliance.web.requests import Access, access, principal_of, row_id

routes = web.RouteTableDef()
TEMPLATE = "pages/backups/overview.html"
PAGE_SIZE = 30
_ITEM = "/backups/{id:[0-9]{1,18}}"


@routes.get("/backups")
@access(Access.ADMIN)
async def overview(request: web.Request) -> web.Response:
    """Show everything; the page's stream shows what changes."""
    return page(request, TEMPLATE, await backups_context(request))


async def backups_context(request: web.Request) -> dict[str, Any]:
    """Return what the page shows; its place is in the address, and in that of its stream."""
    service = request.app[BACKUPS]
    text = request.query.get("before", "")
    before = row_id(text)
    found = await service.page(before=before, limit=PAGE_SIZE + 1)
    rows, last = one_page(found, PAGE_SIZE)
    return {
        "state": await service.overview(),
        "backups": rows,
        "live_url": "/live/backups" + (f"?before={before}" if before else ""),
        "first_url": "/backups" if before else "",
        "next_url": f"/backups?before={last.id}" if last else "",
        "target_told": "",
        "values": {},
        "errors": {},
        "problem": None,
    }


@routes.post("/backups")
@access(Access.ADMIN)
async def start(request: web.Request) -> web.Response:
    """Make a backup now."""
    try:
        await request.app[BACKUPS].start(principal_of(request))
    except DomainError as error:
        return await _refused(request, error)
    return see_other("/backups")


@routes.post("/backups/check-target")
@access(Access.ADMIN)
async def check_target(request: web.Request) -> web.Response:
    """Look whether the target can be written to, and say so on the page."""
    try:
        told = await request.app[BACKUPS].look_at_target()
    except DomainError as error:
        return await _refused(request, error)
    context = await backups_context(request)
    return page(request, TEMPLATE, {**context, "target_told": told})


@routes.post(f"{_ITEM}/cancel")
@access(Access.ADMIN)
async def cancel(request: web.Request) -> web.Response:
    """Tell a backup to stop."""
    try:
        await request.app[BACKUPS].cancel(principal_of(request), _id(request))
    except DomainError as error:
        return await _refused(request, error)
    return see_other("/backups")


@routes.post(f"{_ITEM}/verify")
@access(Access.ADMIN)
async def verify(request: web.Request) -> web.Response:
    """Have a backup read back."""
    try:
        await request.app[BACKUPS].verify(principal_of(request), _id(request))
    except DomainError as error:
        return await _refused(request, error)
    return see_other("/backups")


@routes.post(f"{_ITEM}/delete")
@access(Access.ADMIN)
async def delete(request: web.Request) -> web.Response:
    """Remove a backup's file."""
    try:
        await request.app[BACKUPS].delete(principal_of(request), _id(request))
    except DomainError as error:
        return await _refused(request, error)
    return see_other("/backups")


def _id(request: web.Request) -> int:
    return int(request.match_info["id"])


async def _refused(request: web.Request, error: DomainError) -> web.Response:
    form = await read_form(request)
    context = {**await backups_context(request), "path": "/backups"}
    return refused(request, TEMPLATE, error, form=form, context=context)
