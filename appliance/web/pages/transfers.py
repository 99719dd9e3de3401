"""Giving a server or a bundle to somebody else, and taking that back."""

from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from appliance.accounts.orgs.model import Owner
from appliance.core.errors import InvalidError
from appliance.web.keys import BUNDLES, ORGS, TRANSFERS
from appliance.web.pages.forms import read_form, see_other
from appliance.web.requests import bundle_of, named, principal_of, server_of

routes = web.RouteTableDef()
#: Before the name of an organisation, and before a person's address.
ORG, USER = "org:", "user:"


async def owners(request: web.Request) -> list[tuple[str, str]]:
    """Return for whom the person may make something, themselves first, as a form offers it."""
    found = await request.app[ORGS].creatable(principal_of(request))
    return [("", "You"), *((org.name, org.called) for org in found)]


async def transfer_context(
    request: web.Request, org_id: int | None, allowed: dict[str, bool]
) -> dict[str, Any]:
    """Return what the card shows that says to whom something belongs."""
    context: dict[str, Any] = {"moved_from": "", "receivers": []}
    if not allowed["may_transfer"]:
        return context
    principal = principal_of(request)
    found = await request.app[ORGS].creatable(principal)
    receivers = [(f"{ORG}{org.name}", org.called) for org in found if org.id != org_id]
    if org_id is not None or principal.is_admin:
        receivers.insert(0, (f"{USER}{principal.email}", "You"))
    context["receivers"] = receivers
    context["moved_from"] = request.query.get("moved_from", "")[:300]
    return context


def _target(text: str) -> dict[str, Any]:
    if text.startswith(ORG):
        return {"org": named(text.removeprefix(ORG))}
    if text.startswith(USER):
        return {"email": text.removeprefix(USER).strip()}
    raise InvalidError.field("to", "choose one of the list")


def _back(owner: Owner) -> str:
    return f"{ORG}{owner.name}" if owner.org_id is not None else f"{USER}{owner.name}"


@routes.post("/servers/{server}/transfer")
async def server(request: web.Request) -> web.Response:
    """Give the server away, and show how to undo that."""
    form, name = await read_form(request), server_of(request)
    done = await request.app[TRANSFERS].transfer(
        principal_of(request), name, **_target(_chosen(form))
    )
    query = urlencode({"moved_from": _back(done.before)})
    return see_other(f"/servers/{quote(str(name), safe='')}/config?{query}")


@routes.post("/bundles/{bundle}/transfer")
async def bundle(request: web.Request) -> web.Response:
    """Give the bundle away, and show how to undo that."""
    form, name = await read_form(request), bundle_of(request)
    done = await request.app[BUNDLES].transfer(
        principal_of(request), name, **_target(_chosen(form))
    )
    query = urlencode({"moved_from": _back(done.before)})
    return see_other(f"/bundles/{quote(str(name), safe='')}?{query}")


def _chosen(form: dict[str, str]) -> str:
    email = form.get("email", "").strip()
    return f"{USER}{email}" if email else form.get("to", "")
