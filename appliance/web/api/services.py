"""/api/servers/:id/services: what else a server uses, and whether it answers."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Self

from aiohttp import web
from pydantic import Field, SecretStr

from appliance.integrations.model import Outcome, Service, ServiceKind, Wanted
from appliance.integrations.wishes import from_url
from appliance.web.api.answer import Answer
from appliance.web.keys import INTEGRATIONS
from appliance.web.parsing import Input
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("services")
_SETTINGS = frozenset(
    {
        *("host", "port", "tls", "username", "database", "ssl_mode"),
        *("endpoint", "bucket", "region", "path_style"),
    }
)
_SECRETS = frozenset({"password", "access_key_id", "secret_access_key"})


class ServiceBody(Input):
    """A service as it should be. Which fields count is its kind's: see docs/services.md."""

    kind: ServiceKind
    name: str = Field("", description="What people call it; empty: its kind.")
    prefix: str = Field(
        "",
        description="Stands before the name of every variable, such as `CACHE_`, so that two of a kind can be used.",
    )
    url: SecretStr | None = Field(
        None,
        description="`redis://…`, `rediss://…` or `postgresql://…`: says host, port, user, password and database at once.",
    )
    host: str | None = Field(None, max_length=253)
    port: int | None = None
    tls: bool | None = Field(None, description="redis, custom: whether it speaks TLS.")
    username: str | None = Field(None, max_length=200)
    database: str | int | None = Field(
        None, description="postgres: its name; redis: its number."
    )
    ssl_mode: str | None = Field(
        None, description="postgres: disable, prefer, require or verify-full."
    )
    endpoint: str | None = Field(
        None,
        max_length=300,
        description="s3: its address; absent: Amazon's own of the region.",
    )
    bucket: str | None = Field(None, max_length=63)
    region: str | None = Field(None, max_length=41)
    path_style: bool | None = Field(
        None,
        description="s3: whether the bucket stands in the path; otherwise before the host.",
    )
    password: SecretStr | None = Field(
        None, description="redis, postgres: never shown again; absent: as it is."
    )
    access_key_id: SecretStr | None = Field(None, description="s3; absent: as it is.")
    secret_access_key: SecretStr | None = Field(
        None, description="s3; absent: as it is."
    )
    variables: dict[str, SecretStr | None] | None = Field(
        None,
        description="custom: names and values, every value a secret; null: as it is.",
    )

    def wanted(self) -> Wanted:
        """Return what is asked for; the service checks it."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        settings: dict[str, Any] = {
            name: value
            for name, value in given.items()
            if name in _SETTINGS and value is not None
        }
        secrets = {
            name: value.get_secret_value()
            for name, value in given.items()
            if name in _SECRETS and value is not None
        }
        if self.variables is not None:
            settings["variables"] = sorted(self.variables)
            secrets |= {
                name: value.get_secret_value()
                for name, value in self.variables.items()
                if value is not None
            }
        name = self.name.strip() or self.kind.value
        wanted = Wanted(self.kind, name, self.prefix.strip(), settings, secrets)
        return from_url(wanted, self.url.get_secret_value()) if self.url else wanted


class OutcomeAnswer(Answer):
    """What came of a test."""

    ok: bool
    detail: str = Field(description="Who answered, or why nobody did and what to do.")
    duration_ms: float
    at: datetime

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """Return the answer for an outcome."""
        return cls(
            ok=outcome.is_ok,
            detail=outcome.detail,
            duration_ms=round(outcome.duration_ms, 1),
            at=outcome.at,
        )


class ServiceAnswer(Answer):
    """A service, without its secrets."""

    id: int
    kind: ServiceKind
    name: str
    prefix: str
    settings: dict[str, Any]
    variables: dict[str, str] = Field(
        description="What the server finds in its environment and is no secret."
    )
    secret_variables: list[str] = Field(
        description="Names of those that are; they are kept as secrets of the server."
    )
    created_by: str
    created_at: datetime
    updated_by: str
    updated_at: datetime
    last_test: OutcomeAnswer | None

    @classmethod
    def of(cls, service: Service) -> Self:
        """Return the answer for a service."""
        return cls(
            id=service.id,
            kind=service.kind,
            name=service.name,
            prefix=service.prefix,
            settings=dict(service.settings),
            variables=dict(service.plain),
            secret_variables=list(service.secret_names),
            created_by=service.created_by,
            created_at=service.created_at,
            updated_by=service.updated_by,
            updated_at=service.updated_at,
            last_test=OutcomeAnswer.of(service.tested) if service.tested else None,
        )


class ServicesAnswer(Answer):
    """A server's services."""

    items: list[ServiceAnswer]


def service_of(request: web.Request) -> int:
    """Return the number that the path names."""
    return int(request.match_info["service_id"])


@routes.get("/api/servers/{server}/services", summary="List services")
async def list_services(request: web.Request) -> ServicesAnswer:
    """The services that a server uses, by name; never with their secrets."""
    found = await request.app[INTEGRATIONS].list(
        principal_of(request), server_of(request)
    )
    return ServicesAnswer(items=[ServiceAnswer.of(item) for item in found])


@routes.post(
    "/api/servers/{server}/services",
    summary="Add a service",
    status=HTTPStatus.CREATED,
    errors=(HTTPStatus.CONFLICT,),
)
async def add(request: web.Request, *, body: ServiceBody) -> ServiceAnswer:
    """Give a server a service: it starts anew with its variables, and may go where the service is."""
    added = await request.app[INTEGRATIONS].add(
        principal_of(request), server_of(request), body.wanted()
    )
    return ServiceAnswer.of(added)


@routes.get(
    "/api/servers/{server}/services/{service_id:[0-9]{1,18}}", summary="Show a service"
)
async def show(request: web.Request) -> ServiceAnswer:
    """One service, without its secrets."""
    found = await request.app[INTEGRATIONS].get(
        principal_of(request), server_of(request), service_of(request)
    )
    return ServiceAnswer.of(found)


@routes.put(
    "/api/servers/{server}/services/{service_id:[0-9]{1,18}}",
    summary="Change a service",
    errors=(HTTPStatus.CONFLICT,),
)
async def change(request: web.Request, *, body: ServiceBody) -> ServiceAnswer:
    """Replace what a service is; secrets that are left out stay. The server starts anew."""
    changed = await request.app[INTEGRATIONS].change(
        principal_of(request), server_of(request), service_of(request), body.wanted()
    )
    return ServiceAnswer.of(changed)


@routes.delete(
    "/api/servers/{server}/services/{service_id:[0-9]{1,18}}",
    summary="Remove a service",
    errors=(HTTPStatus.CONFLICT,),
)
async def remove(request: web.Request) -> None:
    """Take a service, its variables and the way to it from a server, which starts anew."""
    await request.app[INTEGRATIONS].remove(
        principal_of(request), server_of(request), service_of(request)
    )


@routes.post(
    "/api/servers/{server}/services/{service_id:[0-9]{1,18}}/test",
    summary="Test a service",
    errors=(HTTPStatus.UNPROCESSABLE_ENTITY,),
)
async def test(request: web.Request) -> OutcomeAnswer:
    """Connect to it from the hub as its clients do: `ok` and who answered, or why nobody did.

    The box itself, hosted servers and a cloud's metadata are not connected to (403); an administrator may have the box tested.
    """
    outcome = await request.app[INTEGRATIONS].test(
        principal_of(request), server_of(request), service_of(request)
    )
    return OutcomeAnswer.of(outcome)
