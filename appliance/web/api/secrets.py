"""/api/servers/{server}/secrets: values that go in and never come out; and /api/secrets/master-key."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Self

from aiohttp import web
from pydantic import Field, SecretStr

from appliance.secrets.model import (
    MAX_VALUE_BYTES,
    Delivery,
    Keeper,
    MasterKeyState,
    Secret,
    SecretVersion,
)
from appliance.web.api.answer import Answer
from appliance.web.keys import SECRETS
from appliance.web.parsing import Input, json_answer
from appliance.web.requests import Access, principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("secrets")

NAME_PATTERN = "^[A-Za-z_][A-Za-z0-9_]{0,127}$"
_VALUE = f"Text, at most {MAX_VALUE_BYTES:,} bytes; every byte of it reaches the server. Never shown again."
_DELIVERY = (
    "`env`: in the environment, as NAME and CFG_NAME, and as `/run/secrets/NAME`; `file`: as that file alone. "
    "Absent: as before, `env` at first."
)
_REFUSALS = (HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE)


class ServerSecretAnswer(Answer):
    """A secret, without its value."""

    name: str
    version: int = Field(description="1, 2, 3 …; of the newest value.")
    delivery: Delivery
    path: str = Field(description="Where the server finds it as a file.")
    keeper: Keeper = Field(
        description="`local`: sealed in the database; `vault`: in Vault."
    )
    managed_by: str = Field(
        description="What looks after it, such as `service:12`; empty: people."
    )
    created_by: str
    created_at: datetime
    updated_by: str
    updated_at: datetime

    @classmethod
    def of(cls, secret: Secret) -> Self:
        """Return ``secret`` as it is answered."""
        return cls(
            name=secret.name,
            version=secret.version,
            delivery=secret.delivery,
            path=f"/run/secrets/{secret.name}",
            keeper=secret.keeper,
            managed_by=secret.managed_by,
            created_by=secret.created_by,
            created_at=secret.created_at,
            updated_by=secret.updated_by,
            updated_at=secret.updated_at,
        )


class SecretsAnswer(Answer):
    """A server's secrets."""

    items: Sequence[ServerSecretAnswer]
    vault: str = Field(
        description="Address of Vault, where new values are kept; empty: in the database, sealed."
    )
    problem: str = Field(
        description="Why values cannot be had just now, so that servers cannot start; empty: they can."
    )
    in_clear: Sequence[str] = Field(
        description="Environment variables that are secret by their names; POST …/secrets/move makes secrets of them."
    )


class SecretVersionAnswer(Answer):
    """One value that a secret had, without the value."""

    version: int
    keeper: Keeper
    set_by: str
    set_at: datetime
    ended_at: datetime | None = Field(
        description="When another took its place, or the secret was removed."
    )

    @classmethod
    def of(cls, item: SecretVersion) -> Self:
        """Return ``item`` as it is answered."""
        return cls.model_validate(item, from_attributes=True)


class SecretHistoryAnswer(Answer):
    """What a secret was."""

    name: str
    versions: Sequence[SecretVersionAnswer] = Field(description="The newest first.")


class SecretBody(Input):
    """A new value, or another way of delivery."""

    value: SecretStr | None = Field(None, description=f"{_VALUE} Absent: it stays.")
    delivery: Delivery | None = Field(None, description=_DELIVERY)


class NewSecretBody(Input):
    """A secret that is not there yet."""

    name: str = Field(
        description="That of an environment variable.",
        json_schema_extra={"pattern": NAME_PATTERN},
    )
    value: SecretStr = Field(description=_VALUE)
    delivery: Delivery | None = Field(None, description=_DELIVERY)


class VariablesBody(Input):
    """Environment variables that become secrets."""

    names: Annotated[list[str], Field(min_length=1, max_length=100)]


class MasterKeyAnswer(Answer):
    """How the sealing of values stands."""

    current: str = Field(
        description="Id of the key that new values are sealed under; never the key."
    )
    in_use: dict[str, int] = Field(description="How many values are under which key.")
    waiting: int = Field(description="Values that are still under an older key.")
    missing: Sequence[str] = Field(
        description="Keys in use that the key file does not have."
    )

    @classmethod
    def of(cls, state: MasterKeyState) -> Self:
        """Return ``state`` as it is answered."""
        return cls(
            current=state.current,
            in_use=state.in_use,
            waiting=state.waiting,
            missing=state.missing,
        )


@routes.get("/api/servers/{server}/secrets", summary="List a server's secrets")
async def show(request: web.Request) -> SecretsAnswer:
    """Names, versions, who set them when, and how they are delivered. Never values."""
    return await _listed(request)


async def _listed(request: web.Request) -> SecretsAnswer:
    view = await request.app[SECRETS].view(principal_of(request), server_of(request))
    return SecretsAnswer(
        items=[ServerSecretAnswer.of(item) for item in view.secrets],
        vault=view.vault,
        problem=view.problem,
        in_clear=view.in_clear,
    )


@routes.get("/api/servers/{server}/secrets/{name}", summary="Show a secret's history")
async def history(request: web.Request) -> SecretHistoryAnswer:
    """Every version with who set it when. Never values."""
    name = request.match_info["name"]
    found = await request.app[SECRETS].history(
        principal_of(request), server_of(request), name
    )
    return SecretHistoryAnswer(
        name=name, versions=[SecretVersionAnswer.of(item) for item in found]
    )


@routes.post(
    "/api/servers/{server}/secrets",
    summary="Add a secret",
    status=HTTPStatus.CREATED,
    answer=ServerSecretAnswer,
    errors=_REFUSALS,
)
async def add(request: web.Request, *, body: NewSecretBody) -> web.Response:
    """Keep a value, and start the server anew with it, from the same image; a name that is there already is refused."""
    secret = await request.app[SECRETS].put(
        principal_of(request),
        server_of(request),
        body.name,
        value=body.value,
        delivery=body.delivery,
        is_new=True,
    )
    return json_answer(ServerSecretAnswer.of(secret), status=HTTPStatus.CREATED)


@routes.put(
    "/api/servers/{server}/secrets/{name}", summary="Set a secret", errors=_REFUSALS
)
async def put(request: web.Request, *, body: SecretBody) -> ServerSecretAnswer:
    """Set a value, new or in place of another, and start the server anew with it, from the same image."""
    secret = await request.app[SECRETS].put(
        principal_of(request),
        server_of(request),
        request.match_info["name"],
        value=body.value,
        delivery=body.delivery,
    )
    return ServerSecretAnswer.of(secret)


@routes.delete(
    "/api/servers/{server}/secrets/{name}",
    summary="Remove a secret",
    errors=(HTTPStatus.CONFLICT,),
)
async def remove(request: web.Request) -> None:
    """Take a secret away, and start the server anew without it."""
    await request.app[SECRETS].remove(
        principal_of(request), server_of(request), request.match_info["name"]
    )


@routes.post(
    "/api/servers/{server}/secrets/move",
    summary="Make secrets of variables",
    errors=_REFUSALS,
)
async def move(request: web.Request, *, body: VariablesBody) -> SecretsAnswer:
    """Take environment variables out of the configuration, and keep their values as secrets."""
    principal, server = principal_of(request), server_of(request)
    await request.app[SECRETS].move(principal, server, body.names)
    return await _listed(request)


@routes.get(
    "/api/secrets/master-key", summary="Show the master key", access=Access.ADMIN
)
async def master_key(request: web.Request) -> MasterKeyAnswer:
    """Which key values are sealed under, and whether a rotation is under way. Never a key."""
    state = await request.app[SECRETS].master_key(principal_of(request))
    return MasterKeyAnswer.of(state)


@routes.post(
    "/api/secrets/master-key",
    summary="Rotate the master key",
    access=Access.ADMIN,
    status=HTTPStatus.ACCEPTED,
    answer=MasterKeyAnswer,
    errors=(HTTPStatus.SERVICE_UNAVAILABLE,),
)
async def rotate(request: web.Request) -> web.Response:
    """Make a new master key; a job brings every value under it, and then forgets the old one. Nothing pauses meanwhile."""
    state = await request.app[SECRETS].rotate_master_key(principal_of(request))
    return json_answer(MasterKeyAnswer.of(state), status=HTTPStatus.ACCEPTED)
