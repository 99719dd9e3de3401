"""/api/users: people, for administrators."""

from datetime import datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlencode

from aiohttp import web
from pydantic import Field, SecretStr

from appliance.accounts.model import Role, UserChange
from appliance.accounts.people import MAX_QUOTA
from appliance.web.api.accounts import Credentials, UserAnswer
from appliance.web.api.answer import Answer
from appliance.web.api.identities import IdentityAnswer
from appliance.web.keys import ACCOUNTS
from appliance.web.parsing import Input
from appliance.web.requests import Access, own_url, principal_of
from appliance.web.routes import Routes

routes = Routes("users")
USER = "/api/users/{user_id:[0-9]{1,18}}"

#: Told in the document; the service checks, in words that are better than a pattern's.
EMAIL_PATTERN = '^[^@\\s,;<>"]+@[^@\\s,;<>"]+$'


class NewUserBody(Credentials):
    """Somebody to add."""

    email: str = Field(max_length=254, json_schema_extra={"pattern": EMAIL_PATTERN})
    password: SecretStr = Field(
        max_length=1024,
        description="At least 10 characters.",
        json_schema_extra={"minLength": 10},
    )
    role: Role = Field(Role.MEMBER, description="What they may do.")


class UserChangeBody(Input):
    """What shall be otherwise; what is absent stays."""

    role: Role | None = Field(None, description="What they may do.")
    disabled: bool | None = Field(
        None,
        description="true: they are signed out, and neither password, key nor token opens anything.",
    )
    server_quota: int | None = Field(
        None,
        ge=0,
        le=MAX_QUOTA,
        description="How many servers of their own they may have; null: any number.",
    )


class ResetLinkBody(Input):
    """A link to make."""

    hours: int = Field(24, ge=1, le=168, description="How long it works.")


class ResetLinkAnswer(Answer):
    """A link by which somebody sets a new password."""

    url: str = Field(description="Shown this once; hand it over. It works once.")
    expires_at: datetime


class PersonAnswer(UserAnswer):
    """A person, and how they sign in."""

    has_password: bool = Field(description="false: they come by a provider alone.")
    identities: list[IdentityAnswer] = Field(description="Who they are at providers.")


class UserList(Answer):
    """Everybody, by address."""

    items: list[PersonAnswer]


@routes.get("/api/users", summary="List people", access=Access.ADMIN)
async def users(request: web.Request) -> UserList:
    """Everybody; for administrators."""
    found = await request.app[ACCOUNTS].people.list(principal_of(request))
    return UserList(items=[PersonAnswer.of(user) for user in found])


@routes.post(
    "/api/users",
    summary="Add somebody",
    access=Access.ADMIN,
    status=HTTPStatus.CREATED,
    errors=(HTTPStatus.CONFLICT,),
)
async def create_user(request: web.Request, *, body: NewUserBody) -> PersonAnswer:
    """Add a person with a first password, which they can change; for administrators."""
    user = await request.app[ACCOUNTS].people.add(
        principal_of(request), body.email, body.password.get_secret_value(), body.role
    )
    return PersonAnswer.of(user)


@routes.get(USER, summary="Show a person", access=Access.ADMIN)
async def show_user(request: web.Request) -> PersonAnswer:
    """One person; for administrators."""
    user = await request.app[ACCOUNTS].people.get(
        principal_of(request), _user_id(request)
    )
    return PersonAnswer.of(user)


@routes.patch(
    USER,
    summary="Change a person",
    access=Access.ADMIN,
    errors=(HTTPStatus.CONFLICT,),
)
async def change_user(request: web.Request, *, body: UserChangeBody) -> PersonAnswer:
    """Change somebody's role or quota, disable or enable them; for administrators, of whom one stays."""
    change = UserChange(
        role=body.role,
        is_disabled=body.disabled,
        sets_quota="server_quota" in body.model_fields_set,
        server_quota=body.server_quota,
    )
    user = await request.app[ACCOUNTS].people.change(
        principal_of(request), _user_id(request), change
    )
    return PersonAnswer.of(user)


@routes.post(
    f"{USER}/reset-link",
    summary="Make a link for a new password",
    access=Access.ADMIN,
    status=HTTPStatus.CREATED,
)
async def create_reset_link(
    request: web.Request, *, body: ResetLinkBody
) -> ResetLinkAnswer:
    """Make a link by which somebody sets a new password, once; earlier links of theirs end. For administrators."""
    link = await request.app[ACCOUNTS].resets.create(
        principal_of(request), _user_id(request), lasts=timedelta(hours=body.hours)
    )
    return ResetLinkAnswer(
        url=reset_url(request, link.token), expires_at=link.expires_at
    )


@routes.delete(
    f"{USER}/totp",
    summary="Reset somebody's second factor",
    access=Access.ADMIN,
    status=HTTPStatus.NO_CONTENT,
)
async def reset_totp(request: web.Request) -> None:
    """Turn off the second factor of somebody who lost their app and their recovery codes; for administrators."""
    await request.app[ACCOUNTS].factor.reset(principal_of(request), _user_id(request))


def reset_url(request: web.Request, token: str) -> str:
    """Return where a password is set; the token stands in the query, which no log keeps."""
    return f"{own_url(request)}/reset-password?{urlencode({'token': token})}"


def _user_id(request: web.Request) -> int:
    return int(request.match_info["user_id"])
