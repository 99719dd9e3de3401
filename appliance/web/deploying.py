"""From an artifact of the ledger to a new server."""

from dataclasses import replace

from aiohttp import web

from appliance.accounts.model import Principal
from appliance.artifacts.errors import NothingBuiltError
from appliance.artifacts.model import Artifact, RunStatus
from appliance.artifacts.records import pinned_source
from appliance.servers.errors import ServerNameTakenError, ServerNotFoundError
from appliance.servers.model import NewServer, ServerConfig
from appliance.servers.service import ServerView
from appliance.web.keys import SERVERS

#: How many names are tried where nobody gave one.
TRIES = 20
MAX_NAME = 63
_ENDS = {RunStatus.FAILED: "failed", RunStatus.CANCELLED: "was cancelled"}


async def deploy(
    request: web.Request, principal: Principal, artifact: Artifact, name: str = ""
) -> tuple[ServerView, str]:
    """Host a new server from the artifact's source, at the version that was built, and return it with its key.

    It is run as the server that the artifact was built for is now, if that is still there to be seen.

    Args:
        name: Empty: the old name with the next free number.

    Raises:
        NothingBuiltError: The build did not succeed.
        ServerNameTakenError: Another server has the name.
    """
    if artifact.run.status is not RunStatus.SUCCEEDED:
        raise NothingBuiltError(
            f"Build {artifact.id} {_ENDS[artifact.run.status]}, so there is nothing to host.",
            hint="Choose one that succeeded, or redeploy its server.",
        )
    new = NewServer(
        source=pinned_source(artifact.run),
        name=name or None,
        server_type=artifact.run.server_type,
        config=await _config(request, principal, artifact.run.server_id),
    )
    if name:
        return await request.app[SERVERS].create(principal, new)
    for tried in names(artifact.run.server_name):
        try:
            return await request.app[SERVERS].create(
                principal, replace(new, name=tried)
            )
        except ServerNameTakenError:
            continue
    raise ServerNameTakenError(
        f"{artifact.run.server_name} and the {TRIES - 1} names after it are taken.",
        hint="Give a name.",
    )


def names(name: str) -> list[str]:
    """Return ``name``, ``name-2``, ``name-3``, …, none longer than a name may be. Pure."""
    numbered = [
        f"{name[: MAX_NAME - 3].rstrip('-')}-{number}" for number in range(2, TRIES + 1)
    ]
    return [name, *numbered]


async def _config(
    request: web.Request, principal: Principal, server_id: int
) -> ServerConfig:
    try:
        view = await request.app[SERVERS].get(principal, server_id)
    except ServerNotFoundError:
        return ServerConfig()
    return view.server.config
