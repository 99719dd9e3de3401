"""/api/me/identities and /api/sign-in: providers by which people come, and who they are there."""

from datetime import datetime
from http import HTTPStatus
from typing import Self

from aiohttp import web
from pydantic import Field

from appliance.accounts.identities import MAX_SUBJECT
from appliance.accounts.model import Identity
from appliance.web.api.answer import Answer
from appliance.web.keys import SIGNIN
from appliance.web.parsing import Input
from appliance.web.requests import Access, own_url, principal_of
from appliance.web.routes import Routes

routes = Routes("identities")
IDENTITY = "{identity_id:[0-9]{1,18}}"
PERSON = "/api/users/{user_id:[0-9]{1,18}}/identities"


class LinkBody(Input):
    """Whom the provider means."""

    subject: str = Field(
        min_length=1,
        max_length=MAX_SUBJECT,
        description="The provider's own number or name for them (`sub`); who is not known here is shown theirs.",
    )


class IdentityAnswer(Answer):
    """Who somebody is at a provider."""

    id: int
    issuer: str
    subject: str
    email: str = Field(
        description="As the provider had it when they last came; may be empty."
    )
    created_at: datetime
    last_used_at: datetime | None

    @classmethod
    def of(cls, identity: Identity) -> Self:
        """Return ``identity`` as it is answered."""
        return cls.model_validate(identity, from_attributes=True)


class IdentityList(Answer):
    """Who somebody is at providers."""

    items: list[IdentityAnswer]


class ProviderAnswer(Answer):
    """A provider by which people may come."""

    name: str
    issuer: str
    url: str = Field(description="Where a browser begins.")


class WaysAnswer(Answer):
    """How people sign in."""

    password: bool = Field(
        description="false: of passwords, one administrator's alone signs in."
    )
    provider: ProviderAnswer | None


@routes.get("/api/sign-in", summary="Show the ways in", access=Access.PUBLIC)
async def ways(request: web.Request) -> WaysAnswer:
    """By what people sign in on this box, as its sign-in page shows."""
    signin = request.app[SIGNIN]
    provider = None
    if signin.has_provider:
        url = f"{own_url(request)}/login/oidc"
        provider = ProviderAnswer(name=signin.name, issuer=signin.issuer, url=url)
    return WaysAnswer(password=signin.by_password, provider=provider)


@routes.get("/api/me/identities", summary="List one's linked identities")
async def identities(request: web.Request) -> IdentityList:
    """Who one is at providers. To link another, a browser goes there: on the profile."""
    found = await request.app[SIGNIN].identities.of(principal_of(request))
    return IdentityList(items=[IdentityAnswer.of(item) for item in found])


@routes.delete(
    f"/api/me/identities/{IDENTITY}",
    summary="Unlink an identity",
    status=HTTPStatus.NO_CONTENT,
    errors=(HTTPStatus.CONFLICT,),
)
async def unlink(request: web.Request) -> None:
    """Unlink oneself; refused where it is the only way in. Other sessions that it opened end."""
    await request.app[SIGNIN].identities.unlink(
        principal_of(request), int(request.match_info["identity_id"])
    )


@routes.post(
    PERSON,
    summary="Link somebody",
    access=Access.ADMIN,
    status=HTTPStatus.CREATED,
    errors=(HTTPStatus.CONFLICT,),
)
async def link_person(request: web.Request, *, body: LinkBody) -> IdentityAnswer:
    """Link a person with whom the provider means by a subject; for administrators."""
    signin = request.app[SIGNIN]
    _ = signin.flow  # without a provider there is nobody to link with
    made = await signin.identities.link_person(
        principal_of(request),
        int(request.match_info["user_id"]),
        signin.issuer,
        body.subject,
    )
    return IdentityAnswer.of(made)


@routes.delete(
    f"{PERSON}/{IDENTITY}",
    summary="Unlink somebody",
    access=Access.ADMIN,
    status=HTTPStatus.NO_CONTENT,
)
async def unlink_person(request: web.Request) -> None:
    """Unlink a person; sessions that the provider opened end. For administrators."""
    await request.app[SIGNIN].identities.unlink_person(
        principal_of(request),
        int(request.match_info["user_id"]),
        int(request.match_info["identity_id"]),
    )
