"""Profile, Second factor."""

import asyncio
from typing import Any

from aiohttp import web

from appliance.core.errors import DomainError
from appliance.web.keys import ACCOUNTS, SIGNIN
from appliance.web.pages.forms import read_form, refused, see_other
from appliance.web.qr import qr_svg
from appliance.web.render import page
from appliance.web.requests import Access, access, principal_of

routes = web.RouteTableDef()
TOTP = "pages/settings/totp.html"
_EMPTY: dict[str, Any] = {"values": {}, "errors": {}, "problem": None}
_NOTHING: dict[str, Any] = {
    "codes": [],
    "enrolment": None,
    "qr": "",
    "path": "/settings/sessions",
}


@routes.get("/settings/totp")
async def show(request: web.Request) -> web.Response:
    """Show how the second factor stands."""
    return await _page(request)


@routes.post("/settings/totp")
async def enrol(request: web.Request) -> web.Response:
    """Make a secret and show it this once."""
    try:
        made = await request.app[ACCOUNTS].factor.enrol(principal_of(request))
    except DomainError as error:
        return await _refused(request, error)
    drawn = await asyncio.to_thread(qr_svg, made.uri, "The key as a QR code")
    return await _page(request, enrolment=made, qr=drawn)


@routes.post("/settings/totp/confirm")
async def confirm(request: web.Request) -> web.Response:
    """Turn it on and show the recovery codes this once."""
    form = await read_form(request)
    try:
        codes = await request.app[ACCOUNTS].factor.confirm(
            principal_of(request), form.get("code", "")
        )
    except DomainError as error:
        return await _refused(request, error)
    return await _page(request, codes=codes)


@routes.post("/settings/totp/recovery-codes")
async def recovery_codes(request: web.Request) -> web.Response:
    """Make new recovery codes and show them this once."""
    form = await read_form(request)
    try:
        codes = await request.app[ACCOUNTS].factor.new_codes(
            principal_of(request), form.get("code", "")
        )
    except DomainError as error:
        return await _refused(request, error)
    return await _page(request, codes=codes)


@routes.post("/settings/totp/off")
async def turn_off(request: web.Request) -> web.Response:
    """Ask for no code any more."""
    form = await read_form(request)
    try:
        await request.app[ACCOUNTS].factor.turn_off(
            principal_of(request), form.get("code", "")
        )
    except DomainError as error:
        return await _refused(request, error)
    return see_other("/settings/totp")


@routes.post("/settings/people/{id:[0-9]{1,18}}/reset-totp")
@access(Access.ADMIN)
async def reset(request: web.Request) -> web.Response:
    """Turn it off for somebody who lost it."""
    await request.app[ACCOUNTS].factor.reset(
        principal_of(request), int(request.match_info["id"])
    )
    return see_other("/settings/people")


async def _page(request: web.Request, **shown: Any) -> web.Response:
    state = await request.app[ACCOUNTS].factor.state(principal_of(request))
    context = {**_NOTHING, **_EMPTY, "provider": request.app[SIGNIN].name}
    return page(request, TOTP, {**context, "state": state, **shown})


async def _refused(request: web.Request, error: DomainError) -> web.Response:
    state = await request.app[ACCOUNTS].factor.state(principal_of(request))
    context = {**_NOTHING, "provider": request.app[SIGNIN].name, "state": state}
    return refused(request, TOTP, error, form={}, context=context)
