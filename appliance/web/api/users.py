"""/api/users: people, for administrators."""

from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel, Field, SecretStr

from appliance.accounts.model import Role
from appliance.web.api.accounts import Credentials, UserAnswer
from appliance.web.keys import ACCOUNTS
from appliance.web.requests import Access, principal_of
from appliance.web.routes import Routes

routes = Routes("users")

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


class UserList(BaseModel):
    """Everybody, by address."""

    items: list[UserAnswer]


@routes.get("/api/users", summary="List people", access=Access.ADMIN)
async def users(request: web.Request) -> UserList:
    """Everybody; for administrators."""
    found = await request.app[ACCOUNTS].people.list(principal_of(request))
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
    user = await request.app[ACCOUNTS].people.add(
        principal_of(request), body.email, body.password.get_secret_value(), body.role
    )
    return UserAnswer.of(user)
