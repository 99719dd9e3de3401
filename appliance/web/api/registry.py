"""/api/registry: where images are pushed, how the credentials are, what was pushed; look, rotate, prune."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Self

from aiohttp import web
from pydantic import Field

from appliance.registry.health import CredentialHealth, sentence
from appliance.registry.publications import Publication, RegistryEvent
from appliance.registry.upkeep import Overview
from appliance.web.api.answer import Answer
from appliance.web.api.jobs import JobAnswer
from appliance.web.keys import JOBS, REGISTRY, SERVERS
from appliance.web.parsing import Input
from appliance.web.requests import Access, principal_of, row_id
from appliance.web.routes import Routes

routes = Routes("registry")
CONFLICT = (HTTPStatus.CONFLICT,)


class HealthAnswer(Answer):
    """How the credentials are."""

    status: str = Field(
        description="healthy, expiring, expired, missing or anonymous (none are configured)."
    )
    text: str = Field(description="The same for a person, with what to do.")
    issued_at: datetime | None = Field(description="When their file was written.")
    expires_at: datetime | None
    seconds_until_expiry: int | None = Field(description="Negative after their end.")
    rotation_recommended: bool
    rotation_configured: bool

    @classmethod
    def of(cls, health: CredentialHealth) -> Self:
        """Return ``health`` as it is answered."""
        return cls(
            status=health.status.value,
            text=sentence(health),
            issued_at=health.issued_at,
            expires_at=health.expires_at,
            seconds_until_expiry=health.seconds_until_expiry,
            rotation_recommended=health.rotation_recommended,
            rotation_configured=health.rotation_configured,
        )


class RegistryEventAnswer(Answer):
    """One thing that happened to credentials or old manifests."""

    id: int
    at: datetime
    event: str = Field(
        description="As in the push telemetry, such as `auth_rotation_succeeded`."
    )
    server_id: int | None = Field(
        description="Whose push it was; null: the clock's, or a person's."
    )
    details: dict[str, Any]

    @classmethod
    def of(cls, event: RegistryEvent) -> Self:
        """Return ``event`` as it is answered."""
        return cls.model_validate(event, from_attributes=True)


class PublicationAnswer(Answer):
    """One manifest list that was published."""

    server_id: int
    deployment_id: int
    repository: str
    tag: str
    digest: str
    platforms: dict[str, str] = Field(description="Platform to its manifest's digest.")
    published_at: datetime
    pruned_at: datetime | None = Field(description="When it was removed again.")

    @classmethod
    def of(cls, publication: Publication) -> Self:
        """Return ``publication`` as it is answered."""
        return cls(
            server_id=publication.server_id,
            deployment_id=publication.deployment_id,
            repository=publication.repository,
            tag=publication.tag,
            digest=publication.digest,
            platforms=dict(publication.platforms),
            published_at=publication.published_at,
            pruned_at=publication.pruned_at,
        )


class RegistryAnswer(Answer):
    """The registry at a glance."""

    configured: bool = Field(description="Whether images are pushed at all.")
    registry: str = Field(description="`REGISTRY`: host and namespace.")
    platforms: list[str] = Field(
        description="Those of `REGISTRY_ARCH_TARGETS`; empty: what runs here."
    )
    push_retries: int
    max_age_s: float = Field(
        description="Age in seconds at which credentials count as expired."
    )
    health: HealthAnswer | None = Field(description="Null without a registry.")
    last_check: RegistryEventAnswer | None
    rotations: list[RegistryEventAnswer] = Field(
        description="The last ones, newest first."
    )
    prunings: list[RegistryEventAnswer]
    publications: list[PublicationAnswer]

    @classmethod
    def of(cls, found: Overview) -> Self:
        """Return ``found`` as it is answered."""
        check = found.last_check
        return cls(
            configured=found.is_configured,
            registry=found.registry,
            platforms=list(found.platforms),
            push_retries=found.push_retries,
            max_age_s=found.max_age_s,
            health=HealthAnswer.of(found.health) if found.health else None,
            last_check=RegistryEventAnswer.of(check) if check else None,
            rotations=[RegistryEventAnswer.of(item) for item in found.rotations],
            prunings=[RegistryEventAnswer.of(item) for item in found.prunings],
            publications=[PublicationAnswer.of(item) for item in found.publications],
        )


class PruneBody(Input):
    """What to prune."""

    server: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Name or id of the server whose repository is pruned; absent: all.",
    )


class PruneAnswer(Answer):
    """The jobs that prune, one a repository."""

    jobs: list[int]


@routes.get("/api/registry", summary="Show the registry", access=Access.ADMIN)
async def show(request: web.Request) -> RegistryAnswer:
    """Where images are pushed, how the credentials are, and what happened last; for administrators."""
    return RegistryAnswer.of(await request.app[REGISTRY].overview())


@routes.post(
    "/api/registry/check",
    summary="Look at the registry's credentials",
    access=Access.ADMIN,
    status=HTTPStatus.ACCEPTED,
    errors=CONFLICT,
)
async def check(request: web.Request) -> JobAnswer:
    """Have the registry asked whether it takes the credentials, and replace them if that is due; for administrators."""
    job_id = await request.app[REGISTRY].check(principal_of(request))
    return JobAnswer.of(await request.app[JOBS].get(job_id))


@routes.post(
    "/api/registry/rotate",
    summary="Replace the registry's credentials",
    access=Access.ADMIN,
    status=HTTPStatus.ACCEPTED,
    errors=CONFLICT,
)
async def rotate(request: web.Request) -> JobAnswer:
    """Run REGISTRY_AUTH_REFRESH_COMMAND now; for administrators."""
    job_id = await request.app[REGISTRY].rotate(principal_of(request))
    return JobAnswer.of(await request.app[JOBS].get(job_id))


@routes.post(
    "/api/registry/prune",
    summary="Remove manifests that nothing refers to",
    access=Access.ADMIN,
    status=HTTPStatus.ACCEPTED,
    errors=(HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND),
)
async def prune(request: web.Request, *, body: PruneBody) -> PruneAnswer:
    """Prune one server's repository, or all; what anything refers to stays. For administrators."""
    principal = principal_of(request)
    server_id = None
    if body.server is not None:
        number = row_id(body.server)
        key = body.server if number is None else number
        server_id = (await request.app[SERVERS].get(principal, key)).server.id
    jobs = await request.app[REGISTRY].prune(principal, server_id=server_id)
    return PruneAnswer(jobs=jobs)
