"""The names of servers: whose they are, and under which one clients are told of a server. Runs inside ``database.run``."""

from appliance.accounts.model import Principal
from appliance.domains.room import make_domains
from appliance.domains.service import DomainService, Holder
from appliance.infra.database import Database
from appliance.servers.access import visible_server, writable_server
from appliance.servers.model import Server
from appliance.settings import Settings


def make_server_domains(database: Database, settings: Settings) -> DomainService:
    """Return what adds domains to servers."""
    return make_domains(database, settings, seen=seen, changed=changed)


def seen(principal: Principal, server: int | str) -> Holder:
    """Return a server whose names the principal may know of.

    Raises:
        ServerNotFoundError: They may not, or there is none.
    """
    return _holder(visible_server(principal, server))


def changed(principal: Principal, server: int | str) -> Holder:
    """Return a server whose names the principal may change.

    Raises:
        ServerNotFoundError: They may not know of it, or there is none.
        NotAllowedError: They may see it, not change it.
        ServerDeletedError: It is being deleted.
    """
    return _holder(writable_server(principal, server))


def _holder(server: Server) -> Holder:
    return Holder(server.id, server.name, server.builds_for)
