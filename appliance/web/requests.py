"""What a handler wants to know of its request: who asks, for what, and how long it may take."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from aiohttp import hdrs, web

from appliance.accounts.model import Principal
from appliance.core.errors import NotFoundError, UnauthenticatedError
from appliance.core.proxies import Caller
from appliance.web.keys import (
    ACCOUNTS,
    CALLER,
    PRINCIPAL,
    PROXIES,
    SESSION_COOKIE,
    SETTINGS,
    TIME_LIMIT,
)

H = TypeVar("H", bound=Callable[..., Any])

#: Every number of so many digits is a bigint.
MAX_ID_DIGITS = 18

#: Seconds between the end of a long call and the end of its request, so that the call's own error is told.
GRACE_S = 5.0


class Access(StrEnum):
    """Who may reach a handler at all; the services decide the rest."""

    PUBLIC = "public"
    #: Whoever shows the secret of what is called; the handler checks it, and neither key nor session counts.
    SIGNED = "signed"
    #: Clients of OAuth, which show themselves as its protocol has it, from any origin; neither key nor session counts.
    PROTOCOL = "protocol"
    USER = "user"
    ADMIN = "admin"


#: Doors whose handlers find out themselves who is there, by what no browser adds by itself.
OWN_DOORS = frozenset({Access.SIGNED, Access.PROTOCOL})


def access(level: Access) -> Callable[[H], H]:
    """Mark a handler; one without a mark is for users, so that forgetting it shuts the door rather than opens it."""

    def mark(handler: H) -> H:
        handler.__access__ = level  # type: ignore[attr-defined]  # functions take attributes, Callable does not say so
        return handler

    return mark


def principal_of(request: web.Request) -> Principal:
    """Return who asks.

    Raises:
        UnauthenticatedError: Nobody is signed in.
    """
    found: Principal | None = request.get(PRINCIPAL)
    if found is None:
        raise UnauthenticatedError(
            "Nobody is signed in.",
            hint="Sign in, or send an API key as 'Authorization: Bearer mcph_…'.",
        )
    return found


async def identify(request: web.Request) -> Principal | None:
    """Return whom the request's key or cookie stands for now, or ``None`` when it shows neither, or an old cookie.

    Raises:
        UnknownKeyError: The key is not one of ours, was revoked, or ran out.
        UnknownTokenError: So with a token.
    """
    accounts = request.app[ACCOUNTS]
    key = bearer_of(request)
    if key is not None:
        return await accounts.authenticate(key)
    cookie = session_cookie(request)
    return await accounts.sessions.whose(cookie) if cookie else None


def bearer_of(request: web.Request) -> str | None:
    """Return the key that the request carries; what else may stand in that header lets nobody in."""
    # A browser adds ``Basic`` by itself, for instance where a proxy asks for a password: it must not stand for a key.
    scheme, _, credentials = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def session_cookie(request: web.Request) -> str | None:
    """Return the session's secret that the browser sent."""
    return request.cookies.get(session_cookie_name(request))


def session_cookie_name(request: web.Request) -> str:
    """Return what the cookie is called: over https so that browsers take it from this very host alone, and never in clear."""
    return f"__Host-{SESSION_COOKIE}" if is_https(request) else SESSION_COOKIE


def caller_of(request: web.Request) -> Caller:
    """Return who asks and under which name, as the proxies say that TRUSTED_PROXIES names."""
    found: Caller | None = request.get(CALLER)
    if found is None:
        direct = Caller(request.remote or "", request.scheme, request.host)
        headers = request.headers
        found = request[CALLER] = request.app[PROXIES].caller(
            direct,
            addresses=headers.getall("X-Forwarded-For", ()),
            schemes=headers.getall("X-Forwarded-Proto", ()),
            hosts=headers.getall("X-Forwarded-Host", ()),
        )
    return found


def client_address(request: web.Request) -> str:
    """Return the address of who asks, for limits and the audit trail."""
    return caller_of(request).address


def is_https(request: web.Request) -> bool:
    """Return whether the browser speaks https: to us, to a proxy that says so, or to the one named by PUBLIC_URL."""
    public_url = request.app[SETTINGS].public_url or ""
    return public_url.startswith("https://") or caller_of(request).scheme == "https"


def own_url(request: web.Request) -> str:
    """Return where clients reach the hub, without a slash at the end."""
    public_url = request.app[SETTINGS].public_url
    caller = caller_of(request)
    return (public_url or f"{caller.scheme}://{caller.host}").rstrip("/")


def move_time_limit(request: web.Request, seconds: float | None) -> None:
    """Give the request ``seconds`` from now, or no limit at all."""
    limit = request.get(TIME_LIMIT)
    if limit is None or limit.expired():
        return
    now = asyncio.get_running_loop().time()
    limit.reschedule(None if seconds is None else now + seconds + GRACE_S)


def server_of(request: web.Request) -> int | str:
    """Return the server that the path names: digits are an id, anything else is a name."""
    return named(request.match_info["server"])


def bundle_of(request: web.Request) -> int | str:
    """Return the bundle that the path names: digits are an id, anything else is a name."""
    return named(request.match_info["bundle"])


def org_of(request: web.Request) -> int | str:
    """Return the organisation that the path names: digits are an id, anything else is a name."""
    return named(request.match_info["org"])


def named(text: str) -> int | str:
    """Return what ``text`` names: digits are an id, anything else is a name."""
    number = row_id(text)
    return text if number is None else number


def path_id(
    request: web.Request, part: str, told: str, missing: type[NotFoundError]
) -> int:
    """Return the id that a part of the path is.

    Args:
        request: Whose path.
        part: Name of the part in the route.
        told: What is said where it can be no id, with ``{}`` for what stands there.
        missing: As what.

    Raises:
        NotFoundError: ``missing``.
    """
    text = request.match_info[part]
    number = row_id(text)
    if number is None:
        raise missing(told.format(text))
    return number


def row_id(text: str) -> int | None:
    """Return the id that ``text`` is, or ``None`` when it can be none: not digits, or more than Postgres' bigint holds."""
    is_id = text.isascii() and text.isdigit() and len(text) <= MAX_ID_DIGITS
    return int(text) if is_id else None
