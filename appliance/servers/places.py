"""Where the files of a server are, and whose its services are, for those who may see or change it.

Runs inside ``database.run``.
"""

from appliance.accounts.model import Principal
from appliance.files.model import Place
from appliance.integrations.model import Target
from appliance.runtimes.isolation import Relaxation
from appliance.servers import store
from appliance.servers.access import visible_server, writable_server
from appliance.servers.model import DeploymentState, Server
from appliance.servers.quotas.standing import require_disk
from appliance.sources.model import RemoteSource


def seen_place(principal: Principal, server: int | str) -> Place:
    """Return the place of a server that the principal may know of.

    Raises:
        ServerNotFoundError: They may not, or there is none.
    """
    return _place(visible_server(principal, server))


def changed_place(principal: Principal, server: int | str) -> Place:
    """Return the place of a server that the principal may change.

    Raises:
        ServerNotFoundError: They may not know of it, or there is none.
        NotAllowedError: They may see it, not change it.
        ServerDeletedError: It is being deleted.
    """
    return _place(writable_server(principal, server))


def filled_place(principal: Principal, server: int | str) -> Place:
    """Return the place of a server that the principal may change, to which something is brought.

    Raises:
        DiskQuotaReachedError: Nothing more of its owner's is kept.
    """
    found = writable_server(principal, server)
    require_disk(found.builds_for)
    return _place(found)


def _place(server: Server) -> Place:
    live = store.deployment_in(server.id, DeploymentState.LIVE)
    known = [live] if live else store.deployments(server.id)
    built = next((item for item in known if item.image), None)
    isolation = (built.config if built else server.config).isolation
    return Place(
        server_id=server.id,
        server_name=server.name,
        image=(built.image or "") if built else "",
        is_remote=isinstance(server.source, RemoteSource),
        may_be_root=Relaxation.ROOT_USER in isolation.relaxations,
        quota_bytes=server.config.isolation.data_bytes,
    )


def seen_target(principal: Principal, server: int | str) -> Target:
    """Return a server whose services the principal may know of.

    Raises:
        ServerNotFoundError: They may not, or there is none.
    """
    return _target(visible_server(principal, server))


def changed_target(principal: Principal, server: int | str) -> Target:
    """Return a server whose services the principal may change.

    Raises:
        ServerNotFoundError: They may not know of it, or there is none.
        NotAllowedError: They may see it, not change it.
        ServerDeletedError: It is being deleted.
    """
    return _target(writable_server(principal, server))


def _target(server: Server) -> Target:
    return Target(
        server_id=server.id,
        server_name=server.name,
        environment=frozenset(server.config.environment),
        is_remote=isinstance(server.source, RemoteSource),
    )
