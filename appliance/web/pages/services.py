"""The services of one server: what else it uses, and whether that answers."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from appliance.core.errors import DomainError, InvalidError
from appliance.integrations.kinds.postgres import SSL_MODES
from appliance.integrations.model import ServiceKind
from appliance.web import words
from appliance.web.keys import INTEGRATIONS, SERVERS
from appliance.web.pages.forms import member, read_form, refused, see_other
from appliance.web.pages.servers import frame_of
from appliance.web.render import blocks, page
from appliance.web.requests import principal_of, row_id, server_of
from appliance.web.service_form import values_of, wanted_of

routes = web.RouteTableDef()
TEMPLATE = "pages/servers/services.html"
DEFAULTS = {"path_style": "on", "region": "us-east-1", "ssl_mode": "prefer"}


@routes.get("/servers/{server}/services")
async def services(request: web.Request) -> web.Response:
    """Show the services, and the form of one that is added or changed."""
    return page(request, TEMPLATE, await _context(request))


async def _context(request: web.Request) -> dict[str, Any]:
    frame = await frame_of(request, "config")
    found = await request.app[INTEGRATIONS].list(
        principal_of(request), server_of(request)
    )
    edited = row_id(request.query.get("edit", ""))
    service = next((item for item in found if item.id == edited), None)
    kind = service.kind if service else member(ServiceKind, request.query.get("add", ""))  # fmt: skip
    return {
        **frame,
        "path": f"{words.server_path(frame['view'].server)}/services",
        "services": found,
        "edited": service,
        "kind": kind,
        "ssl_modes": [(mode, mode) for mode in SSL_MODES],
        "values": values_of(service) if service else DEFAULTS,
        "errors": {},
        "problem": None,
    }


@routes.post("/servers/{server}/services")
async def save(request: web.Request) -> web.Response:
    """Add the service that the form describes, or change it."""
    form = await read_form(request)
    kind = member(ServiceKind, form.get("kind", "")) or ServiceKind.CUSTOM
    room, who, which = (
        request.app[INTEGRATIONS],
        principal_of(request),
        server_of(request),
    )
    number = row_id(form.get("service", ""))
    try:
        wanted = wanted_of(kind, form)
        if number is None:
            await room.add(who, which, wanted)
        else:
            await room.change(who, which, number, wanted)
    except DomainError as error:
        if isinstance(error, InvalidError):
            error.fields = _beside_controls(error.fields)
        context = await _context(request)
        edited = next((item for item in context["services"] if item.id == number), None)
        context |= {"kind": kind, "edited": edited}
        shown = {name: text for name, text in form.items() if name != "variables"}
        return refused(request, TEMPLATE, error, form=shown, context=context)
    return await _back(request)


@routes.post("/servers/{server}/services/{service_id:[0-9]{1,18}}/remove")
async def remove(request: web.Request) -> web.Response:
    """Take the service away, and show those that are left."""
    await request.app[INTEGRATIONS].remove(
        principal_of(request),
        server_of(request),
        int(request.match_info["service_id"]),
    )
    return await _back(request)


@routes.post("/servers/{server}/services/{service_id:[0-9]{1,18}}/test")
async def test(request: web.Request) -> web.Response:
    """Connect to the service, and show what came of it."""
    found: dict[str, Any] = {"outcome": None, "test_problem": ""}
    await request.app[SERVERS].get(principal_of(request), server_of(request))
    try:
        found["outcome"] = await request.app[INTEGRATIONS].test(
            principal_of(request),
            server_of(request),
            int(request.match_info["service_id"]),
        )
    except DomainError as error:
        found["test_problem"] = error.reason
    return blocks(request, TEMPLATE, ("outcome",), found)


def _beside_controls(fields: Mapping[str, str]) -> dict[str, str]:
    """Return problems by control: all variables are typed into one."""
    found = {
        name: text for name, text in fields.items() if not name.startswith("variables.")
    }
    lines = [
        f"{name.removeprefix('variables.')} {text}"
        for name, text in fields.items()
        if name not in found
    ]
    return {**found, "variables": "; ".join(lines)} if lines else found


async def _back(request: web.Request) -> web.Response:
    frame = await frame_of(request, "config")
    return see_other(f"{words.server_path(frame['view'].server)}/services")
