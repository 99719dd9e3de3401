"""Accounts at remote servers: a server's page Account, the way there and back, and all that one connected."""

import re
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from appliance.core.errors import DomainError
from appliance.core.upstreams import Mode
from appliance.web import words
from appliance.web.api.connections import answer_in, place_of
from appliance.web.keys import UPSTREAMS
from appliance.web.pages.forms import member, read_form, refused, see_other
from appliance.web.pages.servers import frame_of
from appliance.web.render import page
from appliance.web.requests import principal_of, server_of

routes = web.RouteTableDef()

ACCOUNT = "pages/servers/account.html"
LEAVE = "pages/servers/leave.html"
ALL = "pages/settings/accounts.html"
NAME = re.compile("[a-z0-9-]{1,63}")
CALLBACK = "/connections/callback"
MODES = (
    (Mode.EACH.value, "Each person's own account"),
    (Mode.SHARED.value, "One account that everybody uses"),
)


@routes.get("/servers/{server}/account")
async def account(request: web.Request) -> web.Response:
    """Show which account one's calls use."""
    return page(request, ACCOUNT, await _context(request))


@routes.post("/servers/{server}/account/connect")
async def connect(request: web.Request) -> web.Response:
    """Send the person to the authorization server.

    By a page that goes on by itself: the answer to a form may lead nowhere but to this site.
    """
    await read_form(request)
    try:
        url = await request.app[UPSTREAMS].begin(
            principal_of(request), server_of(request), place_of(request)
        )
    except DomainError as error:
        return refused(
            request, ACCOUNT, error, form={}, context=await _context(request)
        )
    answer = page(request, LEAVE, {**await frame_of(request, "account"), "url": url})
    answer.headers["Refresh"] = f"0; url={url}"
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


@routes.get(CALLBACK)
async def callback(request: web.Request) -> web.Response:
    """Take what a person came back with, and show the account."""
    answer = answer_in(list(request.query.items()))
    made = await request.app[UPSTREAMS].finish(principal_of(request), answer)
    return see_other(f"/servers/{made.server_name}/account")


@routes.post("/servers/{server}/account/mode")
async def set_mode(request: web.Request) -> web.Response:
    """Say whose account calls use, and show the page."""
    form = await read_form(request)
    mode = member(Mode, form.get("mode", "")) or Mode.EACH
    try:
        await request.app[UPSTREAMS].set_mode(
            principal_of(request), server_of(request), mode
        )
    except DomainError as error:
        return refused(
            request, ACCOUNT, error, form=form, context=await _context(request)
        )
    return await _back(request)


@routes.post("/servers/{server}/account/client")
async def set_client(request: web.Request) -> web.Response:
    """Say with which client to sign in, and show the page."""
    form = await read_form(request)
    secret = form.get("client_secret", "")
    try:
        await request.app[UPSTREAMS].set_client(
            principal_of(request),
            server_of(request),
            form.get("client_id", "").strip()[:1000],
            SecretStr(secret) if secret else None,
        )
    except DomainError as error:
        return refused(request, ACCOUNT, error, form={}, context=await _context(request))  # fmt: skip
    return await _back(request)


@routes.get("/settings/accounts")
async def accounts(request: web.Request) -> web.Response:
    """Show all accounts that one connected."""
    found = await request.app[UPSTREAMS].mine(principal_of(request))
    return page(request, ALL, {"connections": found})


@routes.post("/settings/accounts/{id:[0-9]{1,18}}/disconnect")
async def disconnect(request: web.Request) -> web.Response:
    """End a connection, and show the page where that was asked for."""
    form = await read_form(request)
    await request.app[UPSTREAMS].disconnect(
        principal_of(request), int(request.match_info["id"])
    )
    server = form.get("server", "")
    is_name = NAME.fullmatch(server) is not None
    return see_other(f"/servers/{server}/account" if is_name else "/settings/accounts")


async def _context(request: web.Request) -> dict[str, Any]:
    principal, server = principal_of(request), server_of(request)
    found = await request.app[UPSTREAMS].view(principal, server)
    return {
        **await frame_of(request, "account"),
        "found": found,
        "modes": MODES,
        "redirect_uri": place_of(request).redirect_uri,
        "values": {
            "mode": found.server.mode.value if found else "",
            "client_id": found.server.client_id if found else "",
        },
        "errors": {},
        "problem": None,
    }


async def _back(request: web.Request) -> web.Response:
    frame = await frame_of(request, "account")
    return see_other(f"{words.server_path(frame['view'].server)}/account")
