"""/api/tokens: bearer tokens for short-lived automation."""

from datetime import datetime, timedelta
from http import HTTPStatus

from aiohttp import web
from pydantic import Field

from appliance.web.api.answer import Answer
from appliance.web.api.key_bodies import NarrowingBody
from appliance.web.key_scopes import read_scope
from appliance.web.keys import ACCOUNTS
from appliance.web.requests import principal_of
from appliance.web.routes import Routes

routes = Routes("tokens")


class NewTokenBody(NarrowingBody):
    """A token to make."""

    lifetime_seconds: int = Field(900, ge=60, le=3600, description="How long it works.")


class TokenAnswer(Answer):
    """A token; kept nowhere."""

    token: str = Field(description="Send it as `Authorization: Bearer`.")
    expires_at: datetime


@routes.post(
    "/api/tokens", summary="Make a short-lived token", status=HTTPStatus.CREATED
)
async def create(request: web.Request, *, body: NewTokenBody) -> TokenAnswer:
    """Make a token for this API that means what its person may do when it is used; it cannot be revoked, and soon ends."""
    made = await request.app[ACCOUNTS].tokens.create(
        principal_of(request),
        lasts=timedelta(seconds=body.lifetime_seconds),
        scope=await read_scope(request, body.role, body.actions, body.servers),
    )
    return TokenAnswer(token=made.token, expires_at=made.expires_at)
