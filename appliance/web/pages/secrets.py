"""The secrets of one server: what there is, by whom, and how it gets in. Values are typed here and shown nowhere."""

from typing import Any

from aiohttp import web
from pydantic import SecretStr

from appliance.core.errors import DomainError, InvalidError
from appliance.secrets.model import Delivery
from appliance.web import words
from appliance.web.keys import SECRETS
from appliance.web.pages.forms import member, read_form, refused, see_other
from appliance.web.pages.servers import frame_of
from appliance.web.render import page
from appliance.web.requests import principal_of, server_of

routes = web.RouteTableDef()

TEMPLATE = "pages/servers/secrets.html"
#: The control for a value; what is typed there is never sent back.
VALUE = "secret_value"
DELIVERIES = (
    ("", "As before, or the environment"),
    (Delivery.ENV.value, "Environment and file"),
    (Delivery.FILE.value, "File alone"),
)


@routes.get("/servers/{server}/secrets")
async def secrets(request: web.Request) -> web.Response:
    """Show what there is, and a form for one more."""
    return page(request, TEMPLATE, await secrets_context(request))


async def secrets_context(request: web.Request) -> dict[str, Any]:
    """Return what the secrets tab shows; ``?name=`` fills the form for a new value."""
    found = await request.app[SECRETS].view(principal_of(request), server_of(request))
    return {
        **await frame_of(request, "secrets"),
        "found": found,
        "deliveries": DELIVERIES,
        "values": {"name": request.query.get("name", "")[:128]},
        "errors": {},
        "problem": None,
    }


@routes.post("/servers/{server}/secrets")
async def put(request: web.Request) -> web.Response:
    """Set a secret, and show the tab."""
    form = await read_form(request)
    # A browser ends lines with CR LF whatever was pasted; keys and certificates end theirs with LF.
    value = form.get(VALUE, "").replace("\r\n", "\n")
    delivery = member(Delivery, form.get("delivery", ""))
    try:
        await request.app[SECRETS].put(
            principal_of(request),
            server_of(request),
            form.get("name", "").strip(),
            value=SecretStr(value) if value or delivery is None else None,
            delivery=delivery,
        )
    except DomainError as error:
        return await _refused(request, error, form)
    return await _back(request)


@routes.post("/servers/{server}/secrets/remove")
async def remove(request: web.Request) -> web.Response:
    """Take a secret away, and show the tab."""
    form = await read_form(request)
    try:
        await request.app[SECRETS].remove(
            principal_of(request), server_of(request), form.get("name", "")
        )
    except DomainError as error:
        return await _refused(request, error, {})
    return await _back(request)


@routes.post("/servers/{server}/secrets/move")
async def move(request: web.Request) -> web.Response:
    """Make secrets of the environment variables that look like some, and show the tab."""
    principal, server = principal_of(request), server_of(request)
    found = await request.app[SECRETS].view(principal, server)
    try:
        if found.in_clear:
            await request.app[SECRETS].move(principal, server, found.in_clear)
    except DomainError as error:
        return await _refused(request, error, {})
    return await _back(request)


async def _back(request: web.Request) -> web.Response:
    frame = await frame_of(request, "secrets")
    return see_other(f"{words.server_path(frame['view'].server)}/secrets")


async def _refused(
    request: web.Request, error: DomainError, form: dict[str, str]
) -> web.Response:
    if isinstance(error, InvalidError):
        error.fields = {
            VALUE if name == "value" else name: text
            for name, text in error.fields.items()
        }
    context = await secrets_context(request)
    return refused(request, TEMPLATE, error, form=form, context=context)
