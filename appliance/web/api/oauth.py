"""/api/oauth: what people granted to clients, and clients that they made."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Literal, Self

from aiohttp import web
from pydantic import Field

from appliance.oauth.machines import NewClient
from appliance.oauth.model import AuthMethod, Client, ClientKind, Connection
from appliance.oauth.redirects import MAX_URI, MAX_URIS
from appliance.web.api.answer import Answer
from appliance.web.keys import OAUTH
from appliance.web.parsing import Input
from appliance.web.requests import Access, principal_of
from appliance.web.routes import Routes

routes = Routes("oauth-grants")
ScopeName = Literal["mcp:read", "mcp:call"]


class WhoseQuery(Input):
    """Whose things are listed."""

    all: bool = Field(
        default=False,
        description="Everybody's; for administrators, and without effect for others.",
    )


class GrantAnswer(Answer):
    """What somebody allowed a client."""

    id: int
    email: str = Field(description="Who allowed it.")
    client_id: str
    client_name: str = Field(description="As the client calls itself.")
    client_kind: ClientKind
    resource: str = Field(description="The endpoint that it may use.")
    scopes: list[str]
    created_at: datetime
    last_used_at: datetime | None = Field(
        description="When a token was issued last; null: never."
    )

    @classmethod
    def of(cls, found: Connection) -> Self:
        """Return ``found`` as it is answered."""
        grant, client = found.grant, found.client
        return cls(
            id=grant.id,
            email=found.email,
            client_id=client.client_id,
            client_name=client.name,
            client_kind=client.kind,
            resource=grant.resource,
            scopes=list(grant.scope),
            created_at=grant.created_at,
            last_used_at=grant.last_used_at,
        )


class GrantList(Answer):
    """Grants that hold, used last first."""

    items: list[GrantAnswer]


class NewClientBody(Input):
    """A client to make: for a program without people, or with redirect addresses for an app that people sign in with."""

    name: str = Field(min_length=1, max_length=100, description="What it is for.")
    scopes: list[ScopeName] = Field(
        default_factory=list, description="The most it may have; empty: everything."
    )
    redirect_uris: list[Annotated[str, Field(max_length=MAX_URI)]] = Field(
        default_factory=list,
        max_length=MAX_URIS,
        description="Where it may send people back to; empty: it runs without people, and acts as whoever makes it.",
    )
    public: bool = Field(
        default=False,
        description="Make no secret, because it would not stay one: for an app on people's own computers, or a page.",
    )


class ClientAnswer(Answer):
    """A client that somebody made, without its secret."""

    client_id: str
    kind: ClientKind = Field(
        description="`machine`: runs without people; `made`: people sign in with it."
    )
    name: str
    redirect_uris: list[str] = Field(description="Where it may send people back to.")
    has_secret: bool
    scopes: list[str] = Field(description="The most it may have; empty: everything.")
    created_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, client: Client) -> Self:
        """Return ``client`` as it is answered."""
        return cls(
            client_id=client.client_id,
            kind=client.kind,
            name=client.name,
            redirect_uris=list(client.redirect_uris),
            has_secret=client.auth_method is not AuthMethod.NONE,
            scopes=list(client.scope),
            created_at=client.created_at,
            last_used_at=client.last_used_at,
        )


class ClientList(Answer):
    """Clients that people made, by name."""

    items: list[ClientAnswer]


class NewClientAnswer(ClientAnswer):
    """A new client."""

    client_secret: str = Field(
        description="Shown this once; stored hashed. Empty: it has none."
    )


class RotationBody(Input):
    """How a secret is exchanged."""

    at_once: bool = Field(
        default=False,
        description="Refuse the one before from now on; else it goes on for a day.",
    )


class SecretAnswer(Answer):
    """A fresh secret."""

    client_id: str
    client_secret: str = Field(description="Shown this once; stored hashed.")


class KeyNameAnswer(Answer):
    """The key that signs from now on."""

    kid: str


@routes.get("/api/oauth/grants", summary="List what clients were allowed")
async def grants(request: web.Request, *, query: WhoseQuery) -> GrantList:
    """What one allowed clients and did not take back."""
    found = await request.app[OAUTH].grants.list(
        principal_of(request), everybody=query.all
    )
    return GrantList(items=[GrantAnswer.of(item) for item in found])


@routes.delete(
    "/api/oauth/grants/{grant_id:[0-9]{1,18}}",
    summary="Take back what a client was allowed",
    status=HTTPStatus.NO_CONTENT,
    errors=(HTTPStatus.NOT_FOUND,),
)
async def revoke_grant(request: web.Request) -> None:
    """Its tokens are refused within two seconds."""
    await request.app[OAUTH].grants.revoke(
        principal_of(request), int(request.match_info["grant_id"])
    )


@routes.get(
    "/api/oauth/clients",
    summary="List clients that one made",
    errors=(HTTPStatus.FORBIDDEN,),
)
async def clients(request: web.Request, *, query: WhoseQuery) -> ClientList:
    """Clients for programs that run without people, and for apps that people sign in with."""
    found = await request.app[OAUTH].machines.list(
        principal_of(request), everybody=query.all
    )
    return ClientList(items=[ClientAnswer.of(item) for item in found])


@routes.post(
    "/api/oauth/clients",
    summary="Make a client",
    status=HTTPStatus.CREATED,
    errors=(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def create_client(
    request: web.Request, *, body: NewClientBody
) -> NewClientAnswer:
    """Show its secret this once.

    Without `redirect_uris` it gets tokens by `client_credentials` and acts as whoever made it; with them it sends people here
    to allow it, as clients do that register themselves; that takes an administrator.
    """
    wanted = NewClient(
        body.name,
        scope=tuple(dict.fromkeys(body.scopes)),
        redirect_uris=tuple(body.redirect_uris),
        is_public=body.public,
    )
    client, secret = await request.app[OAUTH].machines.create(
        principal_of(request), wanted
    )
    return NewClientAnswer(**ClientAnswer.of(client).model_dump(), client_secret=secret)


@routes.post(
    "/api/oauth/clients/{client_id}/rotate",
    summary="Exchange a client's secret",
    errors=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
async def rotate_secret(request: web.Request, *, body: RotationBody) -> SecretAnswer:
    """Show a new secret this once; the one before goes on for a day, so that nothing stops meanwhile."""
    client_id = request.match_info["client_id"]
    secret = await request.app[OAUTH].machines.rotate(
        principal_of(request), client_id, at_once=body.at_once
    )
    return SecretAnswer(client_id=client_id, client_secret=secret)


@routes.delete(
    "/api/oauth/clients/{client_id}",
    summary="Delete a client",
    status=HTTPStatus.NO_CONTENT,
    errors=(HTTPStatus.NOT_FOUND,),
)
async def delete_client(request: web.Request) -> None:
    """Its tokens are refused within two seconds."""
    await request.app[OAUTH].machines.delete(
        principal_of(request), request.match_info["client_id"]
    )


@routes.post(
    "/api/oauth/keys/rotate",
    summary="Exchange the key that signs access tokens",
    access=Access.ADMIN,
    errors=(HTTPStatus.FORBIDDEN,),
)
async def rotate_key(request: web.Request) -> KeyNameAnswer:
    """A new key signs from now on; tokens of the one before stay good until they end."""
    return KeyNameAnswer(
        kid=await request.app[OAUTH].keys.rotate(principal_of(request))
    )
