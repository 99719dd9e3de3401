"""/api/servers/{server}/dockerfile: shown, taken over, and given back."""

from http import HTTPStatus
from typing import Self

from aiohttp import web
from pydantic import Field

from appliance.builds.taken_over import MAX_BYTES
from appliance.servers.dockerfiles import DockerfileView, Origin, ServerDockerfiles
from appliance.web.api.answer import Answer
from appliance.web.api.server_answers import ServerAnswer
from appliance.web.keys import SERVERS
from appliance.web.parsing import Input
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("dockerfiles")
CONFLICT = (HTTPStatus.CONFLICT,)


class WarningAnswer(Answer):
    """One thing to know of a Dockerfile."""

    code: str = Field(description="Stable; texts may change.")
    text: str
    line: int = Field(description="0: of no line of its own.")


class DockerfileAnswer(Answer):
    """What the next build is made by."""

    origin: Origin = Field(
        description="`own`: written for this server; `none`: not known before the first build, or not built here."
    )
    dockerfile: str = Field(
        description="`mcp-host/base` stands for the base image of this version."
    )
    warnings: list[WarningAnswer]

    @classmethod
    def of(cls, view: DockerfileView) -> Self:
        """Return ``view`` as it is answered."""
        listed = [
            WarningAnswer.model_validate(item, from_attributes=True)
            for item in view.warnings
        ]
        return cls(origin=view.origin, dockerfile=view.text, warnings=listed)


class DockerfileBody(Input):
    """A Dockerfile for this server."""

    dockerfile: str = Field(
        description=(
            "Used in the same context as the generated one or the repository's own; "
            "`FROM mcp-host/base` begins with the base image."
        ),
        json_schema_extra={"maxLength": MAX_BYTES},
    )


@routes.get("/api/servers/{server}/dockerfile", summary="Show a server's Dockerfile")
async def show(request: web.Request) -> DockerfileAnswer:
    """What the next build is made by, as far as it is known, and what there is to know of it."""
    found = ServerDockerfiles(request.app[SERVERS])
    view = await found.get(principal_of(request), server_of(request))
    return DockerfileAnswer.of(view)


@routes.put(
    "/api/servers/{server}/dockerfile",
    summary="Take a server's Dockerfile over",
    status=HTTPStatus.ACCEPTED,
    errors=CONFLICT,
)
async def take_over(request: web.Request, *, body: DockerfileBody) -> ServerAnswer:
    """Build the server by this text from now on, and redeploy it."""
    found = ServerDockerfiles(request.app[SERVERS])
    view = await found.take_over(
        principal_of(request), server_of(request), body.dockerfile
    )
    return ServerAnswer.of(view)


@routes.delete(
    "/api/servers/{server}/dockerfile",
    summary="Give a server's Dockerfile back",
    status=HTTPStatus.ACCEPTED,
    errors=CONFLICT,
)
async def give_back(request: web.Request) -> ServerAnswer:
    """Build the server by the generated Dockerfile, or the repository's own, again, and redeploy it if that is a change."""
    found = ServerDockerfiles(request.app[SERVERS])
    view = await found.give_back(principal_of(request), server_of(request))
    return ServerAnswer.of(view)
