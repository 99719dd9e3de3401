"""/api/servers/{server}/lock and /settings: what a package took, and what a server still needs."""

from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, Self

from aiohttp import web
from pydantic import Field

from appliance.builds.model import Lock
from appliance.web.api.answer import Answer
from appliance.web.api.server_answers import ServerAnswer
from appliance.web.api.server_bodies import VARIABLE_PATTERN
from appliance.web.keys import SERVERS
from appliance.web.parsing import Input
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("servers")


class LockAnswer(Answer):
    """All that a build of a package took, by version and hash."""

    filename: str = Field(description="`requirements.txt` or `package-lock.json`.")
    package: str = Field(description="Without its version.")
    version: str
    as_of: date | None = Field(
        description="The day as of which it was resolved; null: as of its making."
    )
    newest: datetime = Field(description="Nothing in it was published later.")
    digest: str = Field(description="`sha256:` of the text.")
    content: str = Field(
        description="The text, as `uv pip install -r` and `npm ci` read it."
    )

    @classmethod
    def of(cls, lock: Lock) -> Self:
        """Return ``lock`` as it is answered."""
        return cls(
            filename=lock.filename,
            package=lock.package,
            version=lock.version,
            as_of=lock.as_of,
            newest=lock.newest,
            digest=lock.digest,
            content=lock.text,
        )


class SettingsBody(Input):
    """Settings to add."""

    settings: Annotated[dict[str, str], Field(min_length=1)] = Field(
        description="Environment variables by name; others that the server has stay.",
        json_schema_extra={"propertyNames": {"pattern": VARIABLE_PATTERN}},
    )


@routes.get("/api/servers/{server}/lock", summary="Show what a package took")
async def lock(request: web.Request) -> LockAnswer:
    """The lock of the live deployment, or of the newest one if none is live; 404 `no_lock` for what is no package."""
    found = await request.app[SERVERS].lock(principal_of(request), server_of(request))
    return LockAnswer.of(found)


@routes.post(
    "/api/servers/{server}/settings",
    summary="Give a server settings",
    status=HTTPStatus.ACCEPTED,
    errors=(HTTPStatus.CONFLICT,),
)
async def provide(request: web.Request, *, body: SettingsBody) -> ServerAnswer:
    """Add environment variables, such as those of `missing_settings`, and redeploy the server."""
    view = await request.app[SERVERS].provide(
        principal_of(request), server_of(request), body.settings
    )
    return ServerAnswer.of(view)
