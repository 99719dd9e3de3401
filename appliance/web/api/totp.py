"""/api/me/totp: one's second factor at sign-in."""

from datetime import datetime
from http import HTTPStatus

from aiohttp import web
from pydantic import Field, SecretStr

from appliance.web.api.answer import Answer
from appliance.web.keys import ACCOUNTS
from appliance.web.parsing import Input
from appliance.web.requests import principal_of
from appliance.web.routes import Routes

routes = Routes("totp")
REFUSALS = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)


class CodeBody(Input):
    """A code."""

    code: SecretStr = Field(
        max_length=40, description="The app's six digits; or a recovery code."
    )


class FactorAnswer(Answer):
    """How a second factor stands."""

    on_since: datetime | None = Field(description="null: it is off.")
    recovery_codes_left: int


class EnrolmentAnswer(Answer):
    """What goes into an app; shown this once."""

    secret: str = Field(description="To type in.")
    uri: str = Field(description="`otpauth://…`, for apps that take an address.")


class RecoveryAnswer(Answer):
    """Codes for when the app is gone; shown this once, each works once."""

    recovery_codes: list[str]


@routes.get("/api/me/totp", summary="Show one's second factor")
async def show(request: web.Request) -> FactorAnswer:
    """Whether a code is asked for at sign-in."""
    found = await request.app[ACCOUNTS].factor.state(principal_of(request))
    return FactorAnswer(
        on_since=found.on_since, recovery_codes_left=found.recovery_codes_left
    )


@routes.post(
    "/api/me/totp",
    summary="Begin with a second factor",
    status=HTTPStatus.CREATED,
    errors=REFUSALS,
)
async def enrol(request: web.Request) -> EnrolmentAnswer:
    """Make a secret for an app; nothing is asked for before a code of it was confirmed."""
    made = await request.app[ACCOUNTS].factor.enrol(principal_of(request))
    return EnrolmentAnswer(secret=made.secret, uri=made.uri)


@routes.post("/api/me/totp/confirm", summary="Turn it on", errors=REFUSALS)
async def confirm(request: web.Request, *, body: CodeBody) -> RecoveryAnswer:
    """Turn the second factor on by a code of the app; the answer holds the recovery codes, this once."""
    codes = await request.app[ACCOUNTS].factor.confirm(
        principal_of(request), body.code.get_secret_value()
    )
    return RecoveryAnswer(recovery_codes=codes)


@routes.post(
    "/api/me/totp/recovery-codes", summary="Make new recovery codes", errors=REFUSALS
)
async def recovery_codes(request: web.Request, *, body: CodeBody) -> RecoveryAnswer:
    """Make new recovery codes, shown this once; the old ones end."""
    codes = await request.app[ACCOUNTS].factor.new_codes(
        principal_of(request), body.code.get_secret_value()
    )
    return RecoveryAnswer(recovery_codes=codes)


@routes.post(
    "/api/me/totp/off",
    summary="Turn it off",
    status=HTTPStatus.NO_CONTENT,
    errors=REFUSALS,
)
async def turn_off(request: web.Request, *, body: CodeBody) -> None:
    """Ask for no code any more."""
    await request.app[ACCOUNTS].factor.turn_off(
        principal_of(request), body.code.get_secret_value()
    )
