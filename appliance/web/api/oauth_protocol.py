"""/oauth and /.well-known: the authorization server's protocol, as clients speak it. Answers and errors are its own.

What a browser shows a person (`/oauth/authorize`) is among the pages.
"""

import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_plus

from aiohttp import BasicAuth, hdrs, web
from pydantic import BaseModel, Field

from appliance.core.cards import CORS
from appliance.core.errors import LimitedError
from appliance.core.oauth import (
    AUTHORIZATION_SERVER,
    OPENID_CONFIGURATION,
    authorization_server,
)
from appliance.oauth import registration
from appliance.oauth.authorizing import Place
from appliance.oauth.credentials import ASSERTION_TYPE, Credentials
from appliance.oauth.errors import OAuthError, bad_request
from appliance.oauth.model import AuthMethod, Tokens
from appliance.web.keys import OAUTH
from appliance.web.oauth_place import place_of
from appliance.web.problems import MalformedError
from appliance.web.requests import Access, access, client_address
from appliance.web.routes import JSON, Routes

routes = Routes("oauth")

OPEN_TO_EVERY_PAGE = frozenset(
    {"/oauth/token", "/oauth/register", "/oauth/revoke", "/oauth/jwks"}
)
FORM = "application/x-www-form-urlencoded"
MAX_BODY_BYTES = 64 * 1024
_CORS = {**CORS, "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS"}
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_SHORT = {"Cache-Control": "public, max-age=300"}

Declared = Callable[[web.Request], Awaitable[web.Response]]


class OAuthErrorAnswer(BaseModel):
    """A refusal in the words of RFC 6749, 7591 and 8707."""

    error: str = Field(description="Such as `invalid_grant`; clients match this.")
    error_description: str = Field(description="What is wrong, for people.")


class MetadataAnswer(BaseModel):
    """The authorization server's metadata (RFC 8414)."""


class KeysAnswer(BaseModel):
    """Public keys (RFC 7517)."""

    keys: list[dict[str, Any]]


class TokenAnswer(BaseModel):
    """An access token."""

    access_token: str
    token_type: str = Field(description="`Bearer`.")
    expires_in: int = Field(description="Seconds.")
    scope: str
    refresh_token: str = Field("", description="Absent where none was issued.")


class RegistrationAnswer(BaseModel):
    """A client that registered itself (RFC 7591)."""

    client_id: str
    client_secret: str = Field("", description="Absent where it has none.")


_REFUSALS: Mapping[HTTPStatus, type[BaseModel]] = {
    HTTPStatus.BAD_REQUEST: OAuthErrorAnswer,
    HTTPStatus.UNAUTHORIZED: OAuthErrorAnswer,
}


def _told(handler: Declared) -> Declared:
    """Answer refusals as the protocol has them, not as problems."""

    @wraps(handler)
    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except OAuthError as error:
            return _refusal(request, error.error, error.detail)
        except MalformedError as error:
            return _refusal(request, "invalid_request", error.detail)
        except LimitedError as error:
            answer = _refusal(request, "temporarily_unavailable", error.detail)
            answer.set_status(HTTPStatus.TOO_MANY_REQUESTS)
            answer.headers[hdrs.RETRY_AFTER] = str(error.retry_after_s)
            return answer

    return handle


@routes.get(
    AUTHORIZATION_SERVER,
    summary="Show the authorization server's metadata",
    access=Access.PUBLIC,
    answer=MetadataAnswer,
    errors=(HTTPStatus.NOT_FOUND,),
)
async def metadata(request: web.Request) -> web.Response:
    """RFC 8414: where its endpoints are and what it can do. The issuer is PUBLIC_URL, or the address of the request."""
    return _metadata(request)


@routes.get(
    OPENID_CONFIGURATION,
    summary="Show the authorization server's metadata, where clients of OpenID look",
    access=Access.PUBLIC,
    answer=MetadataAnswer,
    errors=(HTTPStatus.NOT_FOUND,),
)
async def openid_configuration(request: web.Request) -> web.Response:
    """The same as `/.well-known/oauth-authorization-server`: some clients look here first. There are no ID tokens."""
    return _metadata(request)


@routes.get(
    "/oauth/jwks",
    summary="Show the keys that check access tokens",
    access=Access.PUBLIC,
    answer=KeysAnswer,
)
async def jwks(request: web.Request) -> web.Response:
    """Public keys; one that was exchanged stays until no token of its can be good."""
    return _json(await request.app[OAUTH].keys.jwks(), headers=_SHORT)


@routes.post(
    "/oauth/token",
    summary="Get an access token",
    access=Access.PROTOCOL,
    answer=TokenAnswer,
    others=_REFUSALS,
    errors=(HTTPStatus.NOT_FOUND,),
)
@_told
async def token(request: web.Request) -> web.Response:
    """Take a form (RFC 6749) with `grant_type`.

    It is `authorization_code` (with `code`, `redirect_uri`, `code_verifier`), `refresh_token`, or `client_credentials`
    (with `resource`). The client shows itself by `client_id` alone, by its secret (Basic, or in the form), or by an
    assertion that it signed.
    """
    form = await _form(request)
    place = place_of(request)
    server = request.app[OAUTH]
    client = await server.clients.recognise(
        _credentials(request, form), _audiences(place)
    )
    found = await server.issuing.issue(client, form, place)
    return _json(_answer(found), headers=_NO_STORE)


@routes.post(
    "/oauth/revoke",
    summary="Take a token back",
    access=Access.PROTOCOL,
    others=_REFUSALS,
    errors=(HTTPStatus.NOT_FOUND,),
    status=HTTPStatus.OK,
    answer=MetadataAnswer,
)
@_told
async def revoke(request: web.Request) -> web.Response:
    """Take a form with `token` (RFC 7009): a refresh token ends with all that was granted with it.

    What is not known is answered 200 as well.
    """
    form = await _form(request)
    if not form.get("token"):
        raise bad_request("token is missing.")
    server = request.app[OAUTH]
    client = await server.clients.recognise(
        _credentials(request, form), _audiences(place_of(request))
    )
    await server.grants.revoke_token(client, form["token"])
    return _json({}, headers=_NO_STORE)


@routes.post(
    "/oauth/register",
    summary="Register a client",
    access=Access.PROTOCOL,
    status=HTTPStatus.CREATED,
    answer=RegistrationAnswer,
    errors=(HTTPStatus.NOT_FOUND,),
    others={**_REFUSALS, HTTPStatus.TOO_MANY_REQUESTS: OAuthErrorAnswer},
)
@_told
async def register(request: web.Request) -> web.Response:
    """Take client metadata as JSON (RFC 7591), unless OAUTH_REGISTRATION is false.

    A client that nobody grants anything is forgotten after a day.
    """
    place_of(request)
    wanted = await _registration(request)
    client, secret = await request.app[OAUTH].clients.register(
        wanted, address=client_address(request)
    )
    issued_at = int(client.created_at.timestamp()) if client.created_at else 0
    found = registration.answer_of(client, secret, issued_at)
    return _json(found, status=HTTPStatus.CREATED, headers=_NO_STORE)


@access(Access.PUBLIC)
async def _preflight(_request: web.Request) -> web.Response:
    return web.Response(status=HTTPStatus.NO_CONTENT)


routes.definitions += [
    web.options(item.path, _preflight) for item in tuple(routes.definitions)
]


async def open_to_every_page(
    request: web.Request, response: web.StreamResponse
) -> None:
    """Let clients that are pages of any origin speak the protocol; a signal. Cookies are not among what they may send."""
    if request.path in OPEN_TO_EVERY_PAGE:
        response.headers.update(_CORS)


def _metadata(request: web.Request) -> web.Response:
    registers = request.app[OAUTH].clients.registers
    found = authorization_server(place_of(request).issuer, registers=registers)
    return _json(found, headers=_SHORT)


def _audiences(place: Place) -> tuple[str, ...]:
    return (place.issuer, f"{place.issuer}/oauth/token")


async def _form(request: web.Request) -> dict[str, str]:
    if request.content_type != FORM:
        raise bad_request(f"The body must be a form, {FORM}.")
    _refuse_large(request)
    fields = await request.post()
    found = {name: value for name, value in fields.items() if isinstance(value, str)}
    # RFC 6749: a parameter must not come twice; which of the two counted would be a guess.
    if len(fields) != len(found):
        raise bad_request("A parameter is there twice.")
    if any("\0" in value for value in found.values()):
        raise bad_request("A parameter holds the NUL character.")
    return found


async def _registration(request: web.Request) -> Any:
    if request.content_type != JSON:
        raise OAuthError("invalid_client_metadata", "The body must be JSON.")
    _refuse_large(request)
    try:
        found = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise OAuthError("invalid_client_metadata", "The body is not JSON.") from error
    return found


def _refuse_large(request: web.Request) -> None:
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise bad_request(f"The body is larger than {MAX_BODY_BYTES} bytes.")


def _credentials(request: web.Request, form: Mapping[str, str]) -> Credentials:
    """Return what a request shows of its client.

    Raises:
        OAuthError: It shows several things, or none of them whole.
    """
    header = request.headers.get(hdrs.AUTHORIZATION, "")
    ways = [bool(header), "client_secret" in form, "client_assertion" in form]
    if sum(ways) > 1:
        raise bad_request("The client shows itself in more than one way.")
    client_id = form.get("client_id", "")
    if header:
        return _basic(header, client_id)
    if "client_assertion" in form:
        return _assertion(form, client_id)
    if "client_secret" in form:
        return Credentials(client_id, AuthMethod.POST, secret=form["client_secret"])
    if not client_id:
        raise bad_request("client_id is missing.")
    return Credentials(client_id)


def _basic(header: str, named: str) -> Credentials:
    try:
        # Both are form-encoded before they are put into the header (RFC 6749, 2.3.1).
        shown = BasicAuth.decode(header, encoding="utf-8")
    except ValueError as error:
        raise OAuthError("invalid_client", "Authorization is not Basic.") from error
    client_id, secret = unquote_plus(shown.login), unquote_plus(shown.password)
    if named not in {"", client_id}:
        raise bad_request("client_id is another than in Authorization.")
    return Credentials(client_id, AuthMethod.BASIC, secret=secret)


def _assertion(form: Mapping[str, str], named: str) -> Credentials:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise bad_request(f"client_assertion_type must be {ASSERTION_TYPE}.")
    assertion = form["client_assertion"]
    client_id = named or _issuer_of(assertion)
    return Credentials(client_id, AuthMethod.PRIVATE_KEY, assertion=assertion)


def _issuer_of(assertion: str) -> str:
    """Return who an assertion says that it is from; whether it is, is found out with that client's keys."""
    import jwt  # noqa: PLC0415 - few clients sign

    with contextlib.suppress(jwt.PyJWTError, ValueError):
        claims = jwt.decode(assertion, options={"verify_signature": False})
        return str(claims.get("iss", ""))
    return ""


def _answer(found: Tokens) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "access_token": found.access_token,
        "token_type": "Bearer",
        "expires_in": found.expires_in_s,
        "scope": " ".join(found.scope),
    }
    if found.refresh_token:
        answer["refresh_token"] = found.refresh_token
    return answer


def _refusal(request: web.Request, error: str, detail: str) -> web.Response:
    is_client = error == "invalid_client"
    headers = dict(_NO_STORE)
    if is_client and hdrs.AUTHORIZATION in request.headers:
        headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="mcp-host"'
    return _json(
        {"error": error, "error_description": detail},
        status=HTTPStatus.UNAUTHORIZED if is_client else HTTPStatus.BAD_REQUEST,
        headers=headers,
    )


def _json(
    content: Mapping[str, Any],
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str],
) -> web.Response:
    return web.Response(
        text=json.dumps(content),
        status=status,
        content_type=JSON,
        headers=headers,
    )
