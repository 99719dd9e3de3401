"""The session's cookie, and that of the way to a provider: written and dropped the same way for the API and for the pages."""

from aiohttp import web

from appliance.core.ids import key_hash
from appliance.signin.flow import LASTS
from appliance.signin.model import Departure
from appliance.web.keys import SIGNIN_COOKIE
from appliance.web.requests import is_https, session_cookie_name

#: Seconds that a browser keeps the cookie: as long as browsers keep any. When the session ends is decided by the hub, which
#: puts the end off with every use.
COOKIE_LASTS_S = 400 * 86400


def set_session_cookie(
    request: web.Request, response: web.StreamResponse, token: str
) -> None:
    """Give the browser its session; no script can read it, and other sites send it only when a person follows a link."""
    response.set_cookie(
        session_cookie_name(request),
        token,
        max_age=COOKIE_LASTS_S,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=is_https(request),
    )


def drop_session_cookie(request: web.Request, response: web.StreamResponse) -> None:
    """Take the session away from the browser."""
    response.del_cookie(
        session_cookie_name(request),
        path="/",
        httponly=True,
        samesite="Lax",
        secure=is_https(request),
    )


def set_signin_cookie(
    request: web.Request, response: web.StreamResponse, departure: Departure
) -> None:
    """Have the browser keep what shows that it is the one that left; each way has its own, so that tabs go theirs."""
    response.set_cookie(
        _signin_cookie_name(request, departure.state),
        departure.browser,
        max_age=int(LASTS.total_seconds()),
        path="/",
        httponly=True,
        # The way back is a link of another site, with which Strict would not come.
        samesite="Lax",
        secure=is_https(request),
    )


def signin_cookie(request: web.Request, state: str) -> str:
    """Return what the browser kept on a way; empty: it left on none such."""
    return request.cookies.get(_signin_cookie_name(request, state), "")


def drop_signin_cookie(
    request: web.Request, response: web.StreamResponse, state: str
) -> None:
    """Have the browser forget a way that it came back from."""
    response.del_cookie(
        _signin_cookie_name(request, state),
        path="/",
        httponly=True,
        samesite="Lax",
        secure=is_https(request),
    )


def _signin_cookie_name(request: web.Request, state: str) -> str:
    prefix = "__Host-" if is_https(request) else ""
    return f"{prefix}{SIGNIN_COOKIE}{key_hash(state).hex()[:12]}"
