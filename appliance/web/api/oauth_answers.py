"""What the authorization server answers its clients, in the words of its protocol."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from pydantic import Field

from appliance.oauth.model import Tokens
from appliance.web.api.answer import Answer
from appliance.web.routes import JSON

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class OAuthErrorAnswer(Answer):
    """A refusal in the words of RFC 6749, 7591 and 8707."""

    error: str = Field(description="Such as `invalid_grant`; clients match this.")
    error_description: str = Field(description="What is wrong, for people.")


class MetadataAnswer(Answer):
    """The authorization server's metadata (RFC 8414)."""


class KeysAnswer(Answer):
    """Public keys (RFC 7517)."""

    keys: list[dict[str, Any]]


class TokenAnswer(Answer):
    """An access token."""

    access_token: str
    token_type: str = Field(description="`Bearer`.")
    expires_in: int = Field(description="Seconds.")
    scope: str
    refresh_token: str = Field("", description="Absent where none was issued.")


class RegistrationAnswer(Answer):
    """A client that registered itself (RFC 7591)."""

    client_id: str
    client_secret: str = Field("", description="Absent where it has none.")


def token_answer(found: Tokens) -> dict[str, Any]:
    """Return tokens as RFC 6749 has them."""
    answer: dict[str, Any] = {
        "access_token": found.access_token,
        "token_type": "Bearer",
        "expires_in": found.expires_in_s,
        "scope": " ".join(found.scope),
    }
    if found.refresh_token:
        answer["refresh_token"] = found.refresh_token
    return answer


def refusal(request: web.Request, error: str, detail: str) -> web.Response:
    """Return a refusal in the words of the protocol."""
    is_client = error == "invalid_client"
    headers = dict(NO_STORE)
    if is_client and hdrs.AUTHORIZATION in request.headers:
        headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="mcp-host"'
    return answered(
        {"error": error, "error_description": detail},
        status=HTTPStatus.UNAUTHORIZED if is_client else HTTPStatus.BAD_REQUEST,
        headers=headers,
    )


def answered(
    content: Mapping[str, Any],
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str],
) -> web.Response:
    """Return ``content`` as JSON."""
    return web.Response(
        text=json.dumps(content),
        status=status,
        content_type=JSON,
        headers=headers,
    )
