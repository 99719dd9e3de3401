"""/api/artifacts: the ledger of what was built, its chain of hashes, and new servers from what is in it."""

from http import HTTPStatus

from aiohttp import web
from pydantic import Field

from appliance.artifacts.errors import ArtifactNotFoundError
from appliance.artifacts.model import Anchor, Artifact
from appliance.web.api.artifact_answers import (
    ArtifactPage,
    ChainAnswer,
    LedgerAnswer,
)
from appliance.web.api.marketplace import PlaceQuery
from appliance.web.api.server_answers import CreatedServer, ServerAnswer
from appliance.web.deploying import deploy
from appliance.web.keys import LEDGER, PROMOTIONS
from appliance.web.paging import one_page
from appliance.web.parsing import Input, json_answer
from appliance.web.requests import move_time_limit, path_id, principal_of
from appliance.web.routes import Routes

routes = Routes("artifacts")
#: Comparing every run with its hash reads the whole ledger.
VERIFY_S = 600


class ArtifactQuery(PlaceQuery):
    """Which runs."""

    server_id: int | None = Field(
        None, ge=1, le=2**63 - 1, description="Only runs of this server."
    )


class ChainQuery(Input):
    """What somebody wrote down."""

    known: str = Field(
        "",
        max_length=100,
        description="`known` of an earlier answer: the chain must still go through there.",
    )


class DeployBody(Input):
    """A server to make of an artifact."""

    name: str = Field(
        "",
        max_length=63,
        description="Lower-case DNS label; empty: the old name with the next free number.",
    )


@routes.get("/api/artifacts", summary="List runs of the ledger")
async def index(request: web.Request, *, query: ArtifactQuery) -> ArtifactPage:
    """Every build that ended, also failed and cancelled ones and those of servers that are gone; newest first."""
    found = await request.app[LEDGER].history(
        principal_of(request),
        server_id=query.server_id,
        before=query.before(),
        limit=query.limit + 1,
    )
    shown, last = one_page(found, query.limit)
    lineage = await request.app[PROMOTIONS].moves.lineage([item.id for item in shown])
    return ArtifactPage(
        items=[LedgerAnswer.of_artifact(item, lineage.get(item.id)) for item in shown],
        next_cursor=str(last.id) if last else None,
    )


@routes.get(
    "/api/artifacts/chain",
    summary="Check the ledger",
    errors=(HTTPStatus.FORBIDDEN,),
)
async def chain(request: web.Request, *, query: ChainQuery) -> ChainAnswer:
    """Compare every run with its hash; for administrators and readers."""
    known = Anchor.parse(query.known) if query.known else None
    move_time_limit(request, VERIFY_S)
    report = await request.app[LEDGER].verify(principal_of(request), known)
    return ChainAnswer.of(report)


@routes.get("/api/artifacts/{artifact}", summary="Show a run of the ledger")
async def show(request: web.Request) -> LedgerAnswer:
    """One build that ended, with its platforms, provenance, health and place in the chain."""
    artifact = await artifact_of(request)
    lineage = await request.app[PROMOTIONS].moves.lineage([artifact.id])
    return LedgerAnswer.of_artifact(artifact, lineage.get(artifact.id))


@routes.post(
    "/api/artifacts/{artifact}/deploy",
    summary="Host a server from a run",
    status=HTTPStatus.CREATED,
    answer=CreatedServer,
    errors=(HTTPStatus.CONFLICT,),
)
async def deploy_artifact(request: web.Request, *, body: DeployBody) -> web.Response:
    """A new server from the run's source at the version that was built; a repository's branch is taken as it is now.

    It is configured as the run's own server is, if that is still there. The answer carries the endpoint key, this once.
    """
    artifact = await artifact_of(request)
    view, key = await deploy(request, principal_of(request), artifact, body.name)
    answer = CreatedServer(server=ServerAnswer.of(view), endpoint_key=key)
    location = {"Location": f"/api/servers/{view.server.id}"}
    return json_answer(answer, status=HTTPStatus.CREATED, headers=location)


async def artifact_of(request: web.Request) -> Artifact:
    """Return the run that the path names.

    Raises:
        ArtifactNotFoundError: There is none, or the caller may not know of it.
    """
    number = path_id(
        request, "artifact", "There is no artifact {}.", ArtifactNotFoundError
    )
    return await request.app[LEDGER].get(principal_of(request), number)
