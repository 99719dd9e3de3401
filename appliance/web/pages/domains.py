"""The domains of one server: names of its own, what has to be set for them, and how far they are."""

from typing import Any

from aiohttp import web

from appliance.core.errors import DomainError
from appliance.domains.errors import DomainNotFoundError
from appliance.domains.names import shown
from appliance.domains.service import DomainView, Wish
from appliance.web import words
from appliance.web.keys import DOMAINS
from appliance.web.pages.forms import read_form, refused, see_other
from appliance.web.pages.servers import frame_of
from appliance.web.paging import one_page
from appliance.web.render import page
from appliance.web.requests import path_id, principal_of, row_id, server_of

routes = web.RouteTableDef()

TEMPLATE = "pages/servers/domains.html"
LIST = "pages/domains/list.html"
PAGE_SIZE = 50
_ONE = "/servers/{server}/domains/{domain_id}"
#: What the form calls a name that serves the server itself.
_ITSELF = ""


@routes.get("/domains")
async def index(request: web.Request) -> web.Response:
    """Show those of all servers that one may see, oldest first."""
    after = row_id(request.query.get("after", "")) or 0
    found = await request.app[DOMAINS].all(
        principal_of(request), limit=PAGE_SIZE + 1, after=after
    )
    items, last = one_page(found, PAGE_SIZE)
    context = {
        "domains": items,
        "shown": shown,
        "first_url": "/domains" if after else "",
        "next_url": f"/domains?after={last.domain.id}" if last else "",
    }
    return page(request, LIST, context)


@routes.get("/servers/{server}/domains")
async def domains(request: web.Request) -> web.Response:
    """Show each name with its state, and a form that adds one."""
    return page(request, TEMPLATE, await domains_context(request))


async def domains_context(request: web.Request) -> dict[str, Any]:
    """Return what the domains tab shows."""
    frame = await frame_of(request, "domains")
    service = request.app[DOMAINS]
    found = await service.of_server(principal_of(request), server_of(request))
    server = frame["view"].server
    own = f"{server.name}.{service.base}" if service.base else ""
    return {
        **frame,
        "path": f"{words.server_path(server)}/domains",
        "domains": found,
        "targets": {item.domain.id: _targets(item, found) for item in found},
        "shown": shown,
        "is_open": service.is_open,
        "base_url": service.url_of(own) if own else "",
        "may_trust": principal_of(request).is_admin,
        "values": {},
        "errors": {},
        "problem": None,
    }


@routes.post("/servers/{server}/domains")
async def add(request: web.Request) -> web.Response:
    """Claim a name, and show what has to be set for it."""
    form = await read_form(request)
    try:
        await request.app[DOMAINS].add(
            principal_of(request),
            server_of(request),
            form.get("host", ""),
            is_trusted="trusted" in form,
        )
    except DomainError as error:
        context = await domains_context(request)
        return refused(request, TEMPLATE, error, form=form, context=context)
    return await _back(request)


@routes.post(f"{_ONE}/redirect")
async def redirect(request: web.Request) -> web.Response:
    """Have a name send its visitors on, or serve them again."""
    form = await read_form(request)
    who, server, number = _asked(request)
    try:
        wish = Wish(form.get("redirect_to", _ITSELF) or None)
        await request.app[DOMAINS].change(who, server, number, wish)
    except DomainError as error:
        context = await domains_context(request)
        return refused(request, TEMPLATE, error, form={}, context=context)
    return await _back(request)


@routes.post(f"{_ONE}/check")
async def check(request: web.Request) -> web.Response:
    """Have DNS asked now; what was found comes by itself."""
    await request.app[DOMAINS].check(*_asked(request))
    return await _back(request)


@routes.post(f"{_ONE}/remove")
async def remove(request: web.Request) -> web.Response:
    """Give a name up."""
    try:
        await request.app[DOMAINS].remove(*_asked(request))
    except DomainError as error:
        context = await domains_context(request)
        return refused(request, TEMPLATE, error, form={}, context=context)
    return await _back(request)


def _asked(request: web.Request) -> tuple[Any, int | str, int]:
    number = path_id(
        request, "domain_id", "There is no domain {}.", DomainNotFoundError
    )
    return principal_of(request), server_of(request), number


def _targets(view: DomainView, found: list[DomainView]) -> list[tuple[str, str]]:
    """Return where a name may send its visitors, as choices."""
    others = [
        item.domain.host
        for item in found
        if item.domain.is_verified
        and not item.domain.is_wildcard
        and not item.domain.redirect_to
        and item.domain.id != view.domain.id
    ]
    return [(_ITSELF, "This server"), *((host, shown(host)) for host in others)]


async def _back(request: web.Request) -> web.Response:
    frame = await frame_of(request, "domains")
    return see_other(f"{words.server_path(frame['view'].server)}/domains")
