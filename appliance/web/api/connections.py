"""/api/connections and /api/servers/{server}/account: people's accounts at remote servers that want to know who calls."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
from pydantic import Field, RootModel, SecretStr

from appliance.core.errors import InvalidError
from appliance.core.upstreams import Mode
from appliance.upstreams.errors import NoSigninError
from appliance.upstreams.model import AccountView, Connection, ConnectionState, Place
from appliance.web.api.answer import Answer
from appliance.web.keys import UPSTREAMS
from appliance.web.parsing import Input
from appliance.web.requests import Access, own_url, principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("connections")
_ACCOUNT = "/api/servers/{server}/account"
_AWAY = (HTTPStatus.CONFLICT, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)


class ConnectionAnswer(Answer):
    """An account at a remote server, without its tokens."""

    id: int
    server: str = Field(description="The server's name.")
    server_id: int
    shared: bool = Field(description="Whether everybody's calls use it.")
    connected_by: str
    state: ConnectionState = Field(
        description="`ended`: the other side does not take it any more; connect again."
    )
    reason: str = Field(
        description="Why it ended, or could not be renewed last; empty: all is well."
    )
    issuer: str = Field(description="The authorization server that gave it.")
    scopes: list[str]
    wanted_scopes: list[str] = Field(
        description="What the server wanted besides; connecting again asks for it."
    )
    connected_at: datetime
    renewed_at: datetime | None
    expires_at: datetime | None = Field(
        description="When its token is renewed at the latest; null: not known."
    )

    @classmethod
    def of(cls, found: Connection) -> Self:
        """Return ``found`` as it is answered."""
        return cls(
            id=found.id,
            server=found.server_name,
            server_id=found.server_id,
            shared=found.user_id is None,
            connected_by=found.connected_by,
            state=found.state,
            reason=found.reason,
            issuer=found.issuer,
            scopes=list(found.scopes),
            wanted_scopes=list(found.wanted_scopes),
            connected_at=found.connected_at,
            renewed_at=found.renewed_at,
            expires_at=found.expires_at,
        )


class ConnectionList(Answer):
    """One's own connections, by their servers' names."""

    items: Sequence[ConnectionAnswer]


class AccountAnswer(Answer):
    """How one stands at a server that wants to know who calls."""

    mode: Mode = Field(
        description="`each`: calls use the account of whoever makes them; `shared`: one that everybody uses."
    )
    issuer: str = Field(description="Where people sign in, when it was found.")
    client_id: str = Field(
        description="Of the client that somebody registered there; empty: this box becomes one by itself."
    )
    connection: ConnectionAnswer | None = Field(
        description="The account that one's calls use; null: none is connected."
    )
    may_connect: bool

    @classmethod
    def of(cls, view: AccountView) -> Self:
        """Return ``view`` as it is answered."""
        found = view.connection
        return cls(
            mode=view.server.mode,
            issuer=view.server.issuer,
            client_id=view.server.client_id,
            connection=ConnectionAnswer.of(found) if found else None,
            may_connect=view.may_connect,
        )


class BegunAnswer(Answer):
    """A sign-in that waits for its person."""

    authorization_url: str = Field(
        description="Where to go in a browser that is signed in here, within 15 minutes."
    )


class FinishBody(Input):
    """What a browser came back with."""

    callback_url: str = Field(
        max_length=16384, description="The whole address that it was sent to."
    )


class ModeBody(Input):
    """Whose account calls use."""

    mode: Mode


class ClientBody(Input):
    """A client that somebody registered at the authorization server."""

    client_id: str = Field(
        max_length=1000, description="Empty: this box becomes one by itself."
    )
    client_secret: SecretStr | None = Field(
        None, max_length=4096, description="Absent: it has none. Never shown again."
    )


class ClientDocumentAnswer(RootModel[dict[str, Any]]):
    """How this box describes itself to authorization servers (client ID metadata document)."""


def place_of(request: web.Request) -> Place:
    """Return where this hub is for whoever asks."""
    return Place(own_url(request))


@routes.get("/api/connections", summary="List one's accounts at remote servers")
async def connections(request: web.Request) -> ConnectionList:
    """Those that one connected oneself; what everybody uses is told by its server."""
    found = await request.app[UPSTREAMS].mine(principal_of(request))
    return ConnectionList(items=[ConnectionAnswer.of(item) for item in found])


@routes.delete(
    "/api/connections/{connection_id:[0-9]{1,18}}",
    summary="Disconnect an account",
    status=HTTPStatus.NO_CONTENT,
    errors=(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
async def disconnect(request: web.Request) -> None:
    """Its tokens are forgotten here, and revoked on the other side where that is offered."""
    await request.app[UPSTREAMS].disconnect(
        principal_of(request), int(request.match_info["connection_id"])
    )


@routes.post(
    "/api/connections/finish",
    summary="Finish a sign-in without a browser",
    errors=(HTTPStatus.UNPROCESSABLE_ENTITY, *_AWAY),
)
async def finish(request: web.Request, *, body: FinishBody) -> ConnectionAnswer:
    """For those who began it with a key: a browser that is signed in here does this by itself."""
    query = urlsplit(body.callback_url).query
    answer = answer_in(parse_qsl(query, keep_blank_values=True))
    made = await request.app[UPSTREAMS].finish(principal_of(request), answer)
    return ConnectionAnswer.of(made)


@routes.get(
    _ACCOUNT,
    summary="Show which account one's calls of a server use",
    errors=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
async def account(request: web.Request) -> AccountAnswer:
    """409 where the server asks nobody who they are."""
    found = await request.app[UPSTREAMS].view(principal_of(request), server_of(request))
    if found is None:
        raise NoSigninError("The server asks nobody who they are.")
    return AccountAnswer.of(found)


@routes.post(
    f"{_ACCOUNT}/connect",
    summary="Begin to connect an account",
    errors=(
        HTTPStatus.NOT_FOUND,
        HTTPStatus.FORBIDDEN,
        *_AWAY,
    ),
)
async def connect(request: web.Request) -> BegunAnswer:
    """One's own, or the one that everybody uses, as the server's mode says."""
    url = await request.app[UPSTREAMS].begin(
        principal_of(request), server_of(request), place_of(request)
    )
    return BegunAnswer(authorization_url=url)


@routes.put(
    f"{_ACCOUNT}/mode",
    summary="Say whose account calls of a server use",
    status=HTTPStatus.NO_CONTENT,
    errors=(
        HTTPStatus.NOT_FOUND,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.CONFLICT,
    ),
)
async def set_mode(request: web.Request, *, body: ModeBody) -> None:
    """For owners. What was connected for the other mode stays, and is not used."""
    await request.app[UPSTREAMS].set_mode(
        principal_of(request), server_of(request), body.mode
    )


@routes.put(
    f"{_ACCOUNT}/client",
    summary="Say with which client to sign in at a server",
    status=HTTPStatus.NO_CONTENT,
    errors=(
        HTTPStatus.NOT_FOUND,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.CONFLICT,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
async def set_client(request: web.Request, *, body: ClientBody) -> None:
    """For authorization servers where no client registers itself."""
    await request.app[UPSTREAMS].set_client(
        principal_of(request),
        server_of(request),
        body.client_id.strip(),
        body.client_secret,
    )


@routes.get(
    "/client-metadata.json",
    summary="Describe this box to authorization servers",
    access=Access.PUBLIC,
)
async def client_document(request: web.Request) -> ClientDocumentAnswer:
    """The client ID metadata document under whose address this box signs people in elsewhere."""
    return ClientDocumentAnswer(request.app[UPSTREAMS].document(place_of(request)))


def answer_in(fields: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return what an authorization server said.

    Raises:
        InvalidError: Something is there twice.
    """
    found = dict(fields)
    if len(found) != len(fields):
        raise InvalidError.field("callback_url", "a parameter is there twice")
    return found
