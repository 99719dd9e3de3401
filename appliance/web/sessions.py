"""The session cookie: written and dropped the same way for the API and for the pages."""

from aiohttp import web

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
