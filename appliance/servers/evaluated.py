"""What evaluations want to know of servers: whose they are, and by what their versions are known.

Runs inside ``database.run``.
"""

from appliance.accounts.access import sight
from appliance.accounts.model import Action, Principal
from appliance.artifacts import store as artifacts
from appliance.evaluations.ports import Subject
from appliance.policy import store as policy
from appliance.servers import store
from appliance.servers.access import visible_server, writable_server
from appliance.servers.model import Deployment, DeploymentState, Server
from appliance.servers.versions import known_as, newest_version

#: That a scoreboard shows.
MOST_SERVERS = 1000
#: What may be asked; what is on its way is what is waited for.
ASKABLE = (DeploymentState.PENDING, DeploymentState.LIVE)


def subject(principal: Principal, server: int | str, action: Action) -> Subject:
    """Return a server with which the principal may do something, and its newest version.

    Raises:
        ServerNotFoundError: They may not know of it, or there is none.
        NotAllowedError: They may see it, not do this.
        ServerDeletedError: It is being deleted.
    """
    if action is Action.SEE:
        return subject_of(visible_server(principal, server))
    return subject_of(writable_server(principal, server, action))


def subject_of(server: Server) -> Subject:
    """Return a server and its newest version that came to something."""
    known = newest_version(server)
    return Subject(
        server_id=server.id,
        server_name=server.name,
        owner_id=server.owner_id,
        org_id=server.org_id,
        server_type=server.server_type,
        digest=known.digest,
        tier=known.tier,
        artifact_run_id=known.artifact_run_id,
    )


def deployments_of(digest: str) -> list[Deployment]:
    """Return, of every server that a digest is known of, what of it is on its way, else live."""
    server_ids = {
        *(item.run.server_id for item in artifacts.with_digest(digest)),
        *(server_id for server_id, _ in policy.held(digest=digest)),
        *policy.running(digest=digest, server_id=None),
    }
    found = [_with_digest(server_id, digest) for server_id in sorted(server_ids)]
    return [item for item in found if item is not None]


def _with_digest(server_id: int, digest: str) -> Deployment | None:
    server = store.find_by_id(server_id)
    if server is None:
        return None
    found = (store.deployment_in(server_id, state) for state in ASKABLE)
    built = (item for item in found if item is not None and item.image is not None)
    return next(
        (item for item in built if known_as(server, item).digest == digest), None
    )


def seen(principal: Principal) -> dict[int, str]:
    """Return the names of the servers that somebody may know of, by number; of many the first."""
    found = store.page(
        sight=sight(principal), query="", status=None, after="", limit=MOST_SERVERS
    )
    return {item.id: item.name for item in found}
