"""Accounts: register, sign in and out, and who one is."""

from datetime import datetime
from http import HTTPStatus
from typing import Literal, Self

from aiohttp import hdrs, web
from pydantic import Field, SecretStr

from appliance.accounts.model import Principal, Role, User
from appliance.web.api.answer import Answer
from appliance.web.keys import ACCOUNTS
from appliance.web.parsing import Input, json_answer
from appliance.web.requests import Access, client_address, principal_of
from appliance.web.routes import Routes
from appliance.web.sessions import drop_session_cookie, set_session_cookie

routes = Routes("accounts")


class Credentials(Input):
    """Who somebody says they are."""

    email: str = Field(max_length=254)
    password: SecretStr = Field(max_length=1024, description="At least 10 characters.")


class LoginBody(Credentials):
    """Who somebody says they are, to sign in."""

    code: str = Field(
        "",
        max_length=40,
        description="Of the second factor: the app's six digits, or a recovery code. Without one, 401 `code_required`.",
    )


class NewPassword(Input):
    """A change of password."""

    current: SecretStr = Field(max_length=1024)
    new: SecretStr = Field(max_length=1024, description="At least 10 characters.")


class ResetBody(Input):
    """A new password, by link."""

    token: SecretStr = Field(max_length=200, description="From the link.")
    new: SecretStr = Field(max_length=1024, description="At least 10 characters.")


class UserAnswer(Answer):
    """A person."""

    id: int
    email: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    server_quota: int | None = Field(
        description="How many servers of their own they may have; null: any number."
    )

    @classmethod
    def of(cls, user: User) -> Self:
        """Return ``user`` as it is answered."""
        return cls.model_validate(user, from_attributes=True)


class SignedInAnswer(Answer):
    """A session has begun; its cookie is in the headers."""

    user: UserAnswer
    csrf_token: str = Field(
        description="Send it back as `X-CSRF-Token` with every write of this session."
    )
    expires_at: datetime


class MeAnswer(Answer):
    """Who asks."""

    id: int | None
    email: str
    role: Role
    via: Literal["session", "api_key", "token", "system"]
    csrf_token: str = Field(
        description="For writes with the session cookie; empty with an API key."
    )

    @classmethod
    def of(cls, principal: Principal) -> Self:
        """Return ``principal`` as it is answered."""
        return cls(
            id=principal.user_id,
            email=principal.email,
            role=principal.role,
            via=principal.via,
            csrf_token=principal.csrf_token,
        )


@routes.post(
    "/api/register",
    summary="Register",
    access=Access.PUBLIC,
    status=HTTPStatus.CREATED,
    answer=SignedInAnswer,
    errors=(HTTPStatus.CONFLICT,),
)
async def register(request: web.Request, *, body: Credentials) -> web.Response:
    """Add oneself and sign in. The first person becomes administrator; then it is closed unless the hub is told otherwise."""
    await request.app[ACCOUNTS].register(body.email, body.password.get_secret_value())
    return await _sign_in(request, body, HTTPStatus.CREATED)


@routes.post(
    "/api/login",
    summary="Sign in",
    access=Access.PUBLIC,
    answer=SignedInAnswer,
    errors=(HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS),
)
async def login(request: web.Request, *, body: LoginBody) -> web.Response:
    """Begin a session: a cookie, and the token that writes must send back."""
    return await _sign_in(request, body, HTTPStatus.OK, code=body.code)


async def _sign_in(
    request: web.Request, body: Credentials, status: HTTPStatus, *, code: str = ""
) -> web.Response:
    signed_in = await request.app[ACCOUNTS].login(
        body.email,
        body.password.get_secret_value(),
        code,
        address=client_address(request),
        user_agent=request.headers.get(hdrs.USER_AGENT, ""),
    )
    answer = SignedInAnswer(
        user=UserAnswer.of(signed_in.user),
        csrf_token=signed_in.csrf_token,
        expires_at=signed_in.expires_at,
    )
    response = json_answer(answer, status=status)
    set_session_cookie(request, response, signed_in.token)
    return response


@routes.post("/api/logout", summary="Sign out", status=HTTPStatus.NO_CONTENT)
async def logout(request: web.Request) -> web.Response:
    """End the session that asks. An API key is not ended by this; revoke it instead."""
    await request.app[ACCOUNTS].logout(principal_of(request))
    response = web.Response(status=HTTPStatus.NO_CONTENT)
    drop_session_cookie(request, response)
    return response


@routes.get("/api/me", summary="Show who asks")
async def me(request: web.Request) -> MeAnswer:
    """Whoever the cookie or the key belongs to."""
    return MeAnswer.of(principal_of(request))


@routes.put(
    "/api/me/password", summary="Change one's password", status=HTTPStatus.NO_CONTENT
)
async def change_password(request: web.Request, *, body: NewPassword) -> None:
    """Replace the password; every other session of the person ends."""
    await request.app[ACCOUNTS].change_password(
        principal_of(request),
        body.current.get_secret_value(),
        body.new.get_secret_value(),
    )


@routes.post(
    "/api/password-resets",
    summary="Set a password by link",
    access=Access.PUBLIC,
    status=HTTPStatus.NO_CONTENT,
    errors=(HTTPStatus.TOO_MANY_REQUESTS,),
)
async def reset_password(request: web.Request, *, body: ResetBody) -> None:
    """Set the password of whoever an administrator made the link for; it works once, and ends their sessions."""
    await request.app[ACCOUNTS].resets.redeem(
        body.token.get_secret_value(), body.new.get_secret_value()
    )
