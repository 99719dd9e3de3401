"""Who may knock how: pages of other origins, how often, and whether the door stands open to those who read along."""

import ipaddress
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web

from appliance.core.errors import LimitedError
from appliance.core.proxies import TrustedProxies, networks_of
from appliance.observability.denials import counted_as
from appliance.settings import Settings
from appliance.web.denials import SAFE_METHODS
from appliance.web.keys import PRINCIPAL, PROXIES, REASON_HEADER
from appliance.web.paces import Budget
from appliance.web.requests import client_address

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_WRITES = web.AppKey("account_writes", Budget)
_ANONYMOUS = web.AppKey("anonymous_requests", Budget)
_ORIGINS = web.AppKey("cors_origins", frozenset)
#: Asked by whoever watches the box, and pictures and scripts of pages, which come from memory.
UNCOUNTED = ("/healthz", "/readyz", "/metrics", "/static/")
_API = ("/api/", "/openapi.json")
_MAX_AGE_S = 600


class TooOftenError(LimitedError):
    """Somebody asks more often than the settings let them."""

    code = "too_often"


def set_up(app: web.Application, settings: Settings) -> None:
    """Give ``app`` what the doors know."""
    app[PROXIES] = TrustedProxies(networks_of(settings.believed_proxies))
    app[_WRITES] = Budget(settings.account_writes_per_minute)
    app[_ANONYMOUS] = Budget(settings.anonymous_requests_per_minute)
    app[_ORIGINS] = frozenset(settings.cors_origins.replace(",", " ").lower().split())


def exposure(settings: Settings) -> str:
    """Return how to keep others from reading along; empty: nobody can, as far as the settings tell."""
    is_encrypted = (settings.public_url or "").startswith("https://")
    if is_encrypted or settings.believed_proxies or _is_loopback(settings.bind_address):
        return ""
    return (
        f"The hub listens on {settings.bind_address} without TLS. Set PROXY_ENABLED=true; or put a proxy with a certificate"
        " before it, and set PUBLIC_URL to its https address and TRUSTED_PROXIES to where it is; or set BIND_ADDRESS=127.0.0.1."
    )


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@web.middleware
async def paces(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse accounts that write, and addresses that ask without being signed in, more often than the settings allow."""
    principal = request.get(PRINCIPAL)
    moment = time.monotonic()
    seconds = 0
    if principal is not None:
        if request.method not in SAFE_METHODS:
            whose = f"{principal.user_id} {principal.org_id}"
            seconds = request.app[_WRITES].take(whose, moment)
    elif not request.path.startswith(UNCOUNTED):
        whose = counted_as(client_address(request))
        seconds = request.app[_ANONYMOUS].take(whose, moment)
    if seconds:
        raise TooOftenError(
            "That was too often.",
            retry_after_s=seconds,
            hint=f"Try again in {seconds} seconds.",
        )
    return await handler(request)


@web.middleware
async def cors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer browsers that ask whether a page of another origin may call the API."""
    is_asked = (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    )
    if is_asked and _is_let_in(request):
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=_PREFLIGHT)
    return await handler(request)


async def open_to_origins(request: web.Request, response: web.StreamResponse) -> None:
    """Let pages of the origins in CORS_ORIGINS read answers of the API, refusals too; a signal.

    That they may send cookies is never said, so a browser sends none, and a key is what lets them in.
    """
    if not request.app[_ORIGINS] or not request.path.startswith(_API):
        return
    response.headers.add(hdrs.VARY, hdrs.ORIGIN)
    if _is_let_in(request):
        origin = request.headers[hdrs.ORIGIN]
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = (
            "X-Request-Id, Retry-After, Location"
        )


_PREFLIGHT = {
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, POST, PUT, PATCH, DELETE",
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: f"Authorization, Content-Type, Last-Event-ID, {REASON_HEADER}",
    hdrs.ACCESS_CONTROL_MAX_AGE: str(_MAX_AGE_S),
}


def _is_let_in(request: web.Request) -> bool:
    origin = request.headers.get(hdrs.ORIGIN, "").lower()
    if not origin or not request.path.startswith(_API):
        return False
    return not request.app[_ORIGINS].isdisjoint({origin, "*"})
