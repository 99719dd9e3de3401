"""Accounts: register, sign in and out, who one is, and which browsers are signed in."""

from datetime import datetime
from http import HTTPStatus
from typing import Literal, Self

from aiohttp import hdrs, web
from pydantic import BaseModel, Field, SecretStr

from appliance.accounts.model import Principal, Role, User
from appliance.web.keys import ACCOUNTS
from appliance.web.openapi import Routes
from appliance.web.requests import (
    Access,
    Input,
    client_address,
    json_answer,
    principal_of,
)
from appliance.web.sessions import drop_session_cookie, set_session_cookie

routes = Routes("accounts")

#: Told in the document; the service checks, in words that are better than a pattern's.
EMAIL_PATTERN = '^[^@\\s,;<>"]+@[^@\\s,;<>"]+$'


class Credentials(Input):
    """Who somebody says they are."""

    email: str = Field(max_length=254)
    password: SecretStr = Field(max_length=1024, description="At least 10 characters.")


class NewPassword(Input):
    """A change of password."""

    current: SecretStr = Field(max_length=1024)
    new: SecretStr = Field(max_length=1024, description="At least 10 characters.")


class NewUserBody(Credentials):
    """Somebody to add."""

    email: str = Field(max_length=254, json_schema_extra={"pattern": EMAIL_PATTERN})
    password: SecretStr = Field(
        max_length=1024,
        description="At least 10 characters.",
        json_schema_extra={"minLength": 10},
    )
    role: Role = Field(Role.MAINTAINER, description="What they may do.")


class UserAnswer(BaseModel):
    """A person."""

    id: int
    email: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None

    @classmethod
    def of(cls, user: User) -> Self:
        """Return ``user`` as it is answered."""
        return cls.model_validate(user, from_attributes=True)


class UserList(BaseModel):
    """Everybody, by address."""

    items: list[UserAnswer]


class SignedInAnswer(BaseModel):
    """A session has begun; its cookie is in the headers."""

    user: UserAnswer
    csrf_token: str = Field(
        description="Send it back as `X-CSRF-Token` with every write of this session."
    )
    expires_at: datetime


class MeAnswer(BaseModel):
    """Who asks."""

    id: int | None
    email: str
    role: Role
    via: Literal["session", "api_key", "system"]
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


class SessionAnswer(BaseModel):
    """A browser that somebody is signed in with."""

    id: int
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    is_current: bool = Field(description="Whether it is the one that asks.")


class SessionList(BaseModel):
    """Open sessions, the one used last first."""

    items: list[SessionAnswer]


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
async def login(request: web.Request, *, body: Credentials) -> web.Response:
    """Begin a session: a cookie, and the token that writes must send back."""
    return await _sign_in(request, body, HTTPStatus.OK)


async def _sign_in(
    request: web.Request, body: Credentials, status: HTTPStatus
) -> web.Response:
    signed_in = await request.app[ACCOUNTS].login(
        body.email,
        body.password.get_secret_value(),
        address=client_address(request),
        user_agent=request.headers.get(hdrs.USER_AGENT, ""),
    )
    answer = SignedInAnswer(
        user=UserAnswer.of(signed_in.user),
        csrf_token=signed_in.csrf_token,
        expires_at=signed_in.expires_at,
    )
    response = json_answer(answer, status=status)
    set_session_cookie(
        request, response, signed_in.token, expires_at=signed_in.expires_at
    )
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


@routes.get("/api/sessions", summary="List one's sessions")
async def sessions(request: web.Request) -> SessionList:
    """Browsers that one is signed in with."""
    principal = principal_of(request)
    current = principal.credential_id if principal.via == "session" else None
    found = await request.app[ACCOUNTS].sessions(principal)
    return SessionList(
        items=[
            SessionAnswer(
                id=item.id,
                user_agent=item.user_agent,
                created_at=item.created_at,
                last_seen_at=item.last_seen_at,
                expires_at=item.expires_at,
                is_current=item.id == current,
            )
            for item in found
        ]
    )


@routes.delete(
    "/api/sessions/{session_id:[0-9]{1,18}}",
    summary="End a session",
    status=HTTPStatus.NO_CONTENT,
)
async def revoke_session(request: web.Request) -> None:
    """Sign one browser out, wherever it is."""
    await request.app[ACCOUNTS].revoke_session(
        principal_of(request), int(request.match_info["session_id"])
    )


@routes.delete(
    "/api/sessions", summary="End all other sessions", status=HTTPStatus.NO_CONTENT
)
async def revoke_other_sessions(request: web.Request) -> None:
    """Sign every browser out but the one that asks; with an API key, all of them."""
    await request.app[ACCOUNTS].revoke_other_sessions(principal_of(request))


@routes.get("/api/users", summary="List people", access=Access.ADMIN)
async def users(request: web.Request) -> UserList:
    """Everybody; for administrators."""
    found = await request.app[ACCOUNTS].users(principal_of(request))
    return UserList(items=[UserAnswer.of(user) for user in found])


@routes.post(
    "/api/users",
    summary="Add somebody",
    access=Access.ADMIN,
    status=HTTPStatus.CREATED,
    errors=(HTTPStatus.CONFLICT,),
)
async def create_user(request: web.Request, *, body: NewUserBody) -> UserAnswer:
    """Add a person with a first password, which they can change; for administrators."""
    user = await request.app[ACCOUNTS].add_user(
        principal_of(request), body.email, body.password.get_secret_value(), body.role
    )
    return UserAnswer.of(user)
