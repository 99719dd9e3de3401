"""Settings, API keys: a person's own, and those of organisations that they belong to."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aiohttp import web

from appliance.accounts.model import KeyLimits, MemberRole, NewKey
from appliance.core.clock import now
from appliance.core.errors import ConflictError, DomainError, InvalidError
from appliance.web.key_scopes import KeyRole, read_scope
from appliance.web.keys import ACCOUNTS, ORGS
from appliance.web.pages.forms import member, number, read_form, refused, see_other
from appliance.web.render import page
from appliance.web.requests import named, principal_of

routes = web.RouteTableDef()
KEYS = "pages/settings/keys.html"
LIFETIMES = (
    ("", "No end"),
    ("7", "7 days"),
    ("30", "30 days"),
    ("90", "90 days"),
    ("365", "a year"),
)
ROLES = ((KeyRole.ADMIN.value, "Whatever I may do"), (KeyRole.READER.value, "Only look"))  # fmt: skip
ORG_ROLES = tuple((role.value, role.value.capitalize()) for role in (
    MemberRole.DEPLOYER, MemberRole.READER, MemberRole.MAINTAINER, MemberRole.OWNER
))  # fmt: skip
#: Organisations whose keys one page shows.
MAX_ORGS = 50
_EMPTY: dict[str, Any] = {"values": {}, "errors": {}, "problem": None}


@routes.get("/settings/keys")
async def keys(request: web.Request) -> web.Response:
    """Show the keys."""
    return page(request, KEYS, {**await _keys(request), **_EMPTY})


@routes.post("/settings/keys")
async def create_key(request: web.Request) -> web.Response:
    """Make a key and show it this once."""
    form = await read_form(request)
    try:
        made = await request.app[ACCOUNTS].keys.create(
            principal_of(request), await _wanted(request, form)
        )
    except DomainError as error:
        return refused(request, KEYS, error, form=form, context=await _keys(request))
    return await _show(request, made.shown)


@routes.post("/settings/keys/{id:[0-9]{1,18}}/rotate")
async def rotate_key(request: web.Request) -> web.Response:
    """Make a key in the place of one, and show it this once."""
    try:
        made = await request.app[ACCOUNTS].keys.rotate(
            principal_of(request), int(request.match_info["id"])
        )
    except ConflictError as error:
        return refused(request, KEYS, error, form={}, context=await _keys(request))
    return await _show(request, made.shown)


@routes.post("/settings/keys/{id:[0-9]{1,18}}/revoke")
async def revoke_key(request: web.Request) -> web.Response:
    """Revoke a key; it stops working at once."""
    await request.app[ACCOUNTS].keys.revoke(
        principal_of(request), int(request.match_info["id"])
    )
    return see_other("/settings/keys")


@routes.post("/settings/keys/{id:[0-9]{1,18}}/limits")
async def limit_key(request: web.Request) -> web.Response:
    """Set how much a key may ask of the gateway."""
    form = await read_form(request)
    try:
        await request.app[ACCOUNTS].keys.limit(
            principal_of(request), int(request.match_info["id"]), _limits(form)
        )
    except InvalidError as error:
        return refused(request, KEYS, error, form={}, context=await _keys(request))
    return see_other("/settings/keys")


async def _wanted(request: web.Request, form: Mapping[str, str]) -> NewKey:
    days = form.get("days", "")
    if days not in dict(LIFETIMES):
        raise InvalidError.field("days", "choose one of the list")
    role = member(KeyRole, form.get("role", KeyRole.ADMIN.value))
    if role is None:
        raise InvalidError.field("role", "choose one of the list")
    servers = [item.strip() for item in form.get("servers", "").split(",")]
    org = form.get("org", "")
    return NewKey(
        form.get("name", ""),
        expires_at=now() + timedelta(days=int(days)) if days else None,
        limits=_limits(form),
        scope=await read_scope(
            request, role, None, list(filter(None, servers)) or None
        ),
        org=named(org) if org else None,
        org_role=_org_role(form) if org else None,
    )


def _org_role(form: Mapping[str, str]) -> MemberRole:
    role = member(MemberRole, form.get("org_role", ""))
    if role is None:
        raise InvalidError.field("org_role", "choose one of the list")
    return role


def _limits(form: Mapping[str, str]) -> KeyLimits:
    rate, concurrency = form.get("calls_per_second", ""), form.get("concurrency", "")
    return KeyLimits(
        number(rate, float, "calls_per_second"), number(concurrency, int, "concurrency")
    )


async def _show(request: web.Request, key: str) -> web.Response:
    return page(request, KEYS, {**await _keys(request), **_EMPTY, "new_key": key})


async def _keys(request: web.Request) -> dict[str, Any]:
    principal, accounts = principal_of(request), request.app[ACCOUNTS]
    orgs = {}
    for view in await request.app[ORGS].page(principal, limit=MAX_ORGS):
        if view.org.id in principal.memberships:
            orgs[view.org.id] = view.org
    found = await accounts.keys.list(principal)
    for org_id in orgs:
        found += await accounts.keys.list(principal, org_id)
    makes = {MemberRole.MAINTAINER, MemberRole.OWNER}
    places = [("", "Me")]
    places += [
        (org.name, f"{org.called} (nobody's own)")
        for org in orgs.values()
        if principal.memberships[org.id] in makes
    ]
    return {
        "keys": found,
        "orgs": orgs,
        "places": places,
        "lifetimes": LIFETIMES,
        "roles": ROLES,
        "org_roles": ORG_ROLES,
        "new_key": "",
    }
