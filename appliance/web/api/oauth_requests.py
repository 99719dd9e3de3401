"""What clients of the authorization server send: forms, metadata, and what shows who a client is."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from aiohttp import BasicAuth, hdrs, web

from appliance.oauth.credentials import ASSERTION_TYPE, Credentials
from appliance.oauth.errors import OAuthError, bad_request
from appliance.oauth.model import AuthMethod
from appliance.web.routes import JSON

FORM = "application/x-www-form-urlencoded"
MAX_BODY_BYTES = 64 * 1024


async def form_of(request: web.Request) -> dict[str, str]:
    """Return the fields of the form that a request carries.

    Raises:
        OAuthError: It is no form, too large, or names a parameter twice.
    """
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


async def registration_of(request: web.Request) -> Any:
    """Return the client metadata that a request carries.

    Raises:
        OAuthError: They are no JSON, or too large.
    """
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


def credentials_of(request: web.Request, form: Mapping[str, str]) -> Credentials:
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
