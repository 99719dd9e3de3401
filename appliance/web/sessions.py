"""The session cookie: written and dropped the same way for the API and for the pages."""

from datetime import datetime

from aiohttp import web

from appliance.core.clock import now
from appliance.web.keys import SESSION_COOKIE
from appliance.web.requests import is_https


def set_session_cookie(
    request: web.Request,
    response: web.StreamResponse,
    token: str,
    *,
    expires_at: datetime,
) -> None:
    """Give the browser its session; no script can read it, and other sites send it only when a person follows a link."""
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=max(0, int((expires_at - now()).total_seconds())),
        path="/",
        httponly=True,
        samesite="Lax",
        secure=is_https(request),
    )


def drop_session_cookie(request: web.Request, response: web.StreamResponse) -> None:
    """Take the session away from the browser."""
    response.del_cookie(
        SESSION_COOKIE,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=is_https(request),
    )
