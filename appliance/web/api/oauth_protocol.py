"""/oauth and /.well-known: the authorization server's protocol, as clients speak it. Answers and errors are its own.

What a browser shows a person (`/oauth/authorize`) is among the pages.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from http import HTTPStatus

from aiohttp import hdrs, web
from pydantic import BaseModel

from appliance.core.cards import CORS
from appliance.core.errors import LimitedError
from appliance.core.oauth import (
    AUTHORIZATION_SERVER,
    OPENID_CONFIGURATION,
    authorization_server,
)
from appliance.oauth import registration
from appliance.oauth.authorizing import Place
from appliance.oauth.errors import OAuthError, bad_request
from appliance.web.api.oauth_answers import (
    NO_STORE,
    KeysAnswer,
    MetadataAnswer,
    OAuthErrorAnswer,
    RegistrationAnswer,
    TokenAnswer,
    answered,
    refusal,
    token_answer,
)
from appliance.web.api.oauth_requests import credentials_of, form_of, registration_of
from appliance.web.keys import OAUTH
from appliance.web.oauth_place import place_of
from appliance.web.problems import MalformedError
from appliance.web.requests import Access, access, client_address
from appliance.web.routes import Routes

routes = Routes("oauth")

OPEN_TO_EVERY_PAGE = frozenset(
    {"/oauth/token", "/oauth/register", "/oauth/revoke", "/oauth/jwks"}
)
_CORS = {**CORS, "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS"}
_SHORT = {"Cache-Control": "public, max-age=300"}

Declared = Callable[[web.Request], Awaitable[web.Response]]

_REFUSALS: Mapping[HTTPStatus, type[BaseModel]] = {
    HTTPStatus.BAD_REQUEST: OAuthErrorAnswer,
    HTTPStatus.UNAUTHORIZED: OAuthErrorAnswer,
}


def _in_protocol(handler: Declared) -> Declared:
    """Answer refusals as the protocol has them, not as problems."""

    @wraps(handler)
    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except OAuthError as error:
            return refusal(request, error.error, error.detail)
        except MalformedError as error:
            return refusal(request, "invalid_request", error.detail)
        except LimitedError as error:
            answer = refusal(request, "temporarily_unavailable", error.detail)
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
    return answered(await request.app[OAUTH].keys.jwks(), headers=_SHORT)


@routes.post(
    "/oauth/token",
    summary="Get an access token",
    access=Access.PROTOCOL,
    answer=TokenAnswer,
    others=_REFUSALS,
    errors=(HTTPStatus.NOT_FOUND,),
)
@_in_protocol
async def token(request: web.Request) -> web.Response:
    """Take a form (RFC 6749) with `grant_type`.

    It is `authorization_code` (with `code`, `redirect_uri`, `code_verifier`), `refresh_token`, or `client_credentials`
    (with `resource`). The client shows itself by `client_id` alone, by its secret (Basic, or in the form), or by an
    assertion that it signed.
    """
    form = await form_of(request)
    place = place_of(request)
    server = request.app[OAUTH]
    client = await server.clients.recognise(
        credentials_of(request, form), _audiences(place)
    )
    found = await server.issuing.issue(client, form, place)
    return answered(token_answer(found), headers=NO_STORE)


@routes.post(
    "/oauth/revoke",
    summary="Take a token back",
    access=Access.PROTOCOL,
    others=_REFUSALS,
    errors=(HTTPStatus.NOT_FOUND,),
    status=HTTPStatus.OK,
    answer=MetadataAnswer,
)
@_in_protocol
async def revoke(request: web.Request) -> web.Response:
    """Take a form with `token` (RFC 7009): a refresh token ends with all that was granted with it.

    What is not known is answered 200 as well.
    """
    form = await form_of(request)
    if not form.get("token"):
        raise bad_request("token is missing.")
    server = request.app[OAUTH]
    client = await server.clients.recognise(
        credentials_of(request, form), _audiences(place_of(request))
    )
    await server.grants.revoke_token(client, form["token"])
    return answered({}, headers=NO_STORE)


@routes.post(
    "/oauth/register",
    summary="Register a client",
    access=Access.PROTOCOL,
    status=HTTPStatus.CREATED,
    answer=RegistrationAnswer,
    errors=(HTTPStatus.NOT_FOUND,),
    others={**_REFUSALS, HTTPStatus.TOO_MANY_REQUESTS: OAuthErrorAnswer},
)
@_in_protocol
async def register(request: web.Request) -> web.Response:
    """Take client metadata as JSON (RFC 7591), unless OAUTH_REGISTRATION is false.

    A client that nobody grants anything is forgotten after a day.
    """
    place_of(request)
    wanted = await registration_of(request)
    client, secret = await request.app[OAUTH].clients.register(
        wanted, address=client_address(request)
    )
    issued_at = int(client.created_at.timestamp()) if client.created_at else 0
    found = registration.answer_of(client, secret, issued_at)
    return answered(found, status=HTTPStatus.CREATED, headers=NO_STORE)


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
    return answered(found, headers=_SHORT)


def _audiences(place: Place) -> tuple[str, ...]:
    return (place.issuer, f"{place.issuer}/oauth/token")
