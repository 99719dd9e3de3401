"""Where a client sends a person: sign in, see what it asks for, allow it or not, and go back to it."""

from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from appliance.core.oauth import resource_of
from appliance.oauth import redirects, scopes
from appliance.oauth.authorizing import RefusedError
from appliance.oauth.errors import OAuthError, bad_request
from appliance.oauth.model import AuthorizationRequest, ClientKind
from appliance.web.keys import OAUTH, PRINCIPAL
from appliance.web.middleware import CONTENT_SECURITY_POLICY
from appliance.web.oauth_place import place_of
from appliance.web.pages.forms import read_form, see_other
from appliance.web.render import page
from appliance.web.requests import Access, access, principal_of

routes = web.RouteTableDef()
CONSENT = "pages/oauth/consent.html"
LEAVE = "pages/oauth/leave.html"
AUTHORIZE = "/oauth/authorize"
#: Of the request; anything else is not kept.
PARAMETERS = (
    *("client_id", "redirect_uri", "response_type", "response_mode", "scope"),
    *("state", "code_challenge", "code_challenge_method", "resource"),
    *("prompt", "request", "request_uri"),
)
#: Put behind the request by the way through the login page. A form's answer may lead nowhere but to this site (its policy
#: says so, and browsers hold every step of the way against it), so the way to the client then begins with another click.
AFTER_LOGIN = "after_login"


@routes.get(AUTHORIZE)
@access(Access.PUBLIC)
async def authorize(request: web.Request) -> web.Response:
    """Send whoever is not signed in to the login page and back; then ask, unless they said yes before."""
    principal = request.get(PRINCIPAL)
    if principal is None or principal.via != "session":
        wanted = (
            f"{AUTHORIZE}?{urlencode([*request.query.items(), (AFTER_LOGIN, '1')])}"
        )
        return _isolated(see_other(f"/login?next={quote(wanted, safe='/')}"))
    server = request.app[OAUTH].authorizing
    is_after_login = AFTER_LOGIN in request.query
    try:
        asked = _asked(request)
        found = await server.begin(principal, asked, place_of(request))
    except RefusedError as refusal:
        return _leave(request, refusal.location, refusal, by_click=is_after_login)
    wants_to_be_asked = is_after_login or asked.get("prompt") == "consent"
    if not wants_to_be_asked and await server.is_remembered(principal, found):
        return _isolated(see_other(await server.allow(principal, found)))
    return _consent(request, found, asked)


@routes.post("/oauth/consent")
async def consent(request: web.Request) -> web.Response:
    """Take the person's answer, and go back to the client with it."""
    form = await read_form(request)
    server = request.app[OAUTH].authorizing
    principal = principal_of(request)
    asked = {name: form[name] for name in PARAMETERS if name in form}
    try:
        # All of it is proven again: a form is as easily written as an address.
        found = await server.begin(principal, asked, place_of(request))
    except RefusedError as refusal:
        return _leave(request, refusal.location, refusal, by_click=True)
    decision = form.get("decision", "")
    if decision not in {"allow", "deny"}:
        raise bad_request("decision must be allow or deny.")
    act = server.allow if decision == "allow" else server.deny
    return _isolated(see_other(await act(principal, found)))


def _asked(request: web.Request) -> dict[str, str]:
    if len(request.query) != len(set(request.query)):
        raise bad_request("A parameter is there twice.")
    return {name: request.query[name] for name in PARAMETERS if name in request.query}


def _consent(
    request: web.Request, found: AuthorizationRequest, asked: dict[str, str]
) -> web.Response:
    resource = resource_of(found.resource)
    target = redirects.target_of(found.redirect_uri)
    context: dict[str, Any] = {
        "client": found.client,
        "is_described": found.client.kind is ClientKind.DOCUMENT,
        "is_made_here": found.client.kind is ClientKind.MADE,
        "target": target,
        "resource": found.resource,
        "endpoint": resource.endpoint if resource else None,
        "scopes": [scopes.WORDS[scope] for scope in found.scope],
        "asked": asked,
    }
    answer = page(request, CONSENT, context)
    policy = CONTENT_SECURITY_POLICY.replace(
        "form-action 'self'", f"form-action 'self' {target.source}"
    )
    answer.headers["Content-Security-Policy"] = policy
    return _isolated(answer)


def _leave(
    request: web.Request, location: str, why: OAuthError, *, by_click: bool
) -> web.Response:
    """Go back to the client with a refusal; after a form by a click, which no policy of a form holds back."""
    if not by_click:
        return _isolated(see_other(location))
    target = redirects.target_of(location)
    context = {"location": location, "target": target, "detail": why.detail}
    return _isolated(page(request, LEAVE, context))


def _isolated(answer: web.Response) -> web.Response:
    """Leave alone the window that opened this one: clients that are pages wait there for what comes of it."""
    answer.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return answer
